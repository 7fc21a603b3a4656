import assert from "node:assert/strict";
import {
  assertTwoAllReducesABlock,
  publishedLayouts,
  replicatedKernels,
  virtualMesh,
} from "../architecture/testing.ts";
import { Qwen2Backbone } from "./qwen2.ts";

/** Qwen 2.5 7B's shapes with few layers: 28 query heads and 4 key/value heads. */
function qwen(numLayers = 2, tieWordEmbeddings = false): Qwen2Backbone {
  return new Qwen2Backbone({
    vocabularySize: 152_064,
    numLayers,
    numQueryHeads: 28,
    numKeyValueHeads: 4,
    hiddenDim: 3584,
    intermediateDim: 18_944,
    tieWordEmbeddings,
    useSlidingWindowAttention: true,
    slidingWindowSize: 4,
  });
}

Deno.test("Qwen2Backbone.getLayoutMap() splits heads, and their biases with them", () => {
  assert.deepEqual(publishedLayouts(qwen(), /^transformer_layer_1|embedding/), {
    "token_embedding/embeddings": "PartitionSpec('model', 'batch')",
    "token_embedding/reverse_embeddings": "PartitionSpec('batch', 'model')",
    "transformer_layer_1/self_attention/query/kernel": "PartitionSpec('batch', 'model', None)",
    "transformer_layer_1/self_attention/query/bias": "PartitionSpec('model', None)",
    "transformer_layer_1/self_attention/key/kernel": "PartitionSpec('batch', 'model', None)",
    "transformer_layer_1/self_attention/key/bias": "PartitionSpec('model', None)",
    "transformer_layer_1/self_attention/value/kernel": "PartitionSpec('batch', 'model', None)",
    "transformer_layer_1/self_attention/value/bias": "PartitionSpec('model', None)",
    "transformer_layer_1/self_attention/attention_output/kernel": "PartitionSpec('model', None, 'batch')",
    "transformer_layer_1/self_attention_layernorm/scale": "PartitionSpec(None,)",
    "transformer_layer_1/feedforward_intermediate_dense/kernel": "PartitionSpec('batch', 'model')",
    "transformer_layer_1/feedforward_gate_dense/kernel": "PartitionSpec('batch', 'model')",
    "transformer_layer_1/feedforward_output_dense/kernel": "PartitionSpec('model', 'batch')",
    "transformer_layer_1/feedforward_layernorm/scale": "PartitionSpec(None,)",
  });
});

Deno.test("Qwen2Backbone.getLayoutMap() splits every large variable over all devices, tied or not", () => {
  for (const tied of [true, false]) assert.deepEqual(replicatedKernels(qwen(2, tied)), []);
  // That of the class is for any model.
  const { dims } = Qwen2Backbone.getLayoutMap(virtualMesh(2, 4)).get("token_embedding/reverse_embeddings")!;
  assert.deepEqual(dims, [["batch"], ["model"]]);
});

Deno.test("two all-reduces a block of Qwen 2.5 forward and two backward", () => assertTwoAllReducesABlock(qwen));
