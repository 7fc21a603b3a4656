import assert from "node:assert/strict";
import { buildPreset } from "../presets/presets.ts";
import { gemma3Vision, type Gemma3VisionConfig } from "./gemma3_vision.ts";

/** The config of google/gemma-3-4b-it, which leaves out what is a default. */
const published = {
  architectures: ["Gemma3ForConditionalGeneration"],
  boi_token_index: 255999,
  eoi_token_index: 256000,
  eos_token_id: [1, 106],
  image_token_index: 262144,
  initializer_range: 0.02,
  mm_tokens_per_image: 256,
  model_type: "gemma3",
  text_config: {
    hidden_size: 2560,
    intermediate_size: 10240,
    model_type: "gemma3_text",
    num_hidden_layers: 34,
    rope_scaling: { factor: 8.0, rope_type: "linear" },
    sliding_window: 1024,
  },
  torch_dtype: "bfloat16",
  transformers_version: "4.50.0.dev0",
  vision_config: {
    hidden_size: 1152,
    image_size: 896,
    intermediate_size: 4304,
    model_type: "siglip_vision_model",
    num_attention_heads: 16,
    num_hidden_layers: 27,
    patch_size: 14,
    vision_use_head: false,
  },
};

function read(changes: Record<string, unknown> = {}) {
  return gemma3Vision.readConfig({ path: "m/config.json", modelType: "gemma3", raw: { ...published, ...changes } });
}

const preset = buildPreset("gemma3_instruct_4b").backbone.config as Gemma3VisionConfig;

Deno.test("gemma3Vision.readConfig() reads the published config of the 4B", () => {
  const { config, text } = read();
  for (const part of ["text", "vision"] as const) {
    const found: Readonly<Record<string, unknown>> = { ...config[part] };
    for (const [name, value] of Object.entries(preset[part])) assert.deepEqual(found[name], value, name);
  }
  assert.deepEqual(
    [config.tokensPerImage, config.imageTokenId, config.beginImageTokenId, config.endImageTokenId],
    [256, 262_144, 255_999, 256_000],
  );
  assert.deepEqual(text, { contextLength: 131_072, bosTokenId: 2, eosTokenIds: [1, 106], padTokenId: 0 });
});

Deno.test("gemma3Vision.readConfig() reads the names of Transformers 5, and its defaults", () => {
  const { boi_token_index, eoi_token_index, image_token_index, mm_tokens_per_image: _, ...rest } = published;
  const raw = {
    ...rest,
    boi_token_id: boi_token_index,
    eoi_token_id: eoi_token_index,
    image_token_id: image_token_index,
  };
  assert.deepEqual(gemma3Vision.readConfig({ path: "c", modelType: "gemma3", raw }), read());
});

Deno.test("a config is the same after a way through Hugging Face's", () => {
  for (const name of ["gemma3_4b", "gemma3_12b", "gemma3_27b"]) {
    const config = buildPreset(name).backbone.config as Gemma3VisionConfig;
    const { text } = read();
    const written = JSON.parse(JSON.stringify(gemma3Vision.writeConfig(config, text, "bfloat16")));
    const back = gemma3Vision.readConfig({ path: "c", modelType: "gemma3", raw: written });
    assert.deepEqual(back.text, text);
    assert.deepEqual(JSON.parse(JSON.stringify(gemma3Vision.writeConfig(back.config, text, "bfloat16"))), written);
    assert.deepEqual(back.config.vision, { ...config.vision, layerNormEpsilon: 1e-6 });
    assert.equal(back.config.text.numLayers, config.text.numLayers);
  }
});

const { text_config, vision_config } = published;
const wrong: readonly (readonly [name: string, changes: Record<string, unknown>, says: RegExp])[] = [
  [
    "another decoder",
    { text_config: { ...text_config, model_type: "gemma2" } },
    /text_config.*model_type|"gemma3_text"/,
  ],
  ["no decoder", { text_config: undefined }, /text_config/],
  ["capped logits", { text_config: { ...text_config, final_logit_softcapping: 30 } }, /final_logit_softcapping" is 30/],
  [
    "attention both ways",
    { text_config: { ...text_config, use_bidirectional_attention: true } },
    /"use_bidirectional_attention" is true/,
  ],
  ["another tower", { vision_config: { ...vision_config, model_type: "clip_vision_model" } }, /siglip_vision_model/],
  ["tokens that are no square", { mm_tokens_per_image: 200 }, /"mm_tokens_per_image" \(200\) is not a square number/],
  ["more tokens than patches", { mm_tokens_per_image: 65 ** 2 }, /\(4225\) cannot be pooled from 64 × 64 patches/],
  ["pools that leave others", { mm_tokens_per_image: 400 }, /\(400\) cannot be pooled from 64 × 64 patches/],
  [
    "a misspelt field",
    { mm_token_per_image: 256, mm_tokens_per_image: undefined },
    /did you mean "mm_tokens_per_image"/,
  ],
];

for (const [name, changes, says] of wrong) {
  Deno.test(`gemma3Vision.readConfig() refuses ${name}`, () => {
    assert.throws(() => read(changes), (error: Error) => {
      assert.match(error.message, says);
      assert.match(error.message, /m\/config\.json/);
      return true;
    });
  });
}
