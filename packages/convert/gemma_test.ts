import assert from "node:assert/strict";
import { gemmaConfig } from "./gemma_config.ts";
import { gemmaAttentionScale, type GemmaConfig, gemmaFromHf, gemmaLayerTypes, gemmaToHf } from "./gemma.ts";

const text = { maxPositionEmbeddings: 8192, bosTokenId: 2, eosTokenIds: [1], padTokenId: 0, dtype: "bfloat16" };

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

function parse(raw: Record<string, unknown>) {
  return gemmaConfig({ path: "config.json", modelType: String(raw.model_type), raw: JSON.parse(JSON.stringify(raw)) });
}

for (const [name, config] of Object.entries({ gemma1, gemma2, gemma27b })) {
  Deno.test(`the config of ${name} is the same after a way through Hugging Face's`, () => {
    const back = gemmaFromHf(parse(gemmaToHf(config, text)));
    for (const [field, value] of Object.entries(config)) {
      if (field !== "queryHeadDimNormalize") assert.deepEqual(back[field as keyof GemmaConfig], value, field);
    }
    assert(Math.abs(gemmaAttentionScale(back) - gemmaAttentionScale(config)) < 1e-15);
    assert.deepEqual(gemmaLayerTypes(back), gemmaLayerTypes(config));
    assert.deepEqual(gemmaToHf(back, text), gemmaToHf(config, text));
  });
}

Deno.test("gemmaToHf() writes the attention scale as the whole number that Transformers wants", () => {
  assert.equal(gemmaToHf(gemma27b, text).query_pre_attn_scalar, 144);
  for (let scalar = 1; scalar <= 512; scalar++) {
    const config = { ...gemma2, attentionScale: scalar ** -0.5 };
    assert.equal(gemmaToHf(config, text).query_pre_attn_scalar, scalar);
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
  Deno.test(`gemmaToHf() rejects ${what}, which no checkpoint could hold`, () => {
    assert.throws(() => gemmaToHf(config, text), { name: "TypeError", message: new RegExp(words) });
  });
}

Deno.test("gemmaFromHf() rejects a head of its own", () => {
  const raw = { ...gemmaToHf(gemma2, text), tie_word_embeddings: false };
  assert.throws(() => gemmaFromHf(parse(raw)), { name: "TypeError", message: /tie_word_embeddings/ });
});

Deno.test("every other layer of a Gemma 2 has a window, from the first", () => {
  const window = gemmaLayerTypes(gemma2).map((kind) => kind === "sliding_attention");
  assert.deepEqual(window.slice(0, 4), [true, false, true, false]);
  assert(gemmaLayerTypes(gemma1).every((kind) => kind === "full_attention"));
  assert.deepEqual(gemmaLayerTypes({ ...gemma2, layerTypes: ["full_attention"] }), ["full_attention"]);
});
