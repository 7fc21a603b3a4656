import assert from "node:assert/strict";
import type { HfConfig } from "./hf_config.ts";
import { llamaConfig } from "./llama_config.ts";

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

Deno.test("llamaConfig() fills in the defaults of Transformers", () => {
  assert.deepEqual(llamaConfig(config({ num_key_value_heads: undefined })), {
    model_type: "llama",
    ...sizes,
    num_key_value_heads: 4,
    head_dim: 16,
    max_position_embeddings: 2048,
    rms_norm_eps: 1e-6,
    rope_theta: 10000,
    rope_scaling: null,
    attention_bias: false,
    mlp_bias: false,
    tie_word_embeddings: false,
    bos_token_id: 1,
    eos_token_id: [2],
    pad_token_id: null,
    dtype: null,
  });
});

Deno.test("llamaConfig() reads the old spelling and that of Transformers 5 alike", () => {
  const old = llamaConfig(config({ rope_theta: 500000.0, rope_scaling: stretched, torch_dtype: "bfloat16" }));
  const today = llamaConfig(config({ rope_parameters: { rope_theta: 500000.0, ...stretched }, dtype: "bfloat16" }));
  assert.deepEqual(old, today);
  assert.equal(today.rope_theta, 500000);
  assert.deepEqual(today.rope_scaling, {
    rope_type: "llama3",
    factor: 8,
    low_freq_factor: 1,
    high_freq_factor: 4,
    original_max_position_embeddings: 8192,
  });
  // "type" is the name of rope_type before Transformers 4.43.
  const { rope_type, ...rest } = stretched;
  assert.deepEqual(
    llamaConfig(config({ rope_scaling: { type: rope_type, ...rest } })).rope_scaling,
    today.rope_scaling,
  );
});

Deno.test("llamaConfig() stretches the whole context where the file does not say which", () => {
  const { original_max_position_embeddings: _, ...rest } = stretched;
  const found = llamaConfig(config({ rope_scaling: rest, max_position_embeddings: 4096 }));
  assert.deepEqual(found.rope_scaling, { ...stretched, original_max_position_embeddings: 4096 });
  // Outside of the scaling's own fields it counts for more than within them, as in Transformers.
  const outside = llamaConfig(config({ rope_scaling: stretched, original_max_position_embeddings: 1024 }));
  assert.deepEqual(outside.rope_scaling, { ...stretched, original_max_position_embeddings: 1024 });
});

const yarn = { rope_type: "yarn", factor: 4 };
const yarnDefaults = { ...yarn, beta_fast: 32, beta_slow: 1, truncate: true, original_max_position_embeddings: 2048 };

/** Other scalings as files have them, and what they mean. */
const scalings: readonly { readonly name: string; readonly says: object; readonly means: object }[] = [
  { name: "linear", says: { rope_type: "linear", factor: 4 }, means: { rope_type: "linear", factor: 4 } },
  { name: "dynamic", says: { rope_type: "dynamic", factor: 2.5 }, means: { rope_type: "dynamic", factor: 2.5 } },
  { name: "yarn", says: yarn, means: { ...yarnDefaults, attention_factor: 0.1 * Math.log(4) + 1 } },
  {
    name: "yarn with two weights of attention",
    says: { ...yarn, mscale: 0.5, mscale_all_dim: 2, beta_fast: null, beta_slow: 0 },
    means: { ...yarnDefaults, attention_factor: (0.05 * Math.log(4) + 1) / (0.2 * Math.log(4) + 1) },
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
    means: {
      ...yarnDefaults,
      attention_factor: 1.5,
      beta_fast: 8,
      truncate: false,
      original_max_position_embeddings: 64,
    },
  },
];

for (const { name, says, means } of scalings) {
  Deno.test(`llamaConfig() reads ${name} positions in all three spellings`, () => {
    const { rope_type: type, ...rest } = says as { rope_type: string };
    for (
      const fields of [
        { rope_scaling: says, rope_theta: 500 },
        { rope_scaling: { type, ...rest }, rope_theta: 500 },
        { rope_parameters: { ...says, rope_theta: 500 } },
      ]
    ) {
      const { rope_scaling, rope_theta } = llamaConfig(config(fields));
      assert.deepEqual(rope_scaling, means);
      assert.equal(rope_theta, 500);
    }
  });
}

Deno.test("llamaConfig() reads biases", () => {
  const { attention_bias, mlp_bias } = llamaConfig(config({ attention_bias: true, mlp_bias: true }));
  assert.deepEqual([attention_bias, mlp_bias], [true, true]);
});

Deno.test("llamaConfig() accepts the fields of released checkpoints", () => {
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
  assert.deepEqual(llamaConfig(config(released)).eos_token_id, [128001, 128008, 128009]);
  // The first Llama 3 names neither head_dim nor biases; fine-tunes add fields of their own.
  llamaConfig(config({ rope_scaling: null, pad_token_id: -1, _name_or_path: "x", unsloth_version: "2024.9" }));
});

Deno.test("llamaConfig() takes the width of a head from the file, whatever hidden_size is", () => {
  assert.equal(llamaConfig(config({ head_dim: 24 })).head_dim, 24);
  assert.equal(llamaConfig(config({ head_dim: null })).head_dim, 16);
  assert.equal(llamaConfig(config({ head_dim: 24, hidden_size: 66 })).head_dim, 24);
});

/** Fields that are wrong, and what the message must say. */
const cases: readonly { name: string; type?: string; fields: Record<string, unknown>; says: RegExp }[] = [
  { name: "another architecture", type: "mistral", fields: {}, says: /"model_type" is "mistral", expected "llama"/ },
  { name: "a missing size", fields: { intermediate_size: undefined }, says: /"intermediate_size" is missing/ },
  {
    name: "a misspelt required field",
    fields: { num_hidden_layers: undefined, num_hiden_layers: 3 },
    says: /"num_hiden_layers" is not a known field, did you mean "num_hidden_layers"\?$/,
  },
  {
    name: "a misspelt optional field",
    fields: { rms_norm_epsl: 1e-5 },
    says: /"rms_norm_epsl" is not a known field, did you mean "rms_norm_eps"\?/,
  },
  {
    name: "a misspelt rotary embedding",
    fields: { rope_parameter: { rope_theta: 5e5 } },
    says: /"rope_parameter" is not a known field, did you mean "rope_parameters"\?/,
  },
  { name: "a size that is text", fields: { hidden_size: "64" }, says: /"hidden_size" is "64": .*number/ },
  { name: "heads that do not divide", fields: { num_key_value_heads: 3 }, says: /\(4\) is not divisible by .* \(3\)/ },
  {
    name: "a width that the heads do not divide",
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
    name: "stretched positions with a misspelt factor",
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
  Deno.test(`llamaConfig() refuses ${name}`, () => {
    assert.throws(() => llamaConfig(config(fields, type)), (error: Error) => {
      assert.match(error.message, says);
      assert.match(error.message, /m\/config\.json/);
      return true;
    });
  });
}
