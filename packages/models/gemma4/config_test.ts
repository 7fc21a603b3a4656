import assert from "node:assert/strict";
import type { HfConfig } from "../architecture/hf_config.ts";
import { gemma4 } from "./gemma4.ts";
import { gemma4Sizes } from "./presets.ts";

const [sliding, full] = ["sliding_attention", "full_attention"] as const;
const published = (windows: number, repeats: number) =>
  Array.from({ length: repeats }, () => [...Array.from({ length: windows }, () => sliding), full]).flat();

/** The text fields that published files have alike. */
const text = {
  attention_bias: false,
  attention_dropout: 0.0,
  attention_k_eq_v: false,
  bos_token_id: 2,
  dtype: "bfloat16",
  enable_moe_block: false,
  eos_token_id: 1,
  expert_intermediate_size: null,
  final_logit_softcapping: 30.0,
  global_head_dim: 512,
  head_dim: 256,
  hidden_activation: "gelu_pytorch_tanh",
  initializer_range: 0.02,
  max_position_embeddings: 131072,
  model_type: "gemma4_text",
  moe_intermediate_size: null,
  num_experts: null,
  num_global_key_value_heads: null,
  pad_token_id: 0,
  rms_norm_eps: 1e-6,
  rope_parameters: {
    full_attention: { partial_rotary_factor: 0.25, rope_theta: 1000000.0, rope_type: "proportional" },
    sliding_attention: { rope_theta: 10000.0, rope_type: "default" },
  },
  tie_word_embeddings: true,
  top_k_experts: null,
  use_bidirectional_attention: null,
  use_cache: true,
  use_double_wide_mlp: false,
  vocab_size: 262144,
  vocab_size_per_layer_input: 262144,
};

const large = {
  ...text,
  attention_k_eq_v: true,
  use_bidirectional_attention: "vision",
  max_position_embeddings: 262144,
};

/** The text configs of the published dense models. */
const models = {
  e2b: {
    ...text,
    hidden_size: 1536,
    hidden_size_per_layer_input: 256,
    intermediate_size: 6144,
    layer_types: published(4, 7),
    num_attention_heads: 8,
    num_hidden_layers: 35,
    num_key_value_heads: 1,
    num_kv_shared_layers: 20,
    sliding_window: 512,
    use_double_wide_mlp: true,
  },
  e4b: {
    ...text,
    hidden_size: 2560,
    hidden_size_per_layer_input: 256,
    intermediate_size: 10240,
    layer_types: published(5, 7),
    num_attention_heads: 8,
    num_hidden_layers: 42,
    num_key_value_heads: 2,
    num_kv_shared_layers: 18,
    sliding_window: 512,
  },
  "12b": {
    ...large,
    model_type: "gemma4_unified_text",
    hidden_size: 3840,
    intermediate_size: 15360,
    layer_types: published(5, 8),
    num_attention_heads: 16,
    num_global_key_value_heads: 1,
    num_hidden_layers: 48,
    num_key_value_heads: 8,
    num_kv_shared_layers: 0,
    sliding_window: 1024,
  },
  "31b": {
    ...large,
    hidden_size: 5376,
    hidden_size_per_layer_input: 0,
    intermediate_size: 21504,
    layer_types: published(5, 10),
    num_attention_heads: 32,
    num_global_key_value_heads: 4,
    num_hidden_layers: 60,
    num_key_value_heads: 16,
    num_kv_shared_layers: 0,
    sliding_window: 1024,
  },
};

function read(raw: Record<string, unknown>) {
  const file: HfConfig = { path: "m/config.json", modelType: String(raw.model_type), raw };
  return gemma4.readConfig(file);
}

/** A whole file as the repositories have it, towers included. */
function whole(text: Record<string, unknown>): Record<string, unknown> {
  const model_type = String(text.model_type).replace(/_text$/, "");
  const towers = { audio_config: { model_type: "gemma4_audio" }, vision_config: { model_type: "gemma4_vision" } };
  return {
    model_type,
    eos_token_id: [1, 106],
    image_token_id: 258880,
    text_config: text,
    tie_word_embeddings: true,
    ...towers,
  };
}

