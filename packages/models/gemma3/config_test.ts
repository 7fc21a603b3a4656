import assert from "node:assert/strict";
import type { HfConfig } from "../architecture/hf_config.ts";
import { gemma3, gemma3LayerTypes } from "./gemma3.ts";
import { gemma3Sizes } from "./presets.ts";

/** The config of google/gemma-3-1b-it. */
const oneB = {
  architectures: ["Gemma3ForCausalLM"],
  attention_bias: false,
  attention_dropout: 0.0,
  attn_logit_softcapping: null,
  bos_token_id: 2,
  cache_implementation: "hybrid",
  eos_token_id: [1, 106],
  final_logit_softcapping: null,
  head_dim: 256,
  hidden_activation: "gelu_pytorch_tanh",
  hidden_size: 1152,
  initializer_range: 0.02,
  intermediate_size: 6912,
  max_position_embeddings: 32768,
  model_type: "gemma3_text",
  num_attention_heads: 4,
  num_hidden_layers: 26,
  num_key_value_heads: 1,
  pad_token_id: 0,
  query_pre_attn_scalar: 256,
  rms_norm_eps: 1e-6,
  rope_local_base_freq: 10000,
  rope_scaling: null,
  rope_theta: 1000000,
  sliding_window: 512,
  sliding_window_pattern: 6,
  torch_dtype: "bfloat16",
  transformers_version: "4.50.0.dev0",
  use_cache: true,
  vocab_size: 262144,
};

function file(changes: Record<string, unknown> = {}): HfConfig {
  return { path: "m/config.json", modelType: "gemma3_text", raw: { ...oneB, ...changes } };
}

const types = (layers: number, pattern: number) =>
  Array.from({ length: layers }, (_, i) => (i + 1) % pattern === 0 ? "full_attention" : "sliding_attention");

Deno.test("gemma3.readConfig() reads the published config of the 1B", () => {
  const { config, text } = gemma3.readConfig(file());
  const sizes = Object.keys(gemma3Sizes["1b"]) as (keyof typeof gemma3Sizes["1b"])[];
  for (const name of sizes) assert.equal(config[name], gemma3Sizes["1b"][name], name);
  assert.deepEqual(config.layerTypes, types(26, 6));
  assert.deepEqual(gemma3LayerTypes(gemma3Sizes["1b"]), types(26, 6));
  assert.deepEqual(
    [config.localRopeMaxWavelength, config.globalRopeMaxWavelength, config.localRopeScaling, config.globalRopeScaling],
    [10_000, 1_000_000, null, null],
  );
  assert.deepEqual(text, { contextLength: 32_768, bosTokenId: 2, eosTokenIds: [1, 106], padTokenId: 0 });
});

Deno.test("gemma3.readConfig() fills in the defaults of Transformers", () => {
  const raw = { model_type: "gemma3_text", num_hidden_layers: 4 };
  const { config, text } = gemma3.readConfig({ path: "m/config.json", modelType: "gemma3_text", raw });
  assert.deepEqual(config, {
    vocabularySize: 262_208,
    numLayers: 4,
    numQueryHeads: 8,
    numKeyValueHeads: 4,
    hiddenDim: 2304,
    intermediateDim: 9216,
    headDim: 256,
    queryHeadDimNormalize: true,
    attentionScale: 1 / 16,
    attentionBias: false,
    finalLogitSoftCap: null,
    slidingWindowSize: 4096,
    layerTypes: types(4, 6),
    localRopeMaxWavelength: 10_000,
    globalRopeMaxWavelength: 1_000_000,
    localRopeScaling: null,
    globalRopeScaling: null,
    layerNormEpsilon: 1e-6,
  });
  assert.equal(text.contextLength, 131_072);
});

Deno.test("gemma3.readConfig() reads the old spelling, the 270M's and that of Transformers 5 alike", () => {
  const scaling = { rope_type: "linear", factor: 8 };
  const old = gemma3.readConfig(file({ rope_scaling: scaling, rope_theta: 5e5, rope_local_base_freq: 1e3 }));
  assert.deepEqual(old.config.globalRopeScaling, { type: "linear", factor: 8 });
  const { rope_theta: _, rope_local_base_freq: __, rope_scaling: ___, ...rest } = oneB;
  const today = {
    ...rest,
    rope_parameters: {
      sliding_attention: { rope_type: "default", rope_theta: 1e3 },
      full_attention: { ...scaling, rope_theta: 5e5 },
    },
    layer_types: types(26, 6),
    sliding_window_pattern: undefined,
    _sliding_window_pattern: 6,
    use_bidirectional_attention: false,
  };
  const read = (raw: Record<string, unknown>) => gemma3.readConfig({ path: "c", modelType: "gemma3_text", raw });
  assert.deepEqual(read(today), old);
});

/** Fields that are wrong, or ask for what is not computed, and what the message must say. */
const cases: readonly (readonly [name: string, fields: Record<string, unknown>, says: RegExp])[] = [
  ["a misspelt size", { hiden_size: 1152, hidden_size: undefined }, /"hiden_size" .* did you mean "hidden_size"/],
  ["a misspelt pattern", { sliding_window_patern: 6 }, /"sliding_window_patern" .* did you mean/],
  ["heads that do not divide", { num_key_value_heads: 3 }, /\(4\) is not divisible by "num_key_value_heads" \(3\)/],
  ["a head of its own", { tie_word_embeddings: false }, /"tie_word_embeddings" is false: .* only true/],
  [
    "attention both ways",
    { use_bidirectional_attention: true },
    /"use_bidirectional_attention" is true: .* only false/,
  ],
  ["capped scores", { attn_logit_softcapping: 50 }, /"attn_logit_softcapping" is 50: .* only null/],
  ["another activation", { hidden_activation: "silu" }, /"hidden_activation" is "silu": .*gelu_pytorch_tanh/],
  ["sliding layers without a window", { sliding_window: null }, /"sliding_window" is null, but/],
  ["a scale of zero", { query_pre_attn_scalar: 0 }, /"query_pre_attn_scalar" is 0/],
  ["an unknown kind of layer", { layer_types: ["chunked_attention"] }, /"layer_types\[?\.?0/],
  ["layers that are missing", { layer_types: ["full_attention"] }, /"layer_types" has 1 entries/],
  [
    "one rotary embedding for all layers",
    { rope_parameters: { rope_theta: 1e4 } },
    /"rope_parameters.rope_theta" is not/,
  ],
  ["a dynamic base", { rope_scaling: { rope_type: "dynamic", factor: 2 } }, /dynamic rotary scaling is not computed/],
  ["another stretching", { rope_scaling: { rope_type: "longrope", factor: 2 } }, /"longrope", .*Gemma 3 computes only/],
  ["a stretching without its factor", { rope_scaling: { rope_type: "linear" } }, /factor/],
];

for (const [name, fields, says] of cases) {
  Deno.test(`gemma3.readConfig() refuses ${name}`, () => {
    assert.throws(() => gemma3.readConfig(file(fields)), (error: Error) => {
      assert.match(error.message, says);
      assert.match(error.message, /m\/config\.json/);
      return true;
    });
  });
}
