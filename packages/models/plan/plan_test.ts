import assert from "node:assert/strict";
import { enableLora } from "@tessera/lora";
import { virtualDevices } from "@tessera/mesh";
import { adamW } from "@tessera/train";
import { GemmaBackbone } from "../gemma/gemma.ts";
import { devicesOf, distributionFor, type MeshAxes, parseMeshAxes } from "./distributions.ts";
import { hardware } from "./hardware.ts";
import { planTraining, type Training } from "./plan.ts";
import { candidatesFor, suggestMeshes } from "./suggest.ts";

const layers = 3;

/** What trains a small Gemma 2; LoRA unless told otherwise. */
function training(lora = true): Training {
  const backbone = new GemmaBackbone({
    vocabularySize: 64,
    numLayers: layers,
    numQueryHeads: 4,
    numKeyValueHeads: 2,
    hiddenDim: 16,
    intermediateDim: 64,
    headDim: 8,
    usePostFfwNorm: true,
    usePostAttentionNorm: true,
  });
  if (lora) enableLora(backbone, { rank: 2, targets: ".*" });
  return { backbone, optimizer: adamW({ learningRate: 1e-4, globalClipNorm: null }), batchSize: 4, length: 8 };
}

/** Planned without the memory of programs, which is the backend's. */
const options = { hardware: hardware.laptop, memoryOf: () => 1000 };

function planOn(axes: MeshAxes, what = training(), layout: "auto" | "data-parallel" = "auto") {
  const distribution = distributionFor(what.backbone, axes, layout, virtualDevices(devicesOf(axes)));
  return planTraining(what, { ...options, distribution });
}

function counts(axes: MeshAxes, what?: Training, layout?: "auto" | "data-parallel"): string[] {
  return planOn(axes, what, layout).traffic.map(({ op, meshAxes, count, direction }) =>
    `${direction} ${op}(${meshAxes.join(" ")}) × ${count}`
  );
}

Deno.test("planTraining(): two all-reduces a block forward and two backward, adapters or not", () => {
  // Beside the blocks': the embedding's forward, three of the loss, of which the largest logit is one.
  const forward = `forward allReduce(model) × ${2 * layers + 3}`;
  assert.deepEqual(counts({ model: 2 }, training(false))[0], forward);
  assert.deepEqual(counts({ model: 2 })[0], forward);
  const backward = counts({ model: 2 }).slice(1);
  // The first block's attention ends the way back; the gradients of factors that every device holds go together, and the head's.
  assert.deepEqual(backward, [`backward allReduce(model) × ${2 * layers + 1}`]);
});

Deno.test("planTraining(): data parallelism is one all-reduce of the gradients", () => {
  assert.deepEqual(counts({ batch: 2 }, undefined, "data-parallel"), [
    // The number of tokens, by which the loss is divided, and the loss.
    "forward allReduce(batch) × 1",
    "backward allReduce(batch) × 1",
  ]);
});

Deno.test("planTraining() counts what every device holds and computes", () => {
  const one = planTraining(training(), { ...options, distribution: null });
  const four = planOn({ batch: 2, model: 2 });
  assert.deepEqual([one.devices, one.mesh], [1, []]);
  assert.deepEqual([four.devices, four.batch], [4, { rows: 4, length: 8, rowsPerDevice: 2 }]);
  assert.equal(one.memory.weights, 4 * one.parameters.total);
  assert.equal(one.memory.optimizer, 2 * 4 * one.parameters.trainable);
  assert.equal(one.memory.gradients, 4 * one.parameters.trainable);
  // A key and a value per layer, row and token, of two heads.
  assert.equal(one.memory.cache, 4 * layers * 2 * 4 * 8 * 2 * 8);
  assert.equal(four.memory.cache, one.memory.cache / 4);
  assert(four.memory.weights < one.memory.weights / 2);
  assert.equal(one.memory.training, one.memory.weights + one.memory.optimizer + one.memory.activations);
  assert(four.operations >= one.operations / 4 && four.operations < 0.3 * one.operations);
  assert(Math.abs(one.time.step - one.time.arithmetic - one.time.memory - one.time.links) < 1e-12);
});

