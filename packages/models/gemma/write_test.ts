import assert from "node:assert/strict";
import { gemma, gemmaAttentionScale, type GemmaConfig, gemmaLayerTypes } from "./gemma.ts";

const text = { contextLength: 8192, bosTokenId: 2, eosTokenIds: [1], padTokenId: 0 };

const gemma1: GemmaConfig = {
  vocabularySize: 256_000,
  numLayers: 18,
  numQueryHeads: 8,
  numKeyValueHeads: 1,
  hiddenDim: 2048,
  intermediateDim: 32_768,
  headDim: 256,
};
const gemma2: GemmaConfig = {
  ...gemma1,
  numKeyValueHeads: 4,
  usePostFfwNorm: true,
  usePostAttentionNorm: true,
  attentionLogitSoftCap: 50,
  finalLogitSoftCap: 30,
  useSlidingWindowAttention: true,
  slidingWindowSize: 4096,
};
const gemma27b: GemmaConfig = {
  ...gemma2,
  numLayers: 46,
  numQueryHeads: 32,
  numKeyValueHeads: 16,
  hiddenDim: 4608,
  headDim: 128,
  queryHeadDimNormalize: false,
};

function write(config: GemmaConfig) {
  return gemma.writeConfig(config, text, "bfloat16");
}

function read(raw: Record<string, unknown>): GemmaConfig {
  const file = { path: "config.json", modelType: String(raw.model_type), raw: JSON.parse(JSON.stringify(raw)) };
  return gemma.readConfig(file).config;
}

for (const [name, config] of Object.entries({ gemma1, gemma2, gemma27b })) {
  Deno.test(`the config of ${name} is the same after a way through Hugging Face's`, () => {
    const back = read(write(config));
    for (const [field, value] of Object.entries(config)) {
      if (field !== "queryHeadDimNormalize") assert.deepEqual(back[field as keyof GemmaConfig], value, field);
    }
    assert(Math.abs(gemmaAttentionScale(back) - gemmaAttentionScale(config)) < 1e-15);
    assert.deepEqual(gemmaLayerTypes(back), gemmaLayerTypes(config));
    assert.deepEqual(write(back), write(config));
  });
}

Deno.test("gemma.writeConfig() writes the attention scale as the whole number that Transformers wants", () => {
  assert.equal(write(gemma27b).query_pre_attn_scalar, 144);
  for (let scalar = 1; scalar <= 512; scalar++) {
    const config = { ...gemma2, attentionScale: scalar ** -0.5 };
    assert.equal(write(config).query_pre_attn_scalar, scalar);
  }
});

for (
  const [what, config, words] of [
    ["a capped Gemma 1", { ...gemma1, finalLogitSoftCap: 30 }, "finalLogitSoftCap"],
    ["a Gemma 1 with a window", { ...gemma1, useSlidingWindowAttention: true }, "sliding windows"],
    ["a Gemma 1 with another scale", { ...gemma1, attentionScale: 1 }, "attention scale"],
    ["one post-norm without the other", { ...gemma2, usePostAttentionNorm: false }, "usePostFfwNorm without"],
    ["the other post-norm without the one", { ...gemma1, usePostAttentionNorm: true }, "usePostAttentionNorm without"],
  ] satisfies [string, GemmaConfig, string][]
) {
  Deno.test(`gemma.writeConfig() rejects ${what}, which no checkpoint could hold`, () => {
    assert.throws(() => write(config), { name: "TypeError", message: new RegExp(words) });
  });
}

Deno.test("every other layer of a Gemma 2 has a window, from the first", () => {
  const window = gemmaLayerTypes(gemma2).map((kind) => kind === "sliding_attention");
  assert.deepEqual(window.slice(0, 4), [true, false, true, false]);
  assert(gemmaLayerTypes(gemma1).every((kind) => kind === "full_attention"));
  assert.deepEqual(gemmaLayerTypes({ ...gemma2, layerTypes: ["full_attention"] }), ["full_attention"]);
});