/** A config without what says nothing. */
function essence(config: Record<string, unknown>): Record<string, unknown> {
  const nothing: Record<string, unknown> = {
    numKvSharedLayers: 0,
    useDoubleWideMlp: false,
    attentionBias: false,
    attentionKeyEqualsValue: false,
    hiddenSizePerLayerInput: 0,
    tieWordEmbeddings: true,
    layerNormEpsilon: 1e-6,
    localRopePartialRotaryFactor: 1,
    localRopeScalingFactor: 1,
    globalRopeScalingFactor: 1,
  };
  const { vocabSizePerLayerInput, numGlobalKeyValueHeads, ...rest } = config;
  return {
    ...Object.fromEntries(
      Object.entries(rest).filter(([name, value]) => !(name in nothing) || value !== nothing[name]),
    ),
    numGlobalKeyValueHeads: numGlobalKeyValueHeads ?? config.numKeyValueHeads,
    ...(config.hiddenSizePerLayerInput ? { vocabSizePerLayerInput } : {}),
  };
}

for (const [size, raw] of Object.entries(models)) {
  const preset = gemma4Sizes[size as keyof typeof models];
  Deno.test(`gemma4.readConfig() finds the dimensions of the preset in the published file of ${size}`, () => {
    const { config, text } = read(whole(raw));
    assert.deepEqual(essence({ ...config }), essence({ ...preset }));
    assert.deepEqual(text.eosTokenIds, [1, 106]);
    assert.equal(text.contextLength, raw.max_position_embeddings);
    // The text alone differs by its name only.
    assert.deepEqual({ ...read(raw).config, modelType: config.modelType }, config);
  });

  Deno.test(`the config of ${size} is the same after a way through Hugging Face's, with and without towers`, () => {
    for (const file of [whole(raw), raw]) {
      const found = read(file);
      const written = gemma4.writeConfig(found.config, found.text, "bfloat16");
      assert.deepEqual(read(JSON.parse(JSON.stringify(written))), found);
    }
  });
}

Deno.test("gemma4.writeConfig() writes a model that was loaded without its towers as one that has none", () => {
  const { config, text } = read(whole(models.e2b));
  const written = gemma4.writeConfig(config, text, "float32");
  assert.deepEqual([written.model_type, written.architectures], ["gemma4", ["Gemma4ForConditionalGeneration"]]);
  assert.deepEqual([written.vision_config, written.audio_config], [null, null]);
  assert.equal((written.text_config as Record<string, unknown>).model_type, "gemma4_text");
});

const sizes = {
  model_type: "gemma4_text",
  vocab_size: 96,
  hidden_size: 32,
  intermediate_size: 24,
  num_hidden_layers: 8,
  num_attention_heads: 4,
};

Deno.test("gemma4.readConfig() fills in the defaults of Transformers", () => {
  const { config } = read({ ...sizes });
  assert.deepEqual(config, {
    modelType: "gemma4_text",
    vocabularySize: 96,
    numLayers: 8,
    numQueryHeads: 4,
    numKeyValueHeads: 4,
    numGlobalKeyValueHeads: 4,
    hiddenDim: 32,
    intermediateDim: 24,
    headDim: 256,
    globalHeadDim: 512,
    attentionKeyEqualsValue: false,
    attentionBias: false,
    numKvSharedLayers: 0,
    useDoubleWideMlp: false,
    hiddenSizePerLayerInput: 256,
    vocabSizePerLayerInput: 262_144,
    finalLogitSoftCap: null,
    slidingWindowSize: 512,
    layerTypes: [sliding, sliding, sliding, sliding, sliding, full, sliding, full],
    localRopeWavelength: 10_000,
    localRopeScalingFactor: 1,
    localRopePartialRotaryFactor: 1,
    globalRopeWavelength: 1_000_000,
    globalRopeScalingFactor: 1,
    globalRopePartialRotaryFactor: 0.25,
    layerNormEpsilon: 1e-6,
    tieWordEmbeddings: true,
  });
  const unified = read({ ...sizes, model_type: "gemma4_unified_text" }).config;
  assert.deepEqual([unified.slidingWindowSize, unified.hiddenSizePerLayerInput ?? 0], [1024, 0]);
});

