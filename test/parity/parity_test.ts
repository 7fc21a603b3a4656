/** Logits and greedy tokens of small random checkpoints of every architecture against Transformers; `test/oracle` makes them. */
import assert from "node:assert/strict";
import { openBackend } from "tessera";
import { assertLikeTransformers, textCheckpoints } from "../support/goldens.ts";

const backend = await openBackend("cpu");
const checkpoints = textCheckpoints();

for (const { name } of checkpoints) {
  Deno.test(
    `${name} has the logits and the greedy tokens of Transformers`,
    () => assertLikeTransformers(backend, name, 2e-4),
  );
}

Deno.test("every architecture has at least four checkpoints", () => {
  const counts = Object.entries(Object.groupBy(checkpoints, ({ family }) => family));
  assert(counts.length >= 2, `found ${counts.length} architectures`);
  for (const [family, found] of counts) assert(found!.length >= 4, `${family} has ${found!.length}`);
});
