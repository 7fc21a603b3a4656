/** PaliGemma, sharded by the layout map of its two towers: logits, greedy tokens and training are those of one device. */
import assert from "node:assert/strict";
import { imageTensor } from "@tessera/train";
import { CausalLM, createDataset, type Distribution, ModelParallel, openBackend, PaliGemmaBackbone } from "tessera";
import { meshOf } from "../support/meshes.ts";
import { golden, largestDifference } from "../support/models.ts";
import { assertTrainedAlike, comparableAdamW, trainedOf } from "../support/trained.ts";

const one = await openBackend("cpu", { threads: 1 });
const many = await openBackend("cpu", { threads: 1, deviceCount: 4 });

const [side, patches, imageToken] = [28, 16, 127];
/** Three rows, which divide over no batch axis, each with an image, a prompt of four tokens and a response. */
const rows = [9, 7, 9].map((length, row) => [
  ...new Array<number>(patches).fill(imageToken),
  ...Array.from({ length }, (_, i) => 5 + (row * 11 + i * 7) % 100),
]);
const rawImages = rows.map((_, row) => Uint8Array.from({ length: 3 * side * side }, (_, i) => (i * (row + 3)) % 256));
const examples = rows.map((row, i) => ({
  tokenIds: Int32Array.from(row),
  lossMask: Uint8Array.from(row, (_, t) => t >= patches + 4 ? 1 : 0),
  image: rawImages[i]!,
  at: `row ${i}`,
}));
const dataset = createDataset(examples, { batchSize: 3, buckets: [26] });

async function run(distribution: Distribution | null) {
  const backend = distribution === null ? one : many;
  const lm = await CausalLM.fromPreset(golden("pali_gemma/pali2_gqa_window"), { backend, distribution });
  try {
    const images = imageTensor(rawImages.slice(0, 1));
    const logits = await lm.score({ tokenIds: [rows[0]!], images });
    const prompts = rows.map((row) => row.slice(0, patches + 4));
    const options = { images: imageTensor(rawImages), maxNewTokens: 6, stopTokenIds: [] };
    const tokens = await lm.generateTokens(prompts, options);
    lm.compile({ optimizer: comparableAdamW(2e-3) });
    const { steps } = await lm.fit(dataset, { epochs: 4 });
    return { logits, tokens, loss: (await lm.evaluate(dataset)).loss, ...await trainedOf(lm, steps) };
  } finally {
    lm.dispose();
  }
}

const expected = run(null);

for (const [batch, model] of [[1, 2], [2, 2], [2, 1]] as const) {
  Deno.test(`PaliGemma on ${batch}×${model}: logits, greedy tokens, losses and weights are those of one device`, async () => {
    const wanted = await expected;
    const mesh = meshOf(many, batch, model);
    const found = await run(
      new ModelParallel({ layoutMap: PaliGemmaBackbone.getLayoutMap(mesh), batchDimName: "batch" }),
    );
    const difference = largestDifference(found.logits, wanted.logits);
    assert(difference <= 1e-4, `logits differ by ${difference}`);
    assert.deepEqual(found.tokens, wanted.tokens);
    assertTrainedAlike(found, wanted, { losses: 1e-6, weights: 2e-6 });
    assert(Math.abs(found.loss - wanted.loss) <= 1e-6 * wanted.loss, `evaluated ${found.loss}, ${wanted.loss}`);
  });
}
