/** Gemma 3 with images, sharded by the layout map of its two towers: training is that of one device. */
import assert from "node:assert/strict";
import { createDataset } from "@tessera/train";
import { CausalLM, type Distribution, Gemma3VisionBackbone, ModelParallel, openBackend } from "tessera";
import { readGemma3Golden } from "../support/gemma3_goldens.ts";
import { meshOf } from "../support/meshes.ts";
import { golden } from "../support/models.ts";
import { assertTrainedAlike, comparableAdamW, trainedOf } from "../support/trained.ts";

const one = await openBackend("cpu", { threads: 1 });
const many = await openBackend("cpu", { threads: 1, deviceCount: 4 });

const folder = golden("gemma3_vision/gemma3v_nine_tokens");
const { file, read, tokenIds, images } = await readGemma3Golden(folder);
const [, time] = tokenIds.shape as [number, number];
/** Both rows of the golden, and the first once more: three rows, which divide over no batch axis. */
const examples = [0, 1, 0].map((row, i) => ({
  tokenIds: Int32Array.from(tokenIds.data.subarray(row * time, (row + 1) * time)),
  lossMask: Uint8Array.from(read("loss_mask").data.subarray(row * time, (row + 1) * time)),
  image: images[row]!,
  at: `row ${i}`,
}));
file.close();
const dataset = createDataset(examples, { batchSize: 3, buckets: [time] });

async function run(distribution: Distribution | null) {
  const backend = distribution === null ? one : many;
  const lm = await CausalLM.fromPreset(folder, { backend, distribution });
  try {
    lm.compile({ optimizer: comparableAdamW(2e-3) });
    const { steps } = await lm.fit(dataset, { epochs: 4 });
    return { loss: (await lm.evaluate(dataset)).loss, ...await trainedOf(lm, steps) };
  } finally {
    lm.dispose();
  }
}

const expected = run(null);

for (const [batch, model] of [[1, 2], [2, 2], [2, 1]] as const) {
  Deno.test(`Gemma 3 with images on ${batch}×${model}: losses and weights are those of one device`, async () => {
    const wanted = await expected;
    const layoutMap = Gemma3VisionBackbone.getLayoutMap(meshOf(many, batch, model));
    const found = await run(new ModelParallel({ layoutMap, batchDimName: "batch" }));
    assertTrainedAlike(found, wanted, { losses: 1e-5, weights: 1e-5 });
    assert(Math.abs(found.loss - wanted.loss) <= 1e-5 * wanted.loss, `evaluated ${found.loss}, ${wanted.loss}`);
  });
}
