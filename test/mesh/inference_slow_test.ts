/** The same model, sharded: logits, greedy tokens and evaluations are those of one device. */
import assert from "node:assert/strict";
import { CausalLM, createDataset, type Distribution, openBackend } from "tessera";
import { distributions, meshOf, meshShapes } from "../support/meshes.ts";
import { countingRows, examplesOf, golden, largestDifference } from "../support/models.ts";

const one = await openBackend("cpu", { threads: 1 });
const many = await openBackend("cpu", { threads: 1, deviceCount: 8 });
// Three rows divide over no mesh with a batch axis.
const rows = countingRows([12, 12, 12], 36);
const dataset = createDataset(examplesOf(rows), { batchSize: 3, buckets: [12] });

async function infer(distribution: Distribution | null) {
  const backend = distribution === null ? one : many;
  const lm = await CausalLM.fromPreset(golden("gemma/gemma2_gqa"), { backend, distribution });
  const logits = await lm.score({ tokenIds: rows });
  const prompts = [rows[0]!, rows[1]!.slice(0, 3), rows[2]!.slice(0, 7)];
  const tokens = await lm.generateTokens(prompts, { maxNewTokens: 6, stopTokenIds: [] });
  const evaluation = await lm.evaluate(dataset);
  lm.dispose();
  return { logits, tokens, evaluation };
}

const expected = infer(null);

for (const [name, make] of Object.entries(distributions)) {
  for (const [batch, model] of meshShapes) {
    Deno.test(`${name} on ${batch}×${model}: logits, greedy tokens and losses are those of one device`, async () => {
      const wanted = await expected;
      const found = await infer(make(meshOf(many, batch, model)));
      const scale = Math.max(...wanted.logits.data.map(Math.abs));
      const difference = largestDifference(found.logits, wanted.logits);
      assert(difference <= 1e-5 * scale, `logits of ${scale} differ by ${difference}`);
      assert.deepEqual(found.tokens, wanted.tokens);
      assert(Math.abs(found.evaluation.loss - wanted.evaluation.loss) <= 1e-5 * wanted.evaluation.loss);
      assert.deepEqual(
        { ...found.evaluation, loss: 0 },
        { ...wanted.evaluation, loss: 0 },
      );
    });
  }
}
