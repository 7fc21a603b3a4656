import assert from "node:assert/strict";
import {
  assertTwoAllReducesABlock,
  publishedLayouts,
  replicatedKernels,
  virtualMesh,
} from "../architecture/testing.ts";
import { Qwen3Backbone } from "./qwen3.ts";

/** Qwen 3 4B's shapes with few layers: heads that are together wider than the hidden states. */
function qwen(numLayers = 2, changes: { readonly tied?: boolean; readonly biased?: boolean } = {}): Qwen3Backbone {
  return new Qwen3Backbone({
    vocabularySize: 151_936,
    numLayers,
    numQueryHeads: 32,
    numKeyValueHeads: 8,
    headDim: 128,
    hiddenDim: 2560,
    intermediateDim: 9728,
    tieWordEmbeddings: changes.tied ?? false,
    attentionBias: changes.biased ?? false,
  });
}

Deno.test("Qwen3Backbone.getLayoutMap() splits heads and replicates the scales that all of them share", () => {
  assert.deepEqual(publishedLayouts(qwen(2, { biased: true }), /^transformer_layer_1|embedding/), {
    "token_embedding/embeddings": "PartitionSpec('model', 'batch')",
    "token_embedding/reverse_embeddings": "PartitionSpec('batch', 'model')",
    "transformer_layer_1/self_attention/query/kernel": "PartitionSpec('batch', 'model', None)",
    "transformer_layer_1/self_attention/query/bias": "PartitionSpec('model', None)",
    "transformer_layer_1/self_attention/key/kernel": "PartitionSpec('batch', 'model', None)",
    "transformer_layer_1/self_attention/key/bias": "PartitionSpec('model', None)",
    "transformer_layer_1/self_attention/value/kernel": "PartitionSpec('batch', 'model', None)",
    "transformer_layer_1/self_attention/value/bias": "PartitionSpec('model', None)",
    "transformer_layer_1/self_attention/attention_output/kernel": "PartitionSpec('model', None, 'batch')",
    "transformer_layer_1/self_attention/attention_output/bias": "PartitionSpec(None,)",
    "transformer_layer_1/self_attention/query_dense_layernorm/scale": "PartitionSpec(None,)",
    "transformer_layer_1/self_attention/key_dense_layernorm/scale": "PartitionSpec(None,)",
    "transformer_layer_1/self_attention_layernorm/scale": "PartitionSpec(None,)",
    "transformer_layer_1/feedforward_intermediate_dense/kernel": "PartitionSpec('batch', 'model')",
    "transformer_layer_1/feedforward_gate_dense/kernel": "PartitionSpec('batch', 'model')",
    "transformer_layer_1/feedforward_output_dense/kernel": "PartitionSpec('model', 'batch')",
    "transformer_layer_1/feedforward_layernorm/scale": "PartitionSpec(None,)",
  });
});

Deno.test("Qwen3Backbone.getLayoutMap() splits every large variable over all devices, tied or not", () => {
  for (const tied of [true, false]) assert.deepEqual(replicatedKernels(qwen(2, { tied })), []);
  // That of the class is for any model.
  const { dims } = Qwen3Backbone.getLayoutMap(virtualMesh(2, 4)).get("token_embedding/reverse_embeddings")!;
  assert.deepEqual(dims, [["batch"], ["model"]]);
});

for (const biased of [false, true]) {
  Deno.test(`two all-reduces a block of Qwen 3 forward and two backward${biased ? ", with biases" : ""}`, () => {
    assertTwoAllReducesABlock((numLayers) => qwen(numLayers, { biased }));
  });
}
