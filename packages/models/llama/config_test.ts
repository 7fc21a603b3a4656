import assert from "node:assert/strict";
import type { HfConfig } from "../architecture/hf_config.ts";
import type { YarnRope } from "../architecture/rope_scaling.ts";
import { llama, llamaHeadDim, llamaScaling } from "./llama.ts";

const sizes = {
  vocab_size: 256,
  hidden_size: 64,
  intermediate_size: 96,
  num_hidden_layers: 3,
  num_attention_heads: 4,
  num_key_value_heads: 2,
};
const stretched = {
  rope_type: "llama3",
  factor: 8.0,
  low_freq_factor: 1.0,
  high_freq_factor: 4.0,
  original_max_position_embeddings: 8192,
};

function config(fields: Record<string, unknown>, modelType = "llama"): HfConfig {
  return { path: "m/config.json", modelType, raw: { model_type: modelType, ...sizes, ...fields } };
}

function read(fields: Record<string, unknown>) {
  return llama.readConfig(config(fields));
}

Deno.test("llama.readConfig() fills in the defaults of Transformers", () => {
  const found = read({ num_key_value_heads: undefined });
  assert.deepEqual(found.config, {
    vocabularySize: 256,
    hiddenDim: 64,
    intermediateDim: 96,
    numLayers: 3,
    numQueryHeads: 4,
    numKeyValueHeads: 4,
    ropeMaxWavelength: 10000,
    ropeScaling: null,
    layerNormEpsilon: 1e-6,
    attentionBias: false,
    mlpBias: false,
    tieWordEmbeddings: false,
  });
  assert.equal(llamaHeadDim(found.config), 16);
  assert.deepEqual(found.text, { contextLength: 2048, bosTokenId: 1, eosTokenIds: [2], padTokenId: null });
});

const llama3Scaling = {
  type: "llama3",
  factor: 8,
  lowFreqFactor: 1,
  highFreqFactor: 4,
  pretrainingSequenceLength: 8192,
} as const;

Deno.test("llama.readConfig() reads the old spelling and that of Transformers 5 alike", () => {
  const old = read({ rope_theta: 500000.0, rope_scaling: stretched, torch_dtype: "bfloat16" });
  const today = read({ rope_parameters: { rope_theta: 500000.0, ...stretched }, dtype: "bfloat16" });
  assert.deepEqual(old, today);
  assert.equal(today.config.ropeMaxWavelength, 500000);
  assert.deepEqual(llamaScaling(today.config), llama3Scaling);
  // "type" is the name of rope_type before Transformers 4.43.
  const { rope_type, ...rest } = stretched;
  assert.deepEqual(llamaScaling(read({ rope_scaling: { type: rope_type, ...rest } }).config), llama3Scaling);
});

Deno.test("llama.readConfig() stretches the whole context where the file does not say which", () => {
  const { original_max_position_embeddings: _, ...rest } = stretched;
  const found = read({ rope_scaling: rest, max_position_embeddings: 4096 });
  assert.equal(found.config.ropePretrainingSequenceLength, 4096);
  // Outside of the scaling's own fields it counts for more than within them, as in Transformers.
  const outside = read({ rope_scaling: stretched, original_max_position_embeddings: 1024 });
  assert.equal(outside.config.ropePretrainingSequenceLength, 1024);
});

const yarn = { rope_type: "yarn", factor: 4 };
const yarnDefaults: YarnRope = {
  type: "yarn",
  factor: 4,
  betaFast: 32,
  betaSlow: 1,
  truncate: true,
  attentionFactor: 0.1 * Math.log(4) + 1,
  pretrainingSequenceLength: 2048,
};

/** Other scalings as files have them, and what they mean. */
const scalings: readonly { readonly name: string; readonly says: object; readonly means: object }[] = [
  { name: "linear", says: { rope_type: "linear", factor: 4 }, means: { type: "linear", factor: 4 } },
  {
    name: "dynamic",
    says: { rope_type: "dynamic", factor: 2.5 },
    means: { type: "dynamic", factor: 2.5, pretrainingSequenceLength: 2048 },
  },
  { name: "yarn", says: yarn, means: yarnDefaults },
  {
    name: "yarn with two weights of attention",
    says: { ...yarn, mscale: 0.5, mscale_all_dim: 2, beta_fast: null, beta_slow: 0 },
    means: { ...yarnDefaults, attentionFactor: (0.05 * Math.log(4) + 1) / (0.2 * Math.log(4) + 1) },
  },
  {
    name: "yarn with all that counts",
    says: {
      ...yarn,
      mscale: 1,
      attention_factor: 1.5,
      beta_fast: 8,
      truncate: false,
      original_max_position_embeddings: 64,
    },
    means: { ...yarnDefaults, attentionFactor: 1.5, betaFast: 8, truncate: false, pretrainingSequenceLength: 64 },
  },
];

for (const { name, says, means } of scalings) {
  Deno.test(`llama.readConfig() reads ${name} positions in all three spellings`, () => {
    const { rope_type: type, ...rest } = says as { rope_type: string };
    for (
      const fields of [
        { rope_scaling: says, rope_theta: 500 },
        { rope_scaling: { type, ...rest }, rope_theta: 500 },
        { rope_parameters: { ...says, rope_theta: 500 } },
      ]
    ) {
      const found = read(fields).config;
      assert.deepEqual(found.ropeScaling, means);
      assert.equal(found.ropeMaxWavelength, 500);
    }
  });
}

Deno.test("llama.readConfig() reads biases", () => {
  const { attentionBias, mlpBias } = read({ attention_bias: true, mlp_bias: true }).config;
  assert.deepEqual([attentionBias, mlpBias], [true, true]);
});

