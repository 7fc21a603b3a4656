import assert from "node:assert/strict";
import { gradients, iota, type TensorType } from "@tessera/core";
import { enableLora } from "@tessera/lora";
import { DeviceMesh, ModelParallel, type Traffic, trafficOf, virtualDevices } from "@tessera/mesh";
import { shardProgram, traceProgram } from "@tessera/nn";
import { buildPreset } from "../presets/presets.ts";
import { Gemma3Backbone } from "./gemma3.ts";

function meshOf(batch: number, model: number) {
  return new DeviceMesh([batch, model], ["batch", "model"], virtualDevices(batch * model));
}

const { variables } = buildPreset("medgemma_instruct_27b_text").backbone;

Deno.test("Gemma3Backbone.getLayoutMap() splits every large variable, and every key of it matches", () => {
  const parallel = new ModelParallel({ layoutMap: Gemma3Backbone.getLayoutMap(meshOf(2, 4)), batchDimName: "batch" });
  parallel.check(variables);
  const own = variables.filter(({ path }) => !path.includes("_block_") || path.startsWith("decoder_block_5/"));
  assert.deepEqual(
    Object.fromEntries(own.map((variable) => [variable.path, String(parallel.getVariableLayout(variable))])),
    {
      "token_embedding/embeddings": "PartitionSpec('model', 'batch')",
      "decoder_block_5/pre_attention_norm/scale": "PartitionSpec(None,)",
      "decoder_block_5/attention/query/kernel": "PartitionSpec('model', 'batch', None)",
      "decoder_block_5/attention/key/kernel": "PartitionSpec('model', 'batch', None)",
      "decoder_block_5/attention/value/kernel": "PartitionSpec('model', 'batch', None)",
      "decoder_block_5/attention/attention_output/kernel": "PartitionSpec('model', None, 'batch')",
      "decoder_block_5/attention/query_norm/scale": "PartitionSpec(None,)",
      "decoder_block_5/attention/key_norm/scale": "PartitionSpec(None,)",
      "decoder_block_5/post_attention_norm/scale": "PartitionSpec(None,)",
      "decoder_block_5/pre_ffw_norm/scale": "PartitionSpec(None,)",
      "decoder_block_5/ffw_gating/kernel": "PartitionSpec('batch', 'model')",
      "decoder_block_5/ffw_gating_2/kernel": "PartitionSpec('batch', 'model')",
      "decoder_block_5/ffw_linear/kernel": "PartitionSpec('model', 'batch')",
      "decoder_block_5/post_ffw_norm/scale": "PartitionSpec(None,)",
      "final_normalization/scale": "PartitionSpec(None,)",
    },
  );
});

Deno.test("Gemma3Backbone.getLayoutMap() lays one key head out on four devices where it is to be replicated", () => {
  const layoutMap = Gemma3Backbone.getLayoutMap(meshOf(1, 4));
  const small = buildPreset("gemma3_270m").backbone.variables;
  assert.throws(
    () => new ModelParallel({ layoutMap }).check(small),
    /attention\/key\/kernel" axis 0 \(1 head\) over mesh axis "model" \(4\): 1 is not divisible by 4/,
  );
  new ModelParallel({ layoutMap, kvHeads: "replicate" }).check(small);
});

const [batch, time, hiddenDim, headDim] = [2, 8, 64, 16];
/** The bytes of a hidden state, which is what each all-reduce of a block carries. */
const hiddenBytes = 4 * batch * time * hiddenDim;

/** What the devices of a mesh send for the hidden states of some tokens and, backward, for the variables of blocks that are trained. */
function traffic(
  numLayers: number,
  { adapters = false, trains }: { adapters?: boolean; trains?: RegExp } = {},
): Traffic[] {
  const backbone = new Gemma3Backbone({
    vocabularySize: 96,
    numLayers,
    numQueryHeads: 8,
    numKeyValueHeads: 4,
    hiddenDim,
    intermediateDim: 128,
    headDim,
    slidingWindowSize: 4,
  });
  if (adapters) enableLora(backbone, { rank: 8, layout: "peft", targets: ".*" });
  const ids = { shape: [batch, time], dtype: "int32" } satisfies TensorType;
  const hidden = { shape: [batch, time, hiddenDim], dtype: "float32" } satisfies TensorType;
  const traced = traceProgram("blocks", { tokenIds: ids, ct: hidden }, ({ tokenIds, ct }) => {
    const positions = iota([batch, time], 1);
    const y = backbone.hidden({ tokenIds, positions, keyPositions: positions, cache: null });
    if (trains === undefined) return { y };
    const trained = backbone.variables.filter(({ path }) => path.startsWith("decoder_block") && trains.test(path));
    const found = gradients(y.mul(ct).sum(), trained.map((variable) => variable.raw()));
    return { y, ...Object.fromEntries(found.map((gradient, i) => [trained[i]!.path, gradient])) };
  });
  const layoutMap = Gemma3Backbone.getLayoutMap(meshOf(1, 4));
  return trafficOf(shardProgram(traced, new ModelParallel({ layoutMap })).graph);
}

for (const adapters of [false, true]) {
  Deno.test(`two all-reduces a block forward, ${adapters ? "with" : "without"} adapters`, () => {
    for (const numLayers of [1, 7]) {
      const [found, ...others] = traffic(numLayers, { adapters });
      assert.deepEqual(others, []);
      // One more for the tokens' embeddings, whose vocabulary is split.
      const count = 2 * numLayers + 1;
      assert.deepEqual([found!.op, found!.count, found!.bytes], ["allReduce", count, count * hiddenBytes]);
    }
  });
}

Deno.test("two all-reduces a block backward, whether or not the norms of queries and keys are trained", () => {
  for (const numLayers of [1, 7]) {
    const [found, ...others] = traffic(numLayers, { trains: /^(?!.*(query|key)_norm)/ });
    assert.deepEqual(others, []);
    assert.deepEqual([found!.op, found!.count], ["allReduce", 4 * numLayers + 1]);
    // Both scales of a block travel with what is reduced anyway.
    const [all] = traffic(numLayers, { trains: /./ });
    const scaleBytes = 2 * numLayers * 4 * headDim;
    assert.deepEqual([all!.count, all!.bytes], [found!.count, found!.bytes + scaleBytes]);
  }
});
