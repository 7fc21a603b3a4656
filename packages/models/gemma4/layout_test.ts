import assert from "node:assert/strict";
import { enableLora } from "@tessera/lora";
import { ModelParallel } from "@tessera/mesh";
import {
  assertTwoAllReducesABlock,
  publishedLayouts,
  replicatedKernels,
  tracedTokens,
  trafficOfBlocks,
  virtualMesh,
} from "../architecture/testing.ts";
import { buildPreset } from "../presets/presets.ts";
import type { Gemma4Config } from "./config.ts";
import { Gemma4Backbone } from "./gemma4.ts";
import { gemma4Sizes } from "./presets.ts";

const [sliding, full] = ["sliding_attention", "full_attention"] as const;

/** E4B's shapes with few layers, of which the last two share keys and values, and with key heads for four devices. */
function e4b(layerTypes: NonNullable<Gemma4Config["layerTypes"]>, changes: Partial<Gemma4Config> = {}): Gemma4Backbone {
  const numLayers = layerTypes.length;
  return new Gemma4Backbone({
    ...gemma4Sizes.e4b,
    numKeyValueHeads: 4,
    numLayers,
    layerTypes,
    numKvSharedLayers: 2,
    ...changes,
  });
}

const four = [sliding, full, sliding, full];

Deno.test("Gemma4Backbone.getLayoutMap() splits tables, heads and intermediate units, also of layers that share keys", () => {
  assert.deepEqual(publishedLayouts(e4b(four), /^decoder_block_3.*kernel|^per_layer|^token/), {
    "token_embedding/embeddings": "PartitionSpec('model', 'batch')",
    "per_layer_token_embedding/embeddings": "PartitionSpec('model', 'batch')",
    "per_layer_model_projection/kernel": "PartitionSpec('batch', 'model')",
    "per_layer_projection_norm/scale": "PartitionSpec(None,)",
    "decoder_block_3/attention/query/kernel": "PartitionSpec('model', 'batch', None)",
    "decoder_block_3/attention/attention_output/kernel": "PartitionSpec('model', None, 'batch')",
    "decoder_block_3/ffw_gating/kernel": "PartitionSpec('batch', 'model')",
    "decoder_block_3/ffw_gating_2/kernel": "PartitionSpec('batch', 'model')",
    "decoder_block_3/ffw_linear/kernel": "PartitionSpec('model', 'batch')",
    "decoder_block_3/per_layer_input_gate/kernel": "PartitionSpec('batch', None)",
    "decoder_block_3/per_layer_up_proj/kernel": "PartitionSpec(None, 'batch')",
  });
});

Deno.test("Gemma4Backbone.getLayoutMap() splits every large variable over all devices", () => {
  // Two small kernels a block are split over batches only: over models, each would cost a reduction.
  const small = /^decoder_block_\d+\/per_layer_(input_gate|up_proj)\/kernel$/;
  for (const name of ["gemma4_31b", "gemma4_12b"]) {
    const { backbone } = buildPreset(name);
    const layoutMap = backbone.getLayoutMap(virtualMesh(2, 4));
    new ModelParallel({ layoutMap, kvHeads: "replicate" }).check(backbone.variables);
  }
  const kernels = replicatedKernels(e4b(four));
  assert.deepEqual([kernels.length, kernels.filter((path) => !small.test(path))], [8, []]);
});

Deno.test("two all-reduces a block of Gemma 4 forward and two backward, where layers have no inputs of their own", () => {
  assertTwoAllReducesABlock((numLayers) => {
    const layerTypes = [...Array.from({ length: numLayers - 1 }, () => sliding), full];
    return new Gemma4Backbone({ ...gemma4Sizes["31b"], numLayers, layerTypes });
  });
});

Deno.test("the inputs of layers are reduced once and gathered once for all of them, and cost nothing backward", () => {
  const [batch, time] = tracedTokens;
  // 4 layers divide over four devices; 6 do not, and are reduced together with the tokens' embeddings.
  for (const [layerTypes, reduced] of [[four, "reduceScatter"], [[...four, sliding, full], "allReduce"]] as const) {
    const numLayers = layerTypes.length;
    const hiddenBytes = 4 * batch * time * 2560;
    const inputBytes = 4 * batch * time * numLayers * 256;
    const sent = (backbone: Gemma4Backbone, backward: boolean) =>
      Object.fromEntries(trafficOfBlocks(backbone, { backward }).map(({ op, count, bytes }) => [op, { count, bytes }]));
    const inputs = reduced === "allReduce" ? 1 : 0;
    const tokens = { count: 2 * numLayers + 1, bytes: (2 * numLayers + 1) * hiddenBytes + inputs * inputBytes };
    for (const isAdapted of [false, true]) {
      const backbone = e4b(layerTypes);
      if (isAdapted) enableLora(backbone, { rank: 8, layout: "peft", targets: "attention/.*|ffw_.*" });
      const forward = sent(backbone, false);
      assert.deepEqual(forward.allReduce, tokens);
      assert.deepEqual(forward.allGather, { count: 1, bytes: inputBytes / 4 });
      assert.deepEqual(forward.reduceScatter, inputs === 1 ? undefined : { count: 1, bytes: inputBytes });
    }
    const both = sent(e4b(layerTypes), true);
    assert.equal(both.allReduce!.count, 4 * numLayers + 1);
    assert.deepEqual(both.allGather, { count: 1, bytes: inputBytes / 4 });
  }
});
