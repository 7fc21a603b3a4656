/** Training on some backend as on the processor. */
import assert from "node:assert/strict";
import {
  adamW,
  type Backend,
  createDataset,
  type Distribution,
  GemmaBackbone,
  ModelParallel,
  openBackend,
  toFloat32,
  withDistribution,
} from "tessera";
import { meshOf } from "./meshes.ts";
import { countingRows, examplesOf, tinyModel } from "./models.ts";

const dataset = createDataset(examplesOf(countingRows([12, 12, 12, 12], 36)), { batchSize: 4, buckets: [12] });

/** The losses of ten steps of LoRA, and the values of the trained variables. */
async function train(backend: Backend, distribution: Distribution | null = null) {
  const lm = withDistribution(distribution, () => tinyModel(backend, { vocabularySize: 64 }));
  lm.enableLora({ rank: 4, targets: ["query", "value", "ffw_linear"] });
  lm.compile({ optimizer: adamW({ learningRate: 5e-3, globalClipNorm: 1 }) });
  const { steps } = await withDistribution(distribution, () => lm.fit(dataset, { epochs: 10 }));
  const trained = lm.variables.filter(({ trainable }) => trainable);
  const values = await Promise.all(trained.map(async ({ value }) => [...toFloat32(await value!.read())]));
  lm.dispose();
  return { losses: steps.map(({ loss }) => loss), values: values.flat() };
}

function assertNear(found: readonly number[], expected: readonly number[], tolerance: number): void {
  assert.equal(found.length, expected.length);
  found.forEach((x, i) => assert(Math.abs(x - expected[i]!) <= tolerance, `${i}: ${x}, expected ${expected[i]}`));
}

/** Asserts that ten steps of LoRA on a backend of four devices, on one and on a mesh of them, are as on the processor. */
export async function assertTrainsAsProcessor(backend: Backend): Promise<void> {
  const processor = await openBackend("cpu", { threads: 2 });
  const expected = await train(processor);
  processor.dispose();
  assert(expected.losses.at(-1)! < 0.98 * expected.losses[0]!, "it must have learnt something");
  const mesh = meshOf(backend, 2, 2);
  const layoutMap = GemmaBackbone.getLayoutMap(mesh);
  for (const distribution of [null, new ModelParallel({ layoutMap, batchDimName: "batch", kvHeads: "replicate" })]) {
    const found = await train(backend, distribution);
    assertNear(found.losses, expected.losses, 1e-3);
    assertNear(found.values, expected.values, 1e-3);
  }
}
