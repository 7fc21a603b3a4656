/** What holds for every architecture, on one golden checkpoint of each: caches, saving, meshes. */
import assert from "node:assert/strict";
import { type HostTensor, toFloat32 } from "@tessera/core";
import { adamW, CausalLM, createDataset, type Distribution, ModelParallel, openBackend } from "tessera";
import { firstOfEach, isDivisible, rotatesByLength, textCheckpoints } from "../support/goldens.ts";
import { meshOf } from "../support/meshes.ts";
import { countingRows, examplesOf, golden, largestDifference, withFolder } from "../support/models.ts";

const one = await openBackend("cpu", { threads: 1 });
const many = await openBackend("cpu", { threads: 1, deviceCount: 4 });
const checkpoints = textCheckpoints();

/** The likeliest token at each place of the last row of logits [1, time, vocabulary]. */
function likeliest({ data, shape }: HostTensor): number[] {
  const vocabulary = shape.at(-1)!;
  return Array.from({ length: shape[1]! }, (_, place) => {
    const row = data.subarray(place * vocabulary, (place + 1) * vocabulary) as Float32Array;
    return row.indexOf(Math.max(...row));
  });
}

for (const { name } of firstOfEach(checkpoints.filter((checkpoint) => !rotatesByLength(checkpoint)))) {
  Deno.test(`${name}: what is generated with a cache is likeliest without one`, async () => {
    const lm = await CausalLM.fromPreset(golden(name), { backend: one });
    const prompt = [5, 9, 17, 33, 12];
    const [tokens] = await lm.generateTokens([prompt], { maxNewTokens: 16, stopTokenIds: [] });
    assert.equal(tokens!.length, 16);
    const logits = await lm.score({ tokenIds: [[...prompt, ...tokens!]] });
    assert.deepEqual(likeliest(logits).slice(prompt.length - 1, -1), tokens);
    lm.dispose();
  });
}

for (const { name } of checkpoints.filter(({ family }) => family !== "llama")) {
  Deno.test(`${name} is the same after it is saved and loaded again`, async () => {
    await withFolder(async (folder) => {
      const tokenIds = countingRows([12, 12], 36);
      const scored = async (from: string) => {
        const lm = await CausalLM.fromPreset(from, { backend: one });
        const logits = await lm.score({ tokenIds });
        if (from !== folder) await lm.saveToPreset(folder);
        lm.dispose();
        return logits;
      };
      const before = await scored(golden(name));
      assert.equal(largestDifference(await scored(folder), before), 0);
    });
  });
}

const rows = countingRows([12, 12, 12, 12], 36);
const dataset = createDataset(examplesOf(rows), { batchSize: 4, buckets: [12] });

/** Logits, greedy tokens, and five steps of LoRA on every dense layer, on one device or on the published map of a mesh. */
async function everything(name: string, mesh: readonly [batch: number, model: number] | null) {
  const backend = mesh === null ? one : many;
  const distributionOf = (lm: CausalLM): Distribution =>
    new ModelParallel({
      layoutMap: lm.backbone.getLayoutMap(meshOf(many, ...mesh!)),
      batchDimName: "batch",
      kvHeads: "replicate",
    });
  const plain = await CausalLM.fromPreset(golden(name), { backend, distribution: null });
  const distribution = mesh === null ? null : distributionOf(plain);
  plain.dispose();
  const lm = await CausalLM.fromPreset(golden(name), { backend, distribution });
  const logits = await lm.score({ tokenIds: rows });
  const prompts = [rows[0]!, rows[1]!.slice(0, 3), rows[2]!.slice(0, 7)];
  const tokens = await lm.generateTokens(prompts, { maxNewTokens: 12, stopTokenIds: [] });
  lm.enableLora({ rank: 4, layout: "peft", targets: ".*" });
  lm.compile({ optimizer: adamW({ learningRate: 5e-3, globalClipNorm: 1 }) });
  const { steps } = await lm.fit(dataset, { epochs: 5 });
  const trained = lm.variables.filter(({ trainable }) => trainable);
  const weights = await Promise.all(trained.map(async ({ value }) => toFloat32(await value!.read())));
  lm.dispose();
  return { logits, tokens, losses: steps.map(({ loss }) => loss), weights };
}

for (const { name } of firstOfEach(checkpoints.filter(isDivisible))) {
  Deno.test(`${name} on 2×2: logits, greedy tokens and training are those of one device`, async () => {
    const [wanted, found] = [await everything(name, null), await everything(name, [2, 2])];
    const scale = Math.max(...wanted.logits.data.map(Math.abs));
    const difference = largestDifference(found.logits, wanted.logits);
    assert(difference <= 1e-5 * scale, `logits of ${scale} differ by ${difference}`);
    assert.deepEqual(found.tokens, wanted.tokens);
    assert.equal(found.losses.length, 5);
    found.losses.forEach((loss, i) => {
      const off = Math.abs(loss - wanted.losses[i]!);
      assert(off <= 1e-5 * wanted.losses[i]!, `the loss of step ${i} is ${loss}, expected ${wanted.losses[i]}`);
    });
    assert(found.weights.length > 0 && found.weights.length === wanted.weights.length);
    found.weights.forEach((weights, i) => {
      const expected = wanted.weights[i]!;
      assert.equal(weights.length, expected.length);
      const off = Math.max(...weights.map((value, j) => Math.abs(value - expected[j]!)));
      // A fiftieth of a step: Adam moves a weight by up to its rate, wherever rounding turns a gradient.
      assert(off <= 5e-3 / 50, `factor ${i} differs by ${off}`);
    });
  });
}
