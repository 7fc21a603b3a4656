/** Logits and greedy tokens of small random checkpoints against Transformers, made by `make_gemma.py` and `make_llama.py` of `test/oracle`. */
import { openBackend } from "tessera";
import { assertLikeTransformers, goldenNames } from "./support/goldens.ts";

const backend = await openBackend("cpu");

for (const name of goldenNames("gemma", "llama")) {
  Deno.test(
    `${name} has the logits and the greedy tokens of Transformers`,
    () => assertLikeTransformers(backend, name, 2e-4),
  );
}
