import assert from "node:assert/strict";
import { gradients, iota, type TensorType } from "@tessera/core";
import { DeviceMesh, ModelParallel, type Traffic, trafficOf, virtualDevices } from "@tessera/mesh";
import { shardProgram, traceProgram } from "@tessera/nn";
import { buildPreset } from "../presets/presets.ts";
import { Gemma3VisionBackbone } from "./gemma3_vision.ts";

const { variables } = buildPreset("gemma3_12b").backbone;

Deno.test("Gemma3VisionBackbone.getLayoutMap() splits every large variable of both towers, and every key of it matches", () => {
  const mesh = new DeviceMesh([2, 4], ["batch", "model"], virtualDevices(8));
  const parallel = new ModelParallel({ layoutMap: Gemma3VisionBackbone.getLayoutMap(mesh), batchDimName: "batch" });
  parallel.check(variables);
  const specOf = (path: string) =>
    String(parallel.getVariableLayout(variables.find((variable) => variable.path === path)!));
  assert.equal(specOf("vision_output_encoder/vision_input_projection/kernel"), "PartitionSpec('model', 'batch')");
  assert.equal(specOf("vision_output_encoder/vision_soft_embedding_norm/scale"), "PartitionSpec(None,)");
  assert.equal(
    specOf("image_encoder/encoder_block_26/multi_head_attention/query_proj/kernel"),
    "PartitionSpec('batch', 'model')",
  );
  const whole = variables.filter((variable) =>
    // The embeddings of 4096 patches' places are replicated, as in PaliGemma.
    variable.size > 5e6 && !String(parallel.getVariableLayout(variable)).includes("model")
  );
  assert.deepEqual(whole.map(({ path }) => path), []);
});

const [batch, time, layers] = [2, 12, { vision: 3, text: 2 }];

/** What the devices of a mesh send for the hidden states of some tokens with images and, backward, for what is trained. */
function traffic(backward: boolean): Traffic[] {
  const backbone = new Gemma3VisionBackbone({
    text: {
      vocabularySize: 96,
      numLayers: layers.text,
      numQueryHeads: 8,
      numKeyValueHeads: 4,
      hiddenDim: 64,
      intermediateDim: 128,
      headDim: 16,
      slidingWindowSize: 4,
    },
    vision: {
      imageSize: 28,
      patchSize: 7,
      numLayers: layers.vision,
      numHeads: 4,
      hiddenDim: 32,
      intermediateDim: 64,
    },
    tokensPerImage: 4,
    imageTokenId: 95,
  });
  const hidden = { shape: [batch, time, 64], dtype: "float32" } satisfies TensorType;
  const types = {
    tokenIds: { shape: [batch, time], dtype: "int32" },
    images: { shape: [2 * batch, 28, 28, 3], dtype: "float32" },
    ct: hidden,
  } as const;
  const traced = traceProgram("towers", types, ({ tokenIds, images, ct }) => {
    const positions = iota([batch, time], 1);
    const y = backbone.hidden({ tokenIds, images, positions, keyPositions: positions, cache: null });
    if (!backward) return { y };
    const trained = backbone.variables.filter(({ path }) => path.includes("_block_"));
    const found = gradients(y.mul(ct).sum(), trained.map((variable) => variable.raw()));
    return { y, ...Object.fromEntries(found.map((gradient, i) => [trained[i]!.path, gradient])) };
  });
  const mesh = new DeviceMesh([1, 4], ["batch", "model"], virtualDevices(4));
  const layoutMap = Gemma3VisionBackbone.getLayoutMap(mesh);
  return trafficOf(shardProgram(traced, new ModelParallel({ layoutMap })).graph);
}

Deno.test("two all-reduces forward in each block of both towers, and one where they meet", () => {
  const [found, ...others] = traffic(false);
  assert.deepEqual(others, []);
  assert.deepEqual([found!.op, found!.count], ["allReduce", 2 * (layers.vision + layers.text) + 1]);
});

Deno.test("two all-reduces backward in each block of both towers, and an all-gather where they meet", () => {
  const [found, ...others] = traffic(true);
  assert.deepEqual(others.map(({ op, count }) => [op, count]), [["allGather", 1]]);
  // The projection's kernel is split along the tower's hidden units, so that both norms before it add up numbers of each patch.
  assert.deepEqual([found!.op, found!.count], ["allReduce", 4 * (layers.vision + layers.text) + 3]);
});
