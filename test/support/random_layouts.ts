/** The same model, sharded in any way: random layout maps, each through forward, backward and an update. */
import fc from "fast-check";
import {
  type CausalLM,
  createDataset,
  DeviceMesh,
  type Distribution,
  LayoutMap,
  ModelParallel,
  withDistribution,
} from "tessera";
import { referenceBackend } from "@tessera/runtime/testing";
import { countingRows, examplesOf, tinyModel } from "./models.ts";
import { assertTrainedAlike, comparableAdamW, type Trained, trainedOf } from "./trained.ts";

const backend = referenceBackend({ deviceCount: 8 });
const dataset = createDataset(examplesOf(countingRows([3, 3, 3, 3], 6)), { batchSize: 4, buckets: [3] });
const meshes = [[1, 2], [2, 1], [2, 2], [1, 4], [4, 2], [2, 4]].map(([batch, model]) =>
  new DeviceMesh([batch!, model!], ["batch", "model"], backend.devices.slice(0, batch! * model!))
);

/** One block whose axes divide in many ways, with or without adapters. */
function makeModel(adapted: boolean): CausalLM {
  const lm = tinyModel(backend, {
    vocabularySize: 16,
    numLayers: 1,
    numQueryHeads: 4,
    numKeyValueHeads: 2,
    hiddenDim: 8,
    intermediateDim: 16,
    headDim: 2,
  });
  if (adapted) lm.enableLora({ rank: 2, layout: "peft", targets: ["query", "ffw_linear"] });
  return lm;
}

/** The result of two updates; the second starts from the first. */
async function train(adapted: boolean, distribution: Distribution | null): Promise<Trained> {
  return await withDistribution(distribution, async () => {
    const lm = makeModel(adapted);
    lm.compile({ optimizer: comparableAdamW(0.05) });
    const { steps } = await lm.fit(dataset, { epochs: 2 });
    const trained = await trainedOf(lm, steps);
    lm.dispose();
    return trained;
  });
}

const shapes = new Map(makeModel(true).variables.map(({ path, shape }) => [path, shape]));

/** A map with layouts, made of numbers, for most variables and for what the block puts out. */
function randomMap(mesh: DeviceMesh<"batch" | "model">, source: Iterator<number>): LayoutMap<"batch" | "model"> {
  const next = () => source.next().value ?? 0;
  const map = new LayoutMap(mesh);
  const outputs = [["decoder_block_0/output", [4, 3, 8]], ["decoder_block_0/ffw_gating/output", [4, 3, 8]]] as const;
  for (const [path, shape] of [...shapes, ...outputs]) {
    if (next() % 4 === 0) continue;
    const dims: ("batch" | "model")[][] = shape.map(() => []);
    const rest = [...shape];
    for (const name of mesh.axisNames) {
      const axis = next() % (shape.length + 1);
      const size = mesh.sizeOf(name);
      if (axis === shape.length || rest[axis]! % size !== 0) continue;
      rest[axis]! /= size;
      if (next() % 2 === 0) dims[axis]!.push(name);
      else dims[axis]!.unshift(name);
    }
    map.set(path, dims, { optional: true });
  }
  return map;
}

/**
 * Trains with random layout maps, the same ones for the same seed; every loss and weight must be that of one device. `adapted` says whether
 * adapters are trained, or all weights.
 */
export async function checkRandomLayouts(adapted: boolean, numRuns: number): Promise<void> {
  const wanted = await train(adapted, null);
  await fc.assert(
    fc.asyncProperty(
      fc.nat(meshes.length - 1),
      fc.array(fc.nat(1000), { minLength: 100, maxLength: 100 }),
      async (at, picks) => {
        const layoutMap = randomMap(meshes[at]!, picks.values());
        const found = await train(adapted, new ModelParallel({ layoutMap, batchDimName: "batch" }));
        assertTrainedAlike(found, wanted, { losses: 1e-6, weights: 1e-5 });
      },
    ),
    { seed: adapted ? 2 : 1, numRuns },
  );
}
