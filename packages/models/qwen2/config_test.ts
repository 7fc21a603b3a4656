import assert from "node:assert/strict";
import type { HfConfig } from "../architecture/hf_config.ts";
import { qwen2, Qwen2Backbone, type Qwen2Config, qwen2HeadDim } from "./qwen2.ts";

/** The config file of Qwen 2.5 7B as it is published. */
const published = {
  architectures: ["Qwen2ForCausalLM"],
  attention_dropout: 0.0,
  bos_token_id: 151643,
  eos_token_id: 151643,
  hidden_act: "silu",
  hidden_size: 3584,
  initializer_range: 0.02,
  intermediate_size: 18944,
  max_position_embeddings: 131072,
  max_window_layers: 28,
  model_type: "qwen2",
  num_attention_heads: 28,
  num_hidden_layers: 28,
  num_key_value_heads: 4,
  rms_norm_eps: 1e-06,
  rope_theta: 1000000.0,
  sliding_window: 131072,
  tie_word_embeddings: false,
  torch_dtype: "bfloat16",
  transformers_version: "4.40.1",
  use_cache: true,
  use_mrope: false,
  use_sliding_window: false,
  vocab_size: 152064,
};

function file(raw: Record<string, unknown>): HfConfig {
  return { path: "m/config.json", modelType: String(raw.model_type), raw: JSON.parse(JSON.stringify(raw)) };
}

function read(changes: Record<string, unknown> = {}) {
  return qwen2.readConfig(file({ ...published, ...changes }));
}

Deno.test("qwen2.readConfig() reads a published file, whose window is not used", () => {
  const { config, text } = read();
  assert.deepEqual(config, {
    vocabularySize: 152_064,
    numLayers: 28,
    numQueryHeads: 28,
    numKeyValueHeads: 4,
    hiddenDim: 3584,
    intermediateDim: 18_944,
    ropeMaxWavelength: 1_000_000,
    ropeScaling: null,
    layerNormEpsilon: 1e-6,
    tieWordEmbeddings: false,
    useSlidingWindowAttention: false,
  });
  assert.equal(qwen2HeadDim(config), 128);
  const ends = { contextLength: 131_072, bosTokenId: 151_643, eosTokenIds: [151_643], padTokenId: null };
  assert.deepEqual(text, ends);
});

Deno.test("qwen2.readConfig() reads the same where Transformers 5 has saved it again", () => {
  const { rope_theta: _, torch_dtype: __, use_mrope: ___, ...rest } = published;
  const again = {
    ...rest,
    dtype: "bfloat16",
    layer_types: Array.from({ length: 28 }, () => "full_attention"),
    rope_parameters: { rope_theta: 1000000.0, rope_type: "default" },
    sliding_window: null,
  };
  assert.deepEqual(qwen2.readConfig(file(again)), read());
});

Deno.test("qwen2.readConfig() fills in the defaults of Transformers", () => {
  const bare = {
    model_type: "qwen2",
    vocab_size: 256,
    hidden_size: 64,
    intermediate_size: 96,
    num_hidden_layers: 2,
    num_attention_heads: 32,
  };
  const { config, text } = qwen2.readConfig(file(bare));
  assert.deepEqual([config.numKeyValueHeads, config.ropeMaxWavelength, config.layerNormEpsilon], [32, 10000, 1e-6]);
  assert.equal(config.tieWordEmbeddings, false);
  assert.deepEqual(text, { contextLength: 32_768, bosTokenId: null, eosTokenIds: [], padTokenId: null });
  // Null is as many as there are query heads.
  const eight = { ...bare, num_attention_heads: 8, num_key_value_heads: null };
  assert.equal(qwen2.readConfig(file(eight)).config.numKeyValueHeads, 8);
});

Deno.test("qwen2.readConfig() reads YaRN as model cards tell to write it, and the context that it gives", () => {
  const rope_scaling = { type: "yarn", factor: 4.0, original_max_position_embeddings: 32768 };
  const { config, text } = read({ max_position_embeddings: 32768, rope_scaling });
  assert.equal(config.ropeScaling?.type, "yarn");
  assert.equal(qwen2.build(config, { text }).text.contextLength, 131_072);
});

