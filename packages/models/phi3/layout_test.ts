import assert from "node:assert/strict";
import { enableLora, type LoraLayout } from "@tessera/lora";
import { ModelParallel } from "@tessera/mesh";
import { replicatedKernels, tracedTokens, trafficOfBlocks, virtualMesh } from "../architecture/testing.ts";
import { Phi3Backbone } from "./phi3.ts";

/** Phi-4-mini's shapes with few layers, but 32 query heads. */
function phi(numLayers = 2, tieWordEmbeddings = false): Phi3Backbone {
  return new Phi3Backbone({
    vocabularySize: 200_064,
    numLayers,
    numQueryHeads: 32,
    numKeyValueHeads: 8,
    hiddenDim: 3072,
    intermediateDim: 8192,
    partialRotaryFactor: 0.75,
    tieWordEmbeddings,
  });
}

Deno.test("Phi3Backbone.getLayoutMap() splits what is one tensor in the file by the heads and units of each layer", () => {
  const backbone = phi();
  const parallel = new ModelParallel({ layoutMap: backbone.getLayoutMap(virtualMesh(2, 4)), batchDimName: "batch" });
  const specs = Object.fromEntries(
    backbone.variables.filter(({ path }) => !path.startsWith("transformer_layer_0"))
      .map((variable) => [variable.path, String(parallel.getVariableLayout(variable))]),
  );
  assert.deepEqual(specs, {
    "token_embedding/embeddings": "PartitionSpec('model', 'batch')",
    "token_embedding/reverse_embeddings": "PartitionSpec('batch', 'model')",
    "transformer_layer_1/pre_attention_layernorm/scale": "PartitionSpec(None,)",
    "transformer_layer_1/attention/query/kernel": "PartitionSpec('batch', 'model', None)",
    "transformer_layer_1/attention/key/kernel": "PartitionSpec('batch', 'model', None)",
    "transformer_layer_1/attention/value/kernel": "PartitionSpec('batch', 'model', None)",
    "transformer_layer_1/attention/attention_output/kernel": "PartitionSpec('model', None, 'batch')",
    "transformer_layer_1/post_attention_layernorm/scale": "PartitionSpec(None,)",
    "transformer_layer_1/feedforward_gate_dense/kernel": "PartitionSpec('batch', 'model')",
    "transformer_layer_1/feedforward_intermediate_dense/kernel": "PartitionSpec('batch', 'model')",
    "transformer_layer_1/feedforward_output_dense/kernel": "PartitionSpec('model', 'batch')",
    "sequence_output_layernorm/scale": "PartitionSpec(None,)",
  });
  for (const tied of [false, true]) assert.deepEqual(replicatedKernels(phi(2, tied)), []);
});

Deno.test("Phi3Backbone.getLayoutMap() over more devices than key/value heads is an error, or replicates them", () => {
  const layoutMap = Phi3Backbone.getLayoutMap(virtualMesh(1, 16));
  assert.throws(() => new ModelParallel({ layoutMap }).check(phi().variables), {
    message: 'Cannot shard "transformer_layer_0/attention/key/kernel" axis 1 (8 heads) over mesh axis "model" (16): ' +
      "8 is not divisible by 16",
  });
  new ModelParallel({ layoutMap, kvHeads: "replicate" }).check(phi().variables);
});

/** The bytes of a hidden state, which is what each all-reduce of a block carries. */
const hiddenBytes = 4 * tracedTokens[0] * tracedTokens[1] * 3072;

for (const adapters of [null, "keras", "peft"] satisfies (LoraLayout | null)[]) {
  Deno.test(`two all-reduces a block forward, ${adapters ?? "no"} adapters`, () => {
    for (const numLayers of [1, 3]) {
      const backbone = phi(numLayers);
      if (adapters !== null) enableLora(backbone, { rank: 8, layout: adapters, targets: ".*" });
      const [found, ...others] = trafficOfBlocks(backbone);
      assert.deepEqual(others, []);
      // One more for the tokens' embeddings, whose vocabulary is split.
      const count = 2 * numLayers + 1;
      assert.deepEqual([found!.op, found!.count, found!.bytes], ["allReduce", count, count * hiddenBytes]);
    }
  });
}

Deno.test("two all-reduces a block backward", () => {
  for (const numLayers of [1, 3]) {
    const [found, ...others] = trafficOfBlocks(phi(numLayers), { backward: true });
    assert.deepEqual(others, []);
    assert.deepEqual([found!.op, found!.count], ["allReduce", 4 * numLayers + 1]);
  }
});