Deno.test("planTraining() fills batches up to what divides", () => {
  const { batch } = planOn({ batch: 8 }, undefined, "data-parallel");
  assert.deepEqual(batch, { rows: 8, length: 8, rowsPerDevice: 1 });
});

Deno.test("distributionFor() adds the axes that the published map needs, and replicates key/value heads that are too few", () => {
  const { backbone } = training();
  const distribution = distributionFor(backbone, { model: 4 }, "auto", virtualDevices(4));
  assert.deepEqual(distribution.mesh.axes, [{ name: "model", size: 4 }, { name: "batch", size: 1 }]);
  const key = backbone.variables.find(({ path }) => path.endsWith("0/attention/key/kernel"))!;
  assert(distribution.getVariableLayout(key).isReplicated);
});

Deno.test("distributionFor() takes layouts by expressions, and rejects keys that match nothing", () => {
  const { backbone } = training();
  const own = { ".*ffw_gating.*/kernel": [null, "model"] } as const;
  const distribution = distributionFor(backbone, { model: 2 }, own, virtualDevices(2));
  assert.deepEqual(distribution.batchAxes, ["model"]);
  assert.throws(
    () => distributionFor(backbone, { model: 2 }, { "ffw_gatin": [null, "model"] }, virtualDevices(2)),
    /ffw_gatin/,
  );
});

Deno.test("parseMeshAxes() reads axes in order, and says what is wrong", () => {
  assert.deepEqual(Object.entries(parseMeshAxes("batch=2, model=8")), [["batch", 2], ["model", 8]]);
  for (const text of ["", "batch", "batch=0", "batch=2;model=2", "=2", "batch=1.5"]) {
    assert.throws(
      () => parseMeshAxes(text),
      /^TypeError: Cannot read the mesh ".*expected one such as batch=2,model=8/,
    );
  }
  assert.throws(() => parseMeshAxes("a=1,a=2"), /axis "a" is named twice/);
});

Deno.test("candidatesFor() has every mesh of two axes, and copies", () => {
  const found = candidatesFor(4).map(({ axes, layout }) => `${JSON.stringify(axes)} ${layout}`);
  assert.deepEqual(found, [
    '{"batch":1,"model":4} auto',
    '{"batch":2,"model":2} auto',
    '{"batch":4,"model":1} auto',
    '{"batch":4} data-parallel',
  ]);
});

Deno.test("suggestMeshes() ranks what fits by speed, then what does not by size, and says what cannot be", async () => {
  const all = await suggestMeshes(training(), 8, options);
  assert.equal(all.at(-1)!.plan, null);
  assert.match(all.at(-1)!.reason!, /4 heads.*not divisible by 8/);
  const planned = all.slice(0, -1).map(({ plan }) => plan!);
  const speeds = planned.map(({ tokensPerSecond }) => tokensPerSecond);
  assert.deepEqual(speeds, speeds.toSorted((a, b) => b - a));
  // Between what the smallest and the largest take.
  const sizes = planned.map(({ memory }) => memory.training).toSorted((a, b) => a - b);
  const tight = { ...hardware.laptop, memory: sizes[1]! };
  const ranked = await suggestMeshes(training(), 8, { ...options, hardware: tight });
  const fits = ranked.map((suggestion) => suggestion.fits);
  assert.deepEqual(fits, fits.toSorted((a, b) => Number(b) - Number(a)));
  assert(fits[0] && !fits.at(-2));
});

Deno.test("planTraining() counts the accumulators of several batches, in float32 and as the weights are split", () => {
  const [one, four] = [1, 4].map((gradientAccumulationSteps) =>
    planOn({ model: 2 }, { ...training(false), gradientAccumulationSteps }).memory
  );
  assert.equal(one!.accumulators, 0);
  // The model is in float32, so a sum takes what its weight takes.
  assert.equal(four!.accumulators, four!.gradients);
  assert.equal(four!.training - one!.training, four!.accumulators);
});
