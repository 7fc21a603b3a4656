/** The config files of published checkpoints, as they are spelt there, and the presets that were made of them. */
import assert from "node:assert/strict";
import { phi3, type Phi3Config } from "./phi3.ts";

const shared = {
  architectures: ["Phi3ForCausalLM"],
  attention_dropout: 0.0,
  auto_map: { AutoConfig: "configuration_phi3.Phi3Config", AutoModelForCausalLM: "modeling_phi3.Phi3ForCausalLM" },
  embd_pdrop: 0.0,
  hidden_act: "silu",
  initializer_range: 0.02,
  model_type: "phi3",
  resid_pdrop: 0.0,
  rms_norm_eps: 1e-5,
  rope_theta: 10000.0,
  torch_dtype: "bfloat16",
  transformers_version: "4.43.3",
  use_cache: true,
};
const mini = {
  ...shared,
  bos_token_id: 1,
  eos_token_id: 32000,
  hidden_size: 3072,
  intermediate_size: 8192,
  num_attention_heads: 32,
  num_hidden_layers: 32,
  num_key_value_heads: 32,
  original_max_position_embeddings: 4096,
  pad_token_id: 32000,
  tie_word_embeddings: false,
  vocab_size: 32064,
};
const {
  phi3_mini_4k_instruct_en: mini4k,
  "Phi-3.5-mini-instruct": mini35,
  "Phi-4-mini-instruct": mini4,
  "phi-4": phi4,
} = phi3.presets;

function scalingOf({ ropeScaling }: Phi3Config) {
  return { long_factor: ropeScaling?.longFactors, short_factor: ropeScaling?.shortFactors, type: "longrope" };
}

/** The files, by their presets; factors are those of the presets. */
const published = [
  [mini4k, { ...mini, max_position_embeddings: 4096, rope_scaling: null, sliding_window: 2047 }],
  [mini35, {
    ...mini,
    attention_bias: false,
    max_position_embeddings: 131_072,
    rope_scaling: scalingOf(mini35.config),
    sliding_window: 262_144,
  }],
  [phi4, {
    ...shared,
    bos_token_id: 100_257,
    eos_token_id: 100_265,
    hidden_size: 5120,
    intermediate_size: 17_920,
    max_position_embeddings: 16_384,
    num_attention_heads: 40,
    num_hidden_layers: 40,
    num_key_value_heads: 10,
    original_max_position_embeddings: 16_384,
    pad_token_id: 100_349,
    rope_scaling: null,
    rope_theta: 250_000,
    sliding_window: null,
    tie_word_embeddings: false,
    vocab_size: 100_352,
  }],
  [mini4, {
    ...mini,
    attention_bias: false,
    bos_token_id: 199_999,
    eos_token_id: 199_999,
    full_attn_mod: 1,
    interpolate_factor: 1,
    lm_head_bias: false,
    max_position_embeddings: 131_072,
    mlp_bias: false,
    num_attention_heads: 24,
    num_key_value_heads: 8,
    pad_token_id: 199_999,
    partial_rotary_factor: 0.75,
    rope_scaling: scalingOf(mini4.config),
    sliding_window: 262_144,
    tie_word_embeddings: true,
    vocab_size: 200_064,
  }],
] as const;

for (const [{ title, config, text }, raw] of published) {
  Deno.test(`phi3.readConfig() makes the preset's config of the file of ${title}`, () => {
    const found = phi3.readConfig({ path: "config.json", modelType: "phi3", raw });
    for (const [field, value] of Object.entries(config)) {
      assert.deepEqual(found.config[field as keyof typeof found.config], value, field);
    }
    const built = phi3.build(config, { text: text ?? {} }).text;
    const { contextLength, bosTokenId, padTokenId } = found.text;
    assert.deepEqual(
      { contextLength, bosTokenId, padTokenId },
      { contextLength: built.contextLength, bosTokenId: built.bosTokenId, padTokenId: built.padTokenId },
    );
  });
}
