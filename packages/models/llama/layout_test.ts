import assert from "node:assert/strict";
import { enableLora, type LoraLayout } from "@tessera/lora";
import { DeviceMesh, ModelParallel, type Traffic, virtualDevices } from "@tessera/mesh";
import { replicatedKernels, tracedTokens, trafficOfBlocks, virtualMesh } from "../architecture/testing.ts";
import { Llama3Backbone } from "./llama.ts";

/** Llama 3.2 1B's shapes with few layers: 32 query heads and 8 key/value heads. */
function llama(
  options: { readonly numLayers?: number; readonly tied?: boolean; readonly biased?: boolean } = {},
): Llama3Backbone {
  return new Llama3Backbone({
    vocabularySize: 128_256,
    numLayers: options.numLayers ?? 2,
    numQueryHeads: 32,
    numKeyValueHeads: 8,
    hiddenDim: 2048,
    intermediateDim: 8192,
    tieWordEmbeddings: options.tied ?? false,
    attentionBias: options.biased ?? false,
    mlpBias: options.biased ?? false,
  });
}

Deno.test("Llama3Backbone.getLayoutMap() shards heads, whatever axis of a kernel counts them, and a head of its own", () => {
  const backbone = llama();
  const parallel = new ModelParallel({ layoutMap: backbone.getLayoutMap(virtualMesh(2, 4)), batchDimName: "batch" });
  parallel.check(backbone.variables);
  const specs = Object.fromEntries(
    backbone.variables.filter(({ path }) => !path.startsWith("transformer_layer_0"))
      .map((variable) => [variable.path, String(parallel.getVariableLayout(variable))]),
  );
  assert.deepEqual(specs, {
    "token_embedding/embeddings": "PartitionSpec('model', 'batch')",
    "token_embedding/reverse_embeddings": "PartitionSpec('batch', 'model')",
    "transformer_layer_1/self_attention/query/kernel": "PartitionSpec('batch', 'model', None)",
    "transformer_layer_1/self_attention/key/kernel": "PartitionSpec('batch', 'model', None)",
    "transformer_layer_1/self_attention/value/kernel": "PartitionSpec('batch', 'model', None)",
    "transformer_layer_1/self_attention/attention_output/kernel": "PartitionSpec('model', None, 'batch')",
    "transformer_layer_1/self_attention_layernorm/scale": "PartitionSpec(None,)",
    "transformer_layer_1/feedforward_intermediate_dense/kernel": "PartitionSpec('batch', 'model')",
    "transformer_layer_1/feedforward_gate_dense/kernel": "PartitionSpec('batch', 'model')",
    "transformer_layer_1/feedforward_output_dense/kernel": "PartitionSpec('model', 'batch')",
    "transformer_layer_1/feedforward_layernorm/scale": "PartitionSpec(None,)",
    "sequence_output_layernorm/scale": "PartitionSpec(None,)",
  });
});

Deno.test("Llama3Backbone.getLayoutMap() shards every large variable over all devices, tied or not", () => {
  for (const tied of [false, true]) assert.deepEqual(replicatedKernels(llama({ tied })), []);
});

Deno.test("Llama3Backbone.getLayoutMap() shards the biases of what it shards by heads and intermediate units, and replicates the others", () => {
  const backbone = llama({ biased: true });
  const parallel = new ModelParallel({ layoutMap: Llama3Backbone.getLayoutMap(virtualMesh(2, 4)) });
  parallel.check(backbone.variables);
  const biases = backbone.variables.filter(({ path }) => /layer_1.*\/bias$/.test(path));
  assert.deepEqual(Object.fromEntries(biases.map((bias) => [bias.path, String(parallel.getVariableLayout(bias))])), {
    "transformer_layer_1/self_attention/query/bias": "PartitionSpec('model', None)",
    "transformer_layer_1/self_attention/key/bias": "PartitionSpec('model', None)",
    "transformer_layer_1/self_attention/value/bias": "PartitionSpec('model', None)",
    "transformer_layer_1/self_attention/attention_output/bias": "PartitionSpec(None,)",
    "transformer_layer_1/feedforward_intermediate_dense/bias": "PartitionSpec('model',)",
    "transformer_layer_1/feedforward_gate_dense/bias": "PartitionSpec('model',)",
    "transformer_layer_1/feedforward_output_dense/bias": "PartitionSpec(None,)",
  });
  const wide = Llama3Backbone.getLayoutMap(virtualMesh(1, 16));
  new ModelParallel({ layoutMap: wide, kvHeads: "replicate" }).check(backbone.variables);
});

Deno.test("Llama3Backbone.getLayoutMap() over more devices than key/value heads is an error, or replicates them", () => {
  const layoutMap = Llama3Backbone.getLayoutMap(virtualMesh(1, 16));
  assert.throws(() => new ModelParallel({ layoutMap }).check(llama().variables), {
    message:
      'Cannot shard "transformer_layer_0/self_attention/key/kernel" axis 1 (8 heads) over mesh axis "model" (16): ' +
      "8 is not divisible by 16",
  });
  new ModelParallel({ layoutMap, kvHeads: "replicate" }).check(llama().variables);
});

Deno.test("Llama3Backbone.getLayoutMap() takes other names of axes, and says so when it needs them", () => {
  const mesh = new DeviceMesh([2, 4], ["data", "tensor"], virtualDevices(8));
  const map = Llama3Backbone.getLayoutMap(mesh, { modelAxis: "tensor", batchAxis: "data" });
  assert.deepEqual(map.get("token_embedding/reverse_embeddings")!.dims, [["data"], ["tensor"]]);
  assert.throws(
    () => Llama3Backbone.getLayoutMap(mesh),
    /Cannot lay Llama out: .* has no axis "model"; say with modelAxis/,
  );
});

/** The bytes of a hidden state, which is what each all-reduce of a block carries. */
const hiddenBytes = 4 * tracedTokens[0] * tracedTokens[1] * 2048;

/** What the devices of a mesh send, with adapters on every layer. */
function traffic(numLayers: number, adapters: LoraLayout | null, backward: boolean, biased = false): Traffic[] {
  const backbone = llama({ numLayers, biased });
  if (adapters !== null) enableLora(backbone, { rank: 8, layout: adapters, targets: ".*" });
  return trafficOfBlocks(backbone, { backward });
}

for (
  const [adapters, biased] of [[null, false], ["keras", false], ["peft", false], [null, true], ["peft", true]] as const
) {
  Deno.test(`two all-reduces a block forward, ${adapters ?? "no"} adapters${biased ? ", biases" : ""}`, () => {
    for (const numLayers of [1, 3]) {
      const [found, ...others] = traffic(numLayers, adapters, false, biased);
      assert.deepEqual(others, []);
      // One more for the tokens' embeddings, whose vocabulary is sharded.
      const count = 2 * numLayers + 1;
      assert.deepEqual([found!.op, found!.count, found!.bytes], ["allReduce", count, count * hiddenBytes]);
    }
  });
}

Deno.test("two all-reduces a block backward", () => {
  for (const biased of [false, true]) {
    for (const numLayers of [1, 3]) {
      const [found, ...others] = traffic(numLayers, null, true, biased);
      assert.deepEqual(others, []);
      assert.deepEqual([found!.op, found!.count], ["allReduce", 4 * numLayers + 1]);
    }
  }
});
