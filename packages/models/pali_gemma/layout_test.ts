import assert from "node:assert/strict";
import { gradients, iota, type TensorType } from "@tessera/core";
import { DeviceMesh, ModelParallel, type Traffic, trafficOf, virtualDevices } from "@tessera/mesh";
import { shardProgram, traceProgram } from "@tessera/nn";
import { PaliGemmaBackbone } from "./pali_gemma.ts";
import { buildPreset } from "../presets/presets.ts";

const { variables } = buildPreset("pali_gemma2_pt_10b_448").backbone;

Deno.test("PaliGemmaBackbone.getLayoutMap() splits every large variable of both towers, and every key of it matches", () => {
  const mesh = new DeviceMesh([2, 4], ["batch", "model"], virtualDevices(8));
  const parallel = new ModelParallel({ layoutMap: PaliGemmaBackbone.getLayoutMap(mesh), batchDimName: "batch" });
  parallel.check(variables);
  const specOf = (path: string) =>
    String(parallel.getVariableLayout(variables.find((variable) => variable.path === path)!));
  const block = "image_encoder/encoder_block_26";
  const specs = Object.fromEntries(
    variables.map(({ path }) => path)
      .filter((path) => path.startsWith("image_") && (!path.includes("_block_") || path.startsWith(block)))
      .map((path) => [path, specOf(path)]),
  );
  const [column, row, replicated] = [
    "PartitionSpec('batch', 'model')",
    "PartitionSpec('model', 'batch')",
    "PartitionSpec(None,)",
  ];
  assert.deepEqual(specs, {
    "image_encoder/encoder_embeddings/embedding_conv/kernel": "PartitionSpec(None, None, None, 'batch')",
    "image_encoder/encoder_embeddings/embedding_conv/bias": replicated,
    "image_encoder/encoder_embeddings/position_embedding/embeddings": "PartitionSpec(None, None)",
    [`${block}/layer_norm_1/gamma`]: replicated,
    [`${block}/layer_norm_1/beta`]: replicated,
    ...Object.fromEntries(
      ["query", "key", "value"].flatMap((name) => [
        [`${block}/multi_head_attention/${name}_proj/kernel`, column],
        [`${block}/multi_head_attention/${name}_proj/bias`, "PartitionSpec('model',)"],
      ]),
    ),
    [`${block}/multi_head_attention/out_proj/kernel`]: row,
    [`${block}/multi_head_attention/out_proj/bias`]: replicated,
    [`${block}/layer_norm_2/gamma`]: replicated,
    [`${block}/layer_norm_2/beta`]: replicated,
    [`${block}/mlp_dense_1/kernel`]: column,
    [`${block}/mlp_dense_1/bias`]: "PartitionSpec('model',)",
    [`${block}/mlp_dense_2/kernel`]: row,
    [`${block}/mlp_dense_2/bias`]: replicated,
    "image_encoder/encoder_layer_norm/gamma": replicated,
    "image_encoder/encoder_layer_norm/beta": replicated,
    "image_classifier/kernel": row,
    "image_classifier/bias": replicated,
  });
  const whole = variables.filter((variable) =>
    variable.size > 2e6 && !String(parallel.getVariableLayout(variable)).includes("model")
  );
  assert.deepEqual(whole.map(({ path }) => path), []);
});

const [batch, time, layers] = [2, 8, { vision: 3, text: 2 }];

/** PaliGemma 2 3B's shapes with few layers and small images. */
function small(): PaliGemmaBackbone {
  const { config } = buildPreset("pali_gemma2_pt_3b_224").backbone as PaliGemmaBackbone;
  return new PaliGemmaBackbone({
    ...config,
    text: { ...config.text, numLayers: layers.text },
    vision: { ...config.vision, numLayers: layers.vision, imageSize: 28 },
  });
}

/** What the devices of a mesh send for the hidden states of some tokens with images and, backward, for what is trained. */
function traffic(backward: boolean): Traffic[] {
  const backbone = small();
  const hidden = { shape: [batch, time, 2304], dtype: "float32" } satisfies TensorType;
  const types = {
    tokenIds: { shape: [batch, time], dtype: "int32" },
    images: { shape: [batch, 28, 28, 3], dtype: "float32" },
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
  return trafficOf(shardProgram(traced, new ModelParallel({ layoutMap: PaliGemmaBackbone.getLayoutMap(mesh) })).graph);
}

Deno.test("two all-reduces forward in each block of both towers, and one where they meet", () => {
  const [found, ...others] = traffic(false);
  assert.deepEqual(others, []);
  // The tower's patches and the tokens' embeddings, which travel together, are the ones where they meet.
  const bytes = 4 * batch * (2 * layers.vision * 4 * 1152 + 4 * 2304 + (2 * layers.text + 1) * time * 2304);
  assert.deepEqual([found!.op, found!.count, found!.bytes], [
    "allReduce",
    2 * layers.vision + 2 * layers.text + 1,
    bytes,
  ]);
});

Deno.test("two all-reduces backward in each block of both towers, and one all-gather where they meet", () => {
  const [found, ...others] = traffic(true);
  // The projection's kernel is sharded along the tower's hidden units, so the norm before it adds up two numbers per patch, and
  // the blocks before that gather what it gives.
  const patches = 4 * batch * 4 * 1152;
  assert.deepEqual(others.map(({ op, count, bytes }) => [op, count, bytes]), [["allGather", 1, patches / 4]]);
  assert.deepEqual([found!.op, found!.count], ["allReduce", 4 * (layers.vision + layers.text) + 2]);
});
