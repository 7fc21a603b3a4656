/** Llama, sharded by its layout map: logits, greedy tokens and training are those of one device, whatever its head, biases and rotation. */
import assert from "node:assert/strict";
import type { LoraLayout } from "@tessera/lora";
import {
  adamW,
  CausalLM,
  createDataset,
  type Distribution,
  Llama3Backbone,
  Llama3CausalLM,
  ModelParallel,
  openBackend,
} from "tessera";
import { meshOf } from "../support/meshes.ts";
import { countingRows, examplesOf, golden, largestDifference, withFolder } from "../support/models.ts";
import { assertTrainedAlike, comparableAdamW, trainedOf } from "../support/trained.ts";

const one = await openBackend("cpu", { threads: 1 });
const many = await openBackend("cpu", { threads: 1, deviceCount: 8 });
const rows = countingRows([12, 12, 12, 12], 36);
const dataset = createDataset(examplesOf(rows), { batchSize: 4, buckets: [12] });

/** The published map on a mesh; key heads that do not divide are replicated. */
function published(batch: number, model: number): Distribution {
  return new ModelParallel({
    layoutMap: Llama3Backbone.getLayoutMap(meshOf(many, batch, model)),
    kvHeads: "replicate",
  });
}

async function load(name: string, distribution: Distribution | null): Promise<CausalLM> {
  const backend = distribution === null ? one : many;
  return await Llama3CausalLM.fromPreset(golden(`llama/${name}`), { backend, distribution });
}

async function infer(name: string, distribution: Distribution | null) {
  const lm = await load(name, distribution);
  const logits = await lm.score({ tokenIds: rows });
  const prompts = [rows[0]!, rows[1]!.slice(0, 3), rows[2]!.slice(0, 7)];
  const tokens = await lm.generateTokens(prompts, { maxNewTokens: 12, stopTokenIds: [] });
  lm.dispose();
  return { logits, tokens };
}

/** What five steps come to, and the logits after them. */
async function train(name: string, layout: LoraLayout | null, distribution: Distribution | null) {
  const lm = await load(name, distribution);
  const targets = ["query", "key", "value", "attention_output", "feedforward_.*_dense"];
  if (layout !== null) lm.enableLora({ rank: 4, layout, targets });
  lm.compile({ optimizer: comparableAdamW(5e-3) });
  const { steps } = await lm.fit(dataset, { epochs: 5 });
  const trained = await trainedOf(lm, steps);
  const logits = await lm.score({ tokenIds: rows });
  lm.dispose();
  return { ...trained, logits };
}

for (const name of ["llama31_f16_padded", "llama32_tied_padded", "llama_biases_bf16_shards_old"]) {
  const expected = infer(name, null);
  for (const [batch, model] of [[2, 2], [1, 4], [2, 4]] as const) {
    // The first has two query heads, which four devices cannot share.
    if (name === "llama31_f16_padded" && model > 2) continue;
    if (name.includes("biases") && batch * model === 8) continue;
    Deno.test(`${name} on ${batch}×${model}: logits and greedy tokens are those of one device`, async () => {
      const wanted = await expected;
      const found = await infer(name, published(batch, model));
      const scale = Math.max(...wanted.logits.data.map(Math.abs));
      const difference = largestDifference(found.logits, wanted.logits);
      assert(difference <= 1e-5 * scale, `logits of ${scale} differ by ${difference}`);
      assert.deepEqual(found.tokens, wanted.tokens);
    });
  }

  for (const layout of ["keras", "peft", null] as const) {
    if (name.includes("biases") && layout === "keras") continue;
    const how = layout === null ? "all weights" : `${layout} adapters`;
    Deno.test(`${name} on 2×2, ${how}: five steps have the losses and weights of one device`, async () => {
      const wanted = await train(name, layout, null);
      const found = await train(name, layout, published(2, 2));
      assert.equal(found.losses.length, 5);
      assertTrainedAlike(found, wanted, { losses: 1e-6, weights: 2e-6 });
      const difference = largestDifference(found.logits, wanted.logits);
      assert(difference <= 1e-3, `logits after training differ by ${difference}`);
    });
  }
}

for (const name of ["llama_dynamic_short_bf16_old", "llama_yarn"]) {
  Deno.test(`${name} on 2×2: logits and greedy tokens are those of one device`, async () => {
    const [wanted, found] = [await infer(name, null), await infer(name, published(2, 2))];
    const difference = largestDifference(found.logits, wanted.logits);
    assert(difference <= 1e-4, `logits differ by ${difference}`);
    assert.deepEqual(found.tokens, wanted.tokens);
  });
}

Deno.test("a Llama whose vocabulary does not divide over the devices is refused before anything is loaded", async () => {
  await assert.rejects(load("llama31_bf16_shards_old", published(1, 2)), {
    name: "RangeError",
    message: 'Cannot shard "token_embedding/embeddings" axis 0 (131 tokens) over mesh axis "model" (2): ' +
      "131 is not divisible by 2",
  });
});

Deno.test("a Llama that was fine-tuned on 2×2 is saved as on one device", async () => {
  await withFolder(async (folder) => {
    const lm = await load("llama32_tied_padded", published(2, 2));
    lm.enableLora({ rank: 2, layout: "peft", targets: "query|feedforward_.*_dense" });
    lm.compile({ optimizer: adamW({ learningRate: 1e-2 }) });
    await lm.fit(dataset, { epochs: 2 });
    const wanted = await lm.score({ tokenIds: rows });
    await lm.saveAdapter(`${folder}/adapter`);
    await lm.mergeLora();
    await lm.saveToPreset(`${folder}/merged`);
    lm.dispose();

    const adapted = await load("llama32_tied_padded", null);
    const before = await adapted.score({ tokenIds: rows });
    assert(largestDifference(before, wanted) > 0.1);
    await adapted.loadAdapter(`${folder}/adapter`);
    assert(largestDifference(await adapted.score({ tokenIds: rows }), wanted) <= 1e-4);
    adapted.dispose();
    const merged = await CausalLM.fromPreset(`${folder}/merged`, { backend: one, distribution: null });
    assert(largestDifference(await merged.score({ tokenIds: rows }), wanted) <= 1e-4);
    merged.dispose();
  });
});
