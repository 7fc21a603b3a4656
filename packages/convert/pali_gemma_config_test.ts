import assert from "node:assert/strict";
import type { HfConfig } from "./hf_config.ts";
import { paliGemmaConfig } from "./pali_gemma_config.ts";

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

Deno.test("paliGemmaConfig() reads a published config", () => {
  const { text, vision, image_token_index, dtype } = paliGemmaConfig(config());
  // The width of a head is not the number of image tokens, which happens to be 256 at 224 pixels.
  assert.equal(text.head_dim, 256);
  assert.deepEqual([text.model_type, text.vocab_size, text.eos_token_id, text.bos_token_id], ["gemma", 257216, [1], 2]);
  assert.deepEqual(vision, {
    hidden_size: 1152,
    intermediate_size: 4304,
    num_hidden_layers: 27,
    num_attention_heads: 16,
    image_size: 448,
    patch_size: 14,
    layer_norm_eps: 1e-6,
  });
  assert.deepEqual([image_token_index, dtype], [257152, "bfloat16"]);
});

Deno.test("paliGemmaConfig() takes images of 224 pixels where the file names no size", () => {
  const { image_size: _, ...vision_config } = published.vision_config;
  assert.equal(paliGemmaConfig(config({ vision_config })).vision.image_size, 224);
});

Deno.test("paliGemmaConfig() reads PaliGemma 2's decoder, and Transformers 5's spelling", () => {
  const text_config = {
    ...published.text_config,
    model_type: "gemma2",
    hidden_activation: "gelu_pytorch_tanh",
    use_bidirectional_attention: true,
    bos_token_id: null,
    dtype: "bfloat16",
  };
  const { image_token_index, ...rest } = published;
  const found = paliGemmaConfig({
    path: "m/config.json",
    modelType: "paligemma",
    raw: { ...rest, image_token_id: image_token_index, text_config },
  });
  assert.equal(found.text.model_type, "gemma2");
  assert.equal(found.text.sliding_window, 4096);
  assert.equal(found.text.bos_token_id, 2);
  assert.equal(found.image_token_index, 257152);
});

const wrong: readonly (readonly [changes: Record<string, unknown>, message: RegExp])[] = [
  [{ text_config: { ...published.text_config, model_type: "llama" } }, /text_config.*model_type|"gemma"/],
  [{ text_config: undefined }, /text_config/],
  [{ vision_config: { ...published.vision_config, hidden_act: "relu" } }, /gelu_pytorch_tanh/],
  [{ vision_config: { ...published.vision_config, model_type: "clip_vision_model" } }, /siglip_vision_model/],
  [{ vision_config: { ...published.vision_config, num_attention_heads: 7 } }, /\(1152\) is not divisible by/],
  [{ vision_config: { ...published.vision_config, patch_size: 500 } }, /\(500\) is larger than/],
  [{ image_token_index: undefined }, /image_token_index/],
  [{ projection_dim: 1024 }, /"projection_dim" \(1024\) must be the width of the decoder/],
];

for (const [changes, message] of wrong) {
  Deno.test(`paliGemmaConfig() rejects ${JSON.stringify(changes).slice(0, 60)}`, () => {
    assert.throws(() => paliGemmaConfig(config(changes)), message);
  });
}

Deno.test("paliGemmaConfig() rejects the config of another architecture", () => {
  assert.throws(() => paliGemmaConfig({ ...config(), modelType: "gemma" }), {
    name: "TypeError",
    message: 'Cannot use "m/config.json" for PaliGemma: "model_type" is "gemma", expected "paligemma"',
  });
});