Deno.test("gemma4.readConfig() reads heads layer by layer, and makes the last layer global, as Transformers 5.23 does", () => {
  const layer_types = [sliding, full, sliding, sliding, sliding, sliding, sliding, sliding];
  const per_layer_config = { 1: { head_dim: 16, num_key_value_heads: 2 }, 7: { num_key_value_heads: 2, head_dim: 16 } };
  const { config } = read({ ...sizes, head_dim: 8, layer_types, per_layer_config, global_head_dim: 64 });
  assert.deepEqual([config.headDim, config.globalHeadDim], [8, 16]);
  assert.deepEqual([config.numKeyValueHeads, config.numGlobalKeyValueHeads], [4, 2]);
  assert.equal(config.layerTypes!.at(-1), full);
  // As no other field says that, it is written so too.
  const back = gemma4.writeConfig(
    config,
    gemma4.readConfig({ path: "c", modelType: "gemma4_text", raw: sizes }).text,
    "float32",
  );
  assert.deepEqual(back.per_layer_config, per_layer_config);
  assert.deepEqual(read({ ...sizes, head_dim: 8, per_layer_config: {} }).config.globalHeadDim, 8);
});

/** Fields that are refused, and what the message must say. */
const refused: readonly { name: string; fields: Record<string, unknown>; says: RegExp }[] = [
  {
    name: "a mixture of experts",
    fields: { enable_moe_block: true },
    says: /"enable_moe_block" .* mixture of experts/,
  },
  {
    name: "attention both ways",
    fields: { use_bidirectional_attention: "all" },
    says: /"use_bidirectional_attention" is/,
  },
  { name: "another activation", fields: { hidden_activation: "silu" }, says: /"hidden_activation" is "silu"/ },
  {
    name: "a rotary embedding that is not computed",
    fields: { rope_parameters: { full_attention: { rope_type: "yarn", rope_theta: 1e4 } } },
    says: /rope_parameters\.full_attention\.rope_type.*default, proportional and linear/,
  },
  {
    name: "a linear one without its factor",
    fields: { rope_parameters: { full_attention: { rope_type: "linear", rope_theta: 1e4 } } },
    says: /needs a "factor"/,
  },
  {
    name: "layers of one kind with different heads",
    fields: {
      layer_types: [full, full, full, full, full, full, full, full],
      per_layer_config: { 2: { head_dim: 16 } },
    },
    says: /"per_layer_config" gives layers of one kind, full_attention, different heads/,
  },
  { name: "other differences between layers", fields: { per_layer_config: { 2: { skip: ["mlp"] } } }, says: /skip/ },
  {
    name: "key heads that do not divide",
    fields: { num_key_value_heads: 3 },
    says: /\(4\) is not divisible by .* \(3\)/,
  },
  {
    name: "shared keys that no layer makes",
    fields: { num_kv_shared_layers: 3 },
    says: /"num_kv_shared_layers" \(3 of 8\) leaves no layer with full_attention/,
  },
  { name: "nothing but shared keys", fields: { num_kv_shared_layers: 8 }, says: /leaves no layer/ },
  {
    name: "too few tokens with inputs of layers",
    fields: { vocab_size_per_layer_input: 95 },
    says: /"vocab_size_per_layer_input" \(95\) must be at least "vocab_size" \(96\)/,
  },
  { name: "a misspelt field", fields: { num_kv_share_layers: 2 }, says: /did you mean "num_kv_shared_layers"/ },
];

for (const { name, fields, says } of refused) {
  Deno.test(`gemma4.readConfig() refuses ${name}`, () => {
    const layer_types = name.startsWith("shared") ? [...Array.from({ length: 7 }, () => sliding), full] : undefined;
    assert.throws(
      () =>
        read({ ...sizes, num_key_value_heads: 2, ...(layer_types === undefined ? {} : { layer_types }), ...fields }),
      (error: Error) => {
        assert.match(error.message, says);
        assert.match(error.message, /m\/config\.json/);
        return true;
      },
    );
  });
}
