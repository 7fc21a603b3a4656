import assert from "node:assert/strict";
import type { HfConfig } from "../architecture/hf_config.ts";
import { paliGemma } from "./pali_gemma.ts";

/** The config of google/paligemma-3b-pt-448, which leaves out what was a default in its time. */
const published = {
  _vocab_size: 257152,
  architectures: ["PaliGemmaForConditionalGeneration"],
  bos_token_id: 2,
  eos_token_id: 1,
  hidden_size: 2048,
  ignore_index: -100,
  image_token_index: 257152,
  model_type: "paligemma",
  pad_token_id: 0,
  projection_dim: 2048,
  text_config: {
    hidden_size: 2048,
    intermediate_size: 16384,
    model_type: "gemma",
    num_attention_heads: 8,
    num_hidden_layers: 18,
    num_image_tokens: 1024,
    num_key_value_heads: 1,
    torch_dtype: "float32",
    vocab_size: 257216,
  },
  torch_dtype: "bfloat16",
  transformers_version: "4.41.0.dev0",
  vision_config: {
    hidden_size: 1152,
    image_size: 448,
    intermediate_size: 4304,
    model_type: "siglip_vision_model",
    num_attention_heads: 16,
    num_hidden_layers: 27,
    num_image_tokens: 1024,
    patch_size: 14,
    projection_dim: 2048,
    projector_hidden_act: "gelu_fast",
    torch_dtype: "float32",
    vision_use_head: false,
  },
};

function config(changes: Record<string, unknown> = {}): HfConfig {
  return { path: "m/config.json", modelType: "paligemma", raw: { ...published, ...changes } };
}

Deno.test("paliGemma.readConfig() reads a published config", () => {
  const { config: found, text } = paliGemma.readConfig(config());
  // The head dimension is not the number of image tokens, which happens to be 256 at 224 pixels.
  assert.equal(found.text.headDim, 256);
  assert.deepEqual([found.text.usePostFfwNorm, found.text.vocabularySize], [false, 257216]);
  assert.deepEqual([text.eosTokenIds, text.bosTokenId], [[1], 2]);
  assert.deepEqual(found.vision, {
    hiddenDim: 1152,
    intermediateDim: 4304,
    numLayers: 27,
    numHeads: 16,
    imageSize: 448,
    patchSize: 14,
    layerNormEpsilon: 1e-6,
  });
  assert.equal(found.imageTokenId, 257152);
});

Deno.test("paliGemma.readConfig() takes images of 224 pixels where the file names no size", () => {
  const { image_size: _, ...vision_config } = published.vision_config;
  assert.equal(paliGemma.readConfig(config({ vision_config })).config.vision.imageSize, 224);
});

Deno.test("paliGemma.readConfig() reads PaliGemma 2's decoder, and Transformers 5's spelling", () => {
  const text_config = {
    ...published.text_config,
    model_type: "gemma2",
    hidden_activation: "gelu_pytorch_tanh",
    use_bidirectional_attention: true,
    bos_token_id: null,
    dtype: "bfloat16",
  };
  const { image_token_index, ...rest } = published;
  const { config: found, text } = paliGemma.readConfig({
    path: "m/config.json",
    modelType: "paligemma",
    raw: { ...rest, image_token_id: image_token_index, text_config },
  });
  assert.equal(found.text.usePostFfwNorm, true);
  assert.equal(found.text.slidingWindowSize, 4096);
  assert.equal(text.bosTokenId, 2);
  assert.equal(found.imageTokenId, 257152);
});

const wrong: readonly (readonly [changes: Record<string, unknown>, message: RegExp])[] = [
  [{ text_config: { ...published.text_config, model_type: "llama" } }, /text_config.*model_type|"gemma"/],
  [{ text_config: undefined }, /text_config/],
  [{ vision_config: { ...published.vision_config, hidden_act: "relu" } }, /gelu_pytorch_tanh/],
  [{ vision_config: { ...published.vision_config, model_type: "clip_vision_model" } }, /siglip_vision_model/],
  [{ vision_config: { ...published.vision_config, num_attention_heads: 7 } }, /\(1152\) is not divisible by/],
  [{ vision_config: { ...published.vision_config, patch_size: 500 } }, /\(500\) is larger than/],
  [{ image_token_index: undefined }, /image_token_index/],
  [{ projection_dim: 1024 }, /"projection_dim" \(1024\) must be the hidden size of the decoder/],
];

for (const [changes, message] of wrong) {
  Deno.test(`paliGemma.readConfig() rejects ${JSON.stringify(changes).slice(0, 60)}`, () => {
    assert.throws(() => paliGemma.readConfig(config(changes)), message);
  });
}

Deno.test("paliGemma.readConfig() rejects the config of another architecture", () => {
  assert.throws(() => paliGemma.readConfig({ ...config(), modelType: "gemma" }), {
    name: "TypeError",
    message: 'Cannot use "m/config.json" for PaliGemma: "model_type" is "gemma", expected "paligemma"',
  });
});
