import assert from "node:assert/strict";
import { assertTwoAllReducesABlock, publishedLayouts, replicatedKernels } from "../architecture/testing.ts";
import { SmolLM3Backbone, type SmolLM3Config } from "./smollm3.ts";

/** Few layers, of which the first turns nothing and has a window. */
function smolLM3(numLayers: number, changes: Partial<SmolLM3Config> = {}): SmolLM3Backbone {
  return new SmolLM3Backbone({
    vocabularySize: 4096,
    hiddenDim: 512,
    intermediateDim: 1408,
    numLayers,
    numAttentionHeads: 8,
    numKeyValueHeads: 4,
    ropeLayerEnabledList: Array.from({ length: numLayers }, (_, layer) => layer > 0),
    slidingWindow: 4,
    ...changes,
  });
}

Deno.test("the published layouts of SmolLM 3 replicate no kernel, and split the biases of heads and intermediate units", () => {
  const biased = { tieWordEmbeddings: false, attentionBias: true, mlpBias: true };
  for (const changes of [{}, biased]) assert.deepEqual(replicatedKernels(smolLM3(2, changes)), []);
  assert.deepEqual(publishedLayouts(smolLM3(1, biased), /\/bias$/), {
    "transformer_layer_0/self_attention/query/bias": "PartitionSpec('model', None)",
    "transformer_layer_0/self_attention/key/bias": "PartitionSpec('model', None)",
    "transformer_layer_0/self_attention/value/bias": "PartitionSpec('model', None)",
    "transformer_layer_0/self_attention/attention_output/bias": "PartitionSpec(None,)",
    "transformer_layer_0/feedforward_intermediate_dense/bias": "PartitionSpec('model',)",
    "transformer_layer_0/feedforward_gate_dense/bias": "PartitionSpec('model',)",
    "transformer_layer_0/feedforward_output_dense/bias": "PartitionSpec(None,)",
  });
});

Deno.test("a block of SmolLM 3 has two all-reduces forward, with and without adapters, and two backward", () => {
  assertTwoAllReducesABlock(smolLM3);
});
