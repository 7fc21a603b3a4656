import assert from "node:assert/strict";
import type { HfConfig } from "../architecture/hf_config.ts";
import { gemma } from "./gemma.ts";

const sizes = {
  vocab_size: 256,
  hidden_size: 48,
  intermediate_size: 96,
  num_hidden_layers: 3,
  num_attention_heads: 4,
  num_key_value_heads: 2,
};

function config(modelType: string, fields: Record<string, unknown>): HfConfig {
  return { path: "m/config.json", modelType, raw: { model_type: modelType, ...sizes, ...fields } };
}

const read = {
  vocabularySize: 256,
  hiddenDim: 48,
  intermediateDim: 192,
  numLayers: 3,
  numQueryHeads: 4,
  numKeyValueHeads: 2,
};

Deno.test("gemma.readConfig() fills in the defaults of Transformers for Gemma 2", () => {
  const found = gemma.readConfig(config("gemma2", {}));
  assert.deepEqual(found.config, {
    ...read,
    headDim: 256,
    queryHeadDimNormalize: true,
    attentionScale: 1 / 16,
    usePostFfwNorm: true,
    usePostAttentionNorm: true,
    attentionLogitSoftCap: 50,
    finalLogitSoftCap: 30,
    useSlidingWindowAttention: true,
    slidingWindowSize: 4096,
    layerTypes: ["sliding_attention", "full_attention", "sliding_attention"],
    ropeMaxWavelength: 10000,
    layerNormEpsilon: 1e-6,
  });
  assert.deepEqual(found.text, { contextLength: 8192, bosTokenId: 2, eosTokenIds: [1], padTokenId: 0 });
  assert.equal(gemma.readConfig(config("gemma2", { num_key_value_heads: undefined })).config.numKeyValueHeads, 4);
});

Deno.test("gemma.readConfig() gives Gemma 1 no caps, no window and the scale of its heads", () => {
  const fields = { head_dim: 16, hidden_act: "gelu", hidden_activation: null };
  const found = gemma.readConfig(config("gemma", fields)).config;
  assert.equal(found.attentionScale, 1 / 4);
  assert.deepEqual(
    [found.attentionLogitSoftCap, found.finalLogitSoftCap, found.useSlidingWindowAttention, found.usePostFfwNorm],
    [undefined, undefined, false, false],
  );
  assert.deepEqual(found.layerTypes, ["full_attention", "full_attention", "full_attention"]);
});

Deno.test("gemma.readConfig() reads the old spelling and that of Transformers 5 alike", () => {
  const same = { head_dim: 16, rms_norm_eps: 1e-5, eos_token_id: [1, 107], attn_logit_softcapping: null };
  const old = { ...same, rope_theta: 5000, rope_scaling: null, torch_dtype: "bfloat16" };
  const today = gemma.readConfig(config("gemma2", {
    ...same,
    rope_parameters: { rope_theta: 5000, rope_type: "default" },
    layer_types: ["sliding_attention", "full_attention", "sliding_attention"],
    dtype: "bfloat16",
  }));
  assert.deepEqual(gemma.readConfig(config("gemma2", old)), today);
  assert.equal(today.config.ropeMaxWavelength, 5000);
  assert.equal(today.config.attentionLogitSoftCap, null);
  assert.deepEqual(today.text.eosTokenIds, [1, 107]);
});

Deno.test("gemma.readConfig() accepts the fields of a released checkpoint", () => {
  // As in the published Gemma 2 files, old fields without a meaning here included.
  gemma.readConfig(config("gemma2", {
    architectures: ["Gemma2ForCausalLM"],
    attention_bias: false,
    attention_dropout: 0.0,
    cache_implementation: "hybrid",
    hidden_act: "gelu_pytorch_tanh",
    hidden_activation: "gelu_pytorch_tanh",
    initializer_range: 0.02,
    sliding_window_size: 4096,
    transformers_version: "4.42.0.dev0",
    use_cache: true,
    cls_token_id: null,
    sep_token_id: null,
  }));
});

/** Fields that are wrong, and what the message must say. */
const cases: readonly { name: string; type?: string; fields: Record<string, unknown>; says: RegExp }[] = [
  {
    name: "another architecture",
    type: "llama",
    fields: {},
    says: /"model_type" is "llama", expected "gemma" or "gemma2"/,
  },
  { name: "a missing size", fields: { hidden_size: undefined }, says: /"hidden_size" is missing/ },
  {
    name: "a misspelled required field",
    fields: { num_hidden_layers: undefined, num_hiden_layers: 3 },
    says: /"num_hiden_layers" is not a known field, did you mean "num_hidden_layers"\?$/,
  },
  {
    name: "a misspelled optional field",
    fields: { attn_logit_softcaping: 50 },
    says: /"attn_logit_softcaping" .* did you mean "attn_logit_softcapping"\?/,
  },
  { name: "a size that is text", fields: { head_dim: "16" }, says: /"head_dim" is "16": .*number/ },
  { name: "a size of zero", fields: { num_attention_heads: 0 }, says: /"num_attention_heads" is 0/ },
  { name: "heads that do not divide", fields: { num_key_value_heads: 3 }, says: /\(4\) is not divisible by .* \(3\)/ },
  {
    name: "a head of its own",
    fields: { tie_word_embeddings: false },
    says: /"tie_word_embeddings" is false: .* only true/,
  },
  { name: "attention biases", fields: { attention_bias: true }, says: /"attention_bias" is true: .* only false/ },
  {
    name: "attention both ways",
    fields: { use_bidirectional_attention: true },
    says: /"use_bidirectional_attention" is true/,
  },
  {
    name: "another activation",
    fields: { hidden_activation: "silu" },
    says: /"hidden_activation" is "silu": .*gelu_pytorch_tanh/,
  },
  {
    name: "another activation in Gemma 1",
    type: "gemma",
    fields: { hidden_act: "relu" },
    says: /"hidden_act" is "relu"/,
  },
  { name: "scaled positions", fields: { rope_scaling: { type: "linear", factor: 2 } }, says: /has type "linear"/ },
  { name: "sliding layers without a window", fields: { sliding_window: null }, says: /"sliding_window" is null, but/ },
];

for (const { name, type, fields, says } of cases) {
  Deno.test(`gemma.readConfig() refuses ${name}`, () => {
    assert.throws(() => gemma.readConfig(config(type ?? "gemma2", fields)), (error: Error) => {
      assert.match(error.message, says);
      assert.match(error.message, /m\/config\.json/);
      return true;
    });
  });
}
