import assert from "node:assert/strict";
import { DeviceMesh, LayoutMap, ModelParallel, virtualDevices } from "@tessera/mesh";
import { GemmaBackbone } from "./gemma.ts";

/** Gemma 2 2B's shapes with two layers: 8 query heads and 4 key/value heads. */
const backbone = new GemmaBackbone({
  vocabularySize: 256000,
  numLayers: 2,
  numQueryHeads: 8,
  numKeyValueHeads: 4,
  hiddenDim: 2304,
  intermediateDim: 18432,
  headDim: 256,
  usePostFfwNorm: true,
  usePostAttentionNorm: true,
});

Deno.test("GemmaBackbone.getLayoutMap() is the published map, and every key of it matches", () => {
  const mesh = new DeviceMesh([2, 4], ["batch", "model"], virtualDevices(8));
  const parallel = new ModelParallel({ layoutMap: backbone.getLayoutMap(mesh), batchDimName: "batch" });
  parallel.check(backbone.variables);
  const specs = Object.fromEntries(
    backbone.variables.filter(({ path }) => !path.startsWith("decoder_block_0"))
      .map((variable) => [variable.path, String(parallel.getVariableLayout(variable))]),
  );
  assert.deepEqual(specs, {
    "token_embedding/embeddings": "PartitionSpec('model', 'batch')",
    "decoder_block_1/pre_attention_norm/scale": "PartitionSpec(None,)",
    "decoder_block_1/attention/query/kernel": "PartitionSpec('model', 'batch', None)",
    "decoder_block_1/attention/key/kernel": "PartitionSpec('model', 'batch', None)",
    "decoder_block_1/attention/value/kernel": "PartitionSpec('model', 'batch', None)",
    "decoder_block_1/attention/attention_output/kernel": "PartitionSpec('model', None, 'batch')",
    "decoder_block_1/post_attention_norm/scale": "PartitionSpec(None,)",
    "decoder_block_1/pre_ffw_norm/scale": "PartitionSpec(None,)",
    "decoder_block_1/ffw_gating/kernel": "PartitionSpec('batch', 'model')",
    "decoder_block_1/ffw_gating_2/kernel": "PartitionSpec('batch', 'model')",
    "decoder_block_1/ffw_linear/kernel": "PartitionSpec('model', 'batch')",
    "decoder_block_1/post_ffw_norm/scale": "PartitionSpec(None,)",
    "final_normalization/scale": "PartitionSpec(None,)",
  });
});

Deno.test("GemmaBackbone.getLayoutMap() over more devices than key/value heads is an error, or replicates them", () => {
  const mesh = new DeviceMesh([2, 8], ["batch", "model"], virtualDevices(16));
  const layoutMap = GemmaBackbone.getLayoutMap(mesh);
  assert.throws(() => new ModelParallel({ layoutMap }).check(backbone.variables), {
    message: 'Cannot shard "decoder_block_0/attention/key/kernel" axis 0 (4 heads) over mesh axis "model" (8): ' +
      "4 is not divisible by 8",
  });
  new ModelParallel({ layoutMap, kvHeads: "replicate" }).check(backbone.variables);
});

Deno.test("GemmaBackbone.getLayoutMap() takes other names of axes, and says so when it needs them", () => {
  const mesh = new DeviceMesh([2, 4], ["data", "tensor"], virtualDevices(8));
  const map: LayoutMap = GemmaBackbone.getLayoutMap(mesh, { modelAxis: "tensor", batchAxis: "data" });
  assert.deepEqual(map.get("token_embedding/embeddings")!.dims, [["tensor"], ["data"]]);
  assert.throws(() => GemmaBackbone.getLayoutMap(mesh), {
    message: 'Cannot lay Gemma out: DeviceMesh([2, 4], ["data", "tensor"]) has no axis "model"; ' +
      "say with modelAxis which of its axes to use",
  });
});