Deno.test("llama.readConfig() accepts the fields of released checkpoints", () => {
  const released = {
    architectures: ["LlamaForCausalLM"],
    attention_bias: false,
    attention_dropout: 0.0,
    bos_token_id: 128000,
    eos_token_id: [128001, 128008, 128009],
    hidden_act: "silu",
    initializer_range: 0.02,
    max_position_embeddings: 131072,
    mlp_bias: false,
    pretraining_tp: 1,
    rms_norm_eps: 1e-5,
    rope_scaling: stretched,
    rope_theta: 500000.0,
    tie_word_embeddings: false,
    torch_dtype: "bfloat16",
    transformers_version: "4.43.0.dev0",
    use_cache: true,
  };
  assert.deepEqual(read(released).text.eosTokenIds, [128001, 128008, 128009]);
  // The first Llama 3 names neither head_dim nor biases; fine-tunes add fields of their own.
  read({ rope_scaling: null, pad_token_id: -1, _name_or_path: "x", unsloth_version: "2024.9" });
});

Deno.test("llama.readConfig() takes the head dimension from the file, whatever hidden_size is", () => {
  assert.equal(llamaHeadDim(read({ head_dim: 24 }).config), 24);
  assert.equal(llamaHeadDim(read({ head_dim: null }).config), 16);
  assert.equal(llamaHeadDim(read({ head_dim: 24, hidden_size: 66 }).config), 24);
});

/** Fields that are wrong, and what the message must say. */
const cases: readonly { name: string; type?: string; fields: Record<string, unknown>; says: RegExp }[] = [
  { name: "another architecture", type: "mistral", fields: {}, says: /"model_type" is "mistral", expected "llama"/ },
  { name: "a missing size", fields: { intermediate_size: undefined }, says: /"intermediate_size" is missing/ },
  {
    name: "a misspelled required field",
    fields: { num_hidden_layers: undefined, num_hiden_layers: 3 },
    says: /"num_hiden_layers" is not a known field, did you mean "num_hidden_layers"\?$/,
  },
  {
    name: "a misspelled optional field",
    fields: { rms_norm_epsl: 1e-5 },
    says: /"rms_norm_epsl" is not a known field, did you mean "rms_norm_eps"\?/,
  },
  {
    name: "a misspelled rotary embedding",
    fields: { rope_parameter: { rope_theta: 5e5 } },
    says: /"rope_parameter" is not a known field, did you mean "rope_parameters"\?/,
  },
  { name: "a size that is text", fields: { hidden_size: "64" }, says: /"hidden_size" is "64": .*number/ },
  { name: "heads that do not divide", fields: { num_key_value_heads: 3 }, says: /\(4\) is not divisible by .* \(3\)/ },
  {
    name: "a hidden size that the heads do not divide",
    fields: { hidden_size: 66 },
    says: /"hidden_size" \(66\) is not divisible by "num_attention_heads" \(4\), and there is no "head_dim"/,
  },
  { name: "biases that are numbers", fields: { attention_bias: 1 }, says: /"attention_bias" is 1: .*boolean/ },
  { name: "another activation", fields: { hidden_act: "gelu" }, says: /"hidden_act" is "gelu": .* only "silu"/ },
  {
    name: "a partial rotation",
    fields: { partial_rotary_factor: 0.5 },
    says: /"partial_rotary_factor" is 0.5: .* only 1/,
  },
  ...["longrope", "su", "proportional"].map((type) => ({
    name: `${type} positions`,
    fields: { rope_scaling: { type, factor: 2 } },
    says: new RegExp(
      `"rope_scaling" has the type "${type}", .* only "default", "linear", "dynamic", "yarn" and "llama3"`,
    ),
  })),
  {
    name: "other positions in the spelling of Transformers 5",
    fields: { rope_parameters: { rope_type: "longrope", rope_theta: 5e5, factor: 2 } },
    says: /"rope_parameters" has the type "longrope"/,
  },
  ...["linear", "dynamic", "yarn"].map((rope_type) => ({
    name: `${rope_type} positions without a factor`,
    fields: { rope_parameters: { rope_type } },
    says: /"rope_parameters.factor" is missing/,
  })),
  {
    name: "yarn positions whose bounds are swapped",
    fields: { rope_scaling: { ...yarn, beta_fast: 1, beta_slow: 32 } },
    says: /"rope_scaling.beta_slow" \(32\) must be at most "rope_scaling.beta_fast" \(1\)/,
  },
  {
    name: "stretched positions without a factor",
    fields: { rope_scaling: { ...stretched, factor: undefined } },
    says: /"rope_scaling.factor" is missing/,
  },
  {
    name: "stretched positions with a misspelled factor",
    fields: { rope_parameters: { ...stretched, low_freq_factor: undefined, low_freq_facter: 1 } },
    says: /"rope_parameters.low_freq_facter" .* did you mean "rope_parameters.low_freq_factor"\?/,
  },
  {
    name: "positions that are stretched to less",
    fields: { rope_scaling: { ...stretched, factor: 0.5 } },
    says: /"rope_scaling.factor" is 0.5/,
  },
  {
    name: "stretched positions whose bounds are swapped",
    fields: { rope_scaling: { ...stretched, low_freq_factor: 4, high_freq_factor: 1 } },
    says: /"rope_scaling.low_freq_factor" \(4\) must be less than "rope_scaling.high_freq_factor" \(1\)/,
  },
];

for (const { name, type, fields, says } of cases) {
  Deno.test(`llama.readConfig() refuses ${name}`, () => {
    assert.throws(() => llama.readConfig(config(fields, type)), (error: Error) => {
      assert.match(error.message, says);
      assert.match(error.message, /m\/config\.json/);
      return true;
    });
  });
}