/** Fields that are wrong, and what the message must say. */
const cases: readonly (readonly [what: string, changes: Record<string, unknown>, says: RegExp])[] = [
  ["a mixture of experts", { model_type: "qwen2_moe" }, /"model_type" is "qwen2_moe", expected "qwen2"/],
  ["rotation in three dimensions", { use_mrope: true }, /"use_mrope" is true: .* only false/],
  [
    "rotation in three dimensions by its scaling",
    { rope_scaling: { type: "mrope", mrope_section: [16, 24, 24] } },
    /"rope_scaling" has the type "mrope", Tessera's Qwen 2.5 computes only "default"/,
  ],
  ["a partial rotation", { partial_rotary_factor: 0.5 }, /"partial_rotary_factor" is 0.5/],
  ["another activation", { hidden_act: "gelu" }, /"hidden_act" is "gelu": .* only "silu"/],
  ["heads that do not divide", { num_key_value_heads: 3 }, /\(28\) is not divisible by .* \(3\)/],
  ["a hidden size that the heads do not divide", { hidden_size: 3585 }, /\(3585\) is not divisible by .* \(28\)/],
  ["an odd head", { head_dim: 5 }, /"head_dim" must be even, found 5/],
  [
    "a misspelled window",
    { use_sliding_window: undefined, use_sliding_windows: true },
    /did you mean "use_sliding_window"\?/,
  ],
  ["layers that slide without a window", { layer_types: Array(28).fill("sliding_attention") }, /not true, but/],
];

for (const [what, changes, says] of cases) {
  Deno.test(`qwen2.readConfig() refuses ${what}`, () => {
    assert.throws(() => read(changes), (error: Error) => {
      assert.match(error.message, says);
      assert.match(error.message, /m\/config\.json/);
      return true;
    });
  });
}

const tiny: Qwen2Config = {
  vocabularySize: 40,
  numLayers: 1,
  numQueryHeads: 4,
  numKeyValueHeads: 2,
  hiddenDim: 32,
  intermediateDim: 48,
};

Deno.test("a config of Qwen 2.5 is the same after a way through Hugging Face's, in either spelling", () => {
  const text = { contextLength: 4096, bosTokenId: null, eosTokenIds: [3, 4], padTokenId: 0 };
  const layerTypes = ["full_attention", "sliding_attention"] as const;
  const configs: readonly Qwen2Config[] = [
    { ...tiny, tieWordEmbeddings: false, headDim: 12 },
    { ...tiny, numLayers: 2, useSlidingWindowAttention: true, slidingWindowSize: 16, layerTypes },
    { ...tiny, ropeMaxWavelength: 1e6, ropeScaling: { type: "linear", factor: 2 } },
  ];
  for (const config of configs) {
    const written = qwen2.writeConfig(config, text, "float32");
    const back = qwen2.readConfig(file(written));
    for (const [field, value] of Object.entries(config)) {
      assert.deepEqual(back.config[field as keyof Qwen2Config], value, field);
    }
    assert.deepEqual(back.text, text);
    assert.deepEqual(qwen2.writeConfig(back.config, text, "float32"), written);
    const { rope_parameters: _, layer_types: __, ...old } = written;
    assert.deepEqual(qwen2.readConfig(file(old)), back);
  }
});

Deno.test("a Qwen 2.5 has Keras's variables, and its head is its embedding unless it says otherwise", () => {
  const shapes = (config: Qwen2Config) =>
    Object.fromEntries(new Qwen2Backbone(config).variables.map(({ path, shape }) => [path, shape]));
  const tied = {
    "token_embedding/embeddings": [40, 32],
    "transformer_layer_0/self_attention/query/kernel": [32, 4, 8],
    "transformer_layer_0/self_attention/query/bias": [4, 8],
    "transformer_layer_0/self_attention/key/kernel": [32, 2, 8],
    "transformer_layer_0/self_attention/key/bias": [2, 8],
    "transformer_layer_0/self_attention/value/kernel": [32, 2, 8],
    "transformer_layer_0/self_attention/value/bias": [2, 8],
    "transformer_layer_0/self_attention/attention_output/kernel": [4, 8, 32],
    "transformer_layer_0/self_attention_layernorm/scale": [32],
    "transformer_layer_0/feedforward_intermediate_dense/kernel": [32, 48],
    "transformer_layer_0/feedforward_gate_dense/kernel": [32, 48],
    "transformer_layer_0/feedforward_output_dense/kernel": [48, 32],
    "transformer_layer_0/feedforward_layernorm/scale": [32],
    "sequence_output_layernorm/scale": [32],
  };
  assert.deepEqual(shapes(tiny), tied);
  const untied = shapes({ ...tiny, tieWordEmbeddings: false });
  assert.deepEqual(untied, { ...tied, "token_embedding/reverse_embeddings": [32, 40] });
});

Deno.test("a Qwen 2.5 cannot be made with windows that contradict each other", () => {
  const layerTypes = ["sliding_attention"] as const;
  assert.throws(() => new Qwen2Backbone({ ...tiny, layerTypes }), {
    name: "RangeError",
    message:
      "Cannot make a Qwen 2.5 backbone: layerTypes has sliding_attention, and useSlidingWindowAttention is false",
  });
  assert.throws(() => new Qwen2Backbone({ ...tiny, dropout: 0.1 }), /dropout must be 0, as no Qwen was trained/);
});
