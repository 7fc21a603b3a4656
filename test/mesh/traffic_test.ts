/** What real training steps send: Megatron's counts on the partitioned graphs of Gemma 2, as they are run. */
import assert from "node:assert/strict";
import { bytesOf } from "@tessera/core";
import { trafficOf } from "@tessera/mesh";
import { shardProgram } from "@tessera/nn";
import { traceEvaluate, traceTrainStep } from "@tessera/train";
import {
  adamW,
  type CausalLM,
  DataParallel,
  DeviceMesh,
  type Distribution,
  enableLora,
  LayoutMap,
  ModelParallel,
  openBackend,
} from "tessera";
import { tinyModel } from "../support/models.ts";

const backend = await openBackend("cpu", { threads: 1 });
const [batch, time] = [4, 8];

/** Megatron's layouts: columns, then rows; the vocabulary stays whole, so that blocks alone send. */
function megatron(): Distribution {
  const mesh = new DeviceMesh([1, 2], ["batch", "model"], ["cpu:0", "cpu:1"]);
  const layoutMap = new LayoutMap(mesh)
    .set("decoder_block.*attention.*(query|key|value).kernel", ["model", null, null])
    .set("decoder_block.*attention_output.kernel", ["model", null, null])
    .set("decoder_block.*ffw_gating(_2)?.kernel", [null, "model"])
    .set("decoder_block.*ffw_linear.kernel", ["model", null]);
  return new ModelParallel({ layoutMap, batchDimName: "batch" });
}

function model(numLayers: number, layout?: "keras" | "peft"): CausalLM {
  const lm = tinyModel(backend, { numLayers });
  if (layout !== undefined) enableLora(lm, { rank: 2, layout, targets: ".*" });
  return lm;
}

const forward = (lm: CausalLM, distribution: Distribution) =>
  trafficOf(shardProgram(traceEvaluate(lm, batch, time), distribution).graph);
const step = (lm: CausalLM, distribution: Distribution) =>
  trafficOf(shardProgram(traceTrainStep(lm, adamW({ learningRate: 1e-3 }), batch, time), distribution).graph);

const hiddenBytes = bytesOf({ shape: [batch, time, 32], dtype: "float32" });

for (const layout of [undefined, "keras", "peft"] as const) {
  const name = layout === undefined ? "no adapter" : `${layout}'s adapters on every layer`;
  Deno.test(`${name}: a block forward has two all-reduces of its hidden states, and nothing else`, () => {
    for (const layers of [1, 3]) {
      const found = forward(model(layers, layout), megatron());
      assert.deepEqual(found.map(({ op, count, bytes }) => [op, count, bytes]), [
        ["allReduce", 2 * layers, 2 * layers * hiddenBytes],
      ]);
    }
  });
}

Deno.test("a block backward has two all-reduces more; the norm of split gradients travels with one of them", () => {
  const counts = [1, 2, 3].map((layers) =>
    step(model(layers), megatron()).map(({ op, count }) => [op, count] as const)
  );
  for (const [i, found] of counts.entries()) assert.deepEqual(found, [["allReduce", 4 * (i + 1)]]);
});

Deno.test("data parallelism sends the trainable gradients once, together", () => {
  const mesh = new DeviceMesh([2], ["batch"], ["cpu:0", "cpu:1"]);
  for (const layout of [undefined, "keras", "peft"] as const) {
    const lm = model(2, layout);
    const trained = lm.variables.filter(({ trainable }) => trainable);
    const gradients = trained.reduce((sum, { stored }) => sum + bytesOf(stored), 0);
    const [found, ...others] = step(lm, new DataParallel({ mesh }));
    assert.deepEqual(others, []);
    // The other one is the number of tokens, by which the loss is divided; the loss itself travels with one of them.
    assert.deepEqual([found!.op, found!.count], ["allReduce", 2]);
    assert(found!.bytes - gradients >= 0 && found!.bytes - gradients <= 16, `${found!.bytes} for ${gradients}`);
  }
});
