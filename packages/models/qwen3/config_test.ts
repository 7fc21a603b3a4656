import assert from "node:assert/strict";
import type { HfConfig } from "../architecture/hf_config.ts";
import { qwen3, Qwen3Backbone, type Qwen3Config } from "./qwen3.ts";

/** The config file of Qwen 3 4B as it is published. */
const published = {
  architectures: ["Qwen3ForCausalLM"],
  attention_bias: false,
  attention_dropout: 0.0,
  bos_token_id: 151643,
  eos_token_id: 151645,
  head_dim: 128,
  hidden_act: "silu",
  hidden_size: 2560,
  initializer_range: 0.02,
  intermediate_size: 9728,
  max_position_embeddings: 40960,
  max_window_layers: 36,
  model_type: "qwen3",
  num_attention_heads: 32,
  num_hidden_layers: 36,
  num_key_value_heads: 8,
  rms_norm_eps: 1e-06,
  rope_scaling: null,
  rope_theta: 1000000,
  sliding_window: null,
  tie_word_embeddings: true,
  torch_dtype: "bfloat16",
  transformers_version: "4.51.0",
  use_cache: true,
  use_sliding_window: false,
  vocab_size: 151936,
};

function file(raw: Record<string, unknown>): HfConfig {
  return { path: "m/config.json", modelType: String(raw.model_type), raw: JSON.parse(JSON.stringify(raw)) };
}

function read(changes: Record<string, unknown> = {}) {
  return qwen3.readConfig(file({ ...published, ...changes }));
}

Deno.test("qwen3.readConfig() reads a published file", () => {
  const { config, text } = read();
  assert.deepEqual(config, {
    vocabularySize: 151_936,
    numLayers: 36,
    numQueryHeads: 32,
    numKeyValueHeads: 8,
    headDim: 128,
    hiddenDim: 2560,
    intermediateDim: 9728,
    ropeMaxWavelength: 1_000_000,
    ropeScaling: null,
    layerNormEpsilon: 1e-6,
    tieWordEmbeddings: true,
    attentionBias: false,
    useSlidingWindowAttention: false,
  });
  const ends = { contextLength: 40_960, bosTokenId: 151_643, eosTokenIds: [151_645], padTokenId: null };
  assert.deepEqual(text, ends);
});

Deno.test("qwen3.readConfig() takes a head dimension of 128 where the file has none, whatever the hidden size is", () => {
  assert.equal(read({ head_dim: undefined, hidden_size: 1000 }).config.headDim, 128);
});

/** Fields that are wrong, and what the message must say. */
const cases: readonly (readonly [what: string, changes: Record<string, unknown>, says: RegExp])[] = [
  ["a mixture of experts", { model_type: "qwen3_moe" }, /"model_type" is "qwen3_moe", expected "qwen3"/],
  ["a partial rotation", { partial_rotary_factor: 0.25 }, /"partial_rotary_factor" is 0.25/],
  ["another activation", { hidden_act: "relu" }, /"hidden_act" is "relu": .* only "silu"/],
  ["heads that do not divide", { num_key_value_heads: 5 }, /\(32\) is not divisible by .* \(5\)/],
  ["an odd head", { head_dim: 5 }, /"head_dim" must be even, found 5/],
  ["a missing size", { intermediate_size: undefined }, /"intermediate_size" is missing/],
  ["linear attention", { layer_types: Array(36).fill("linear_attention") }, /layer_types/],
];

for (const [what, changes, says] of cases) {
  Deno.test(`qwen3.readConfig() refuses ${what}`, () => {
    assert.throws(() => read(changes), (error: Error) => {
      assert.match(error.message, says);
      assert.match(error.message, /m\/config\.json/);
      return true;
    });
  });
}

const tiny: Qwen3Config = {
  vocabularySize: 40,
  numLayers: 1,
  numQueryHeads: 4,
  numKeyValueHeads: 2,
  headDim: 16,
  hiddenDim: 30,
  intermediateDim: 48,
};

Deno.test("a config of Qwen 3 is the same after a way through Hugging Face's, in either spelling", () => {
  const text = { contextLength: 4096, bosTokenId: null, eosTokenIds: [3], padTokenId: null };
  const layerTypes = ["full_attention", "sliding_attention"] as const;
  const configs: readonly Qwen3Config[] = [
    { ...tiny, tieWordEmbeddings: false, attentionBias: true },
    { ...tiny, numLayers: 2, useSlidingWindowAttention: true, slidingWindowSize: 16, layerTypes },
    { ...tiny, ropeScaling: { type: "dynamic", factor: 2, pretrainingSequenceLength: 4096 } },
  ];
  for (const config of configs) {
    const written = qwen3.writeConfig(config, text, "bfloat16");
    const back = qwen3.readConfig(file(written));
    for (const [field, value] of Object.entries(config)) {
      assert.deepEqual(back.config[field as keyof Qwen3Config], value, field);
    }
    assert.deepEqual(back.text, text);
    assert.deepEqual(qwen3.writeConfig(back.config, text, "bfloat16"), written);
    const { rope_parameters: _, layer_types: __, ...old } = written;
    assert.deepEqual(qwen3.readConfig(file(old)), back);
  }
});

Deno.test("a Qwen 3 has Keras's variables, with a scale for the queries of all heads and one for their keys", () => {
  const shapes = (config: Qwen3Config) =>
    Object.fromEntries(new Qwen3Backbone(config).variables.map(({ path, shape }) => [path, shape]));
  const tied = {
    "token_embedding/embeddings": [40, 30],
    "transformer_layer_0/self_attention/query/kernel": [30, 4, 16],
    "transformer_layer_0/self_attention/query_dense_layernorm/scale": [16],
    "transformer_layer_0/self_attention/key/kernel": [30, 2, 16],
    "transformer_layer_0/self_attention/key_dense_layernorm/scale": [16],
    "transformer_layer_0/self_attention/value/kernel": [30, 2, 16],
    "transformer_layer_0/self_attention/attention_output/kernel": [4, 16, 30],
    "transformer_layer_0/self_attention_layernorm/scale": [30],
    "transformer_layer_0/feedforward_intermediate_dense/kernel": [30, 48],
    "transformer_layer_0/feedforward_gate_dense/kernel": [30, 48],
    "transformer_layer_0/feedforward_output_dense/kernel": [48, 30],
    "transformer_layer_0/feedforward_layernorm/scale": [30],
    "sequence_output_layernorm/scale": [30],
  };
  assert.deepEqual(shapes(tiny), tied);
  const biases = Object.entries(shapes({ ...tiny, attentionBias: true })).filter(([path]) => path.endsWith("/bias"));
  assert.deepEqual(Object.fromEntries(biases), {
    "transformer_layer_0/self_attention/query/bias": [4, 16],
    "transformer_layer_0/self_attention/key/bias": [2, 16],
    "transformer_layer_0/self_attention/value/bias": [2, 16],
    "transformer_layer_0/self_attention/attention_output/bias": [30],
  });
});
