import assert from "node:assert/strict";
import type { HfConfig } from "../architecture/hf_config.ts";
import { smolLM3, SmolLM3Backbone, type SmolLM3Config } from "./smollm3.ts";

const [full, sliding] = ["full_attention", "sliding_attention"] as const;
const everyFourth = Array.from({ length: 36 }, (_, layer) => layer % 4 === 3 ? 0 : 1);

/** The config of SmolLM3 3B as it is published. */
const published = {
  architectures: ["SmolLM3ForCausalLM"],
  attention_bias: false,
  attention_dropout: 0.0,
  bos_token_id: 128000,
  eos_token_id: 128012,
  hidden_act: "silu",
  hidden_size: 2048,
  initializer_range: 0.02,
  intermediate_size: 11008,
  layer_types: everyFourth.map(() => full),
  max_position_embeddings: 65536,
  max_window_layers: 28,
  mlp_bias: false,
  model_type: "smollm3",
  no_rope_layer_interval: 4,
  no_rope_layers: everyFourth,
  num_attention_heads: 16,
  num_hidden_layers: 36,
  num_key_value_heads: 4,
  pad_token_id: 128004,
  pretraining_tp: 2,
  rms_norm_eps: 1e-06,
  rope_scaling: null,
  rope_theta: 5000000.0,
  sliding_window: null,
  tie_word_embeddings: true,
  torch_dtype: "bfloat16",
  transformers_version: "4.53.0",
  use_cache: false,
  use_sliding_window: false,
  vocab_size: 128256,
};

/** Sizes alone, of three layers. */
const bare = {
  model_type: "smollm3",
  hidden_size: 64,
  intermediate_size: 96,
  num_attention_heads: 4,
  num_hidden_layers: 3,
  num_key_value_heads: 2,
  vocab_size: 256,
};

function file(raw: Record<string, unknown>): HfConfig {
  return { path: "m/config.json", modelType: "smollm3", raw };
}

const read = (changes: Record<string, unknown> = {}) => smolLM3.readConfig(file({ ...bare, ...changes })).config;

Deno.test("smolLM3.readConfig() reads SmolLM3 3B, whose every fourth layer turns nothing", () => {
  const { config, text } = smolLM3.readConfig(file(published));
  const { layerTypes, ropeLayerEnabledList, ...rest } = config;
  assert.deepEqual(ropeLayerEnabledList, everyFourth.map((rotates) => rotates === 1));
  assert.deepEqual(new Set(layerTypes), new Set([full]));
  assert.deepEqual(rest, {
    vocabularySize: 128_256,
    hiddenDim: 2048,
    intermediateDim: 11_008,
    numLayers: 36,
    numAttentionHeads: 16,
    numKeyValueHeads: 4,
    slidingWindow: null,
    ropeTheta: 5_000_000,
    ropeScaling: null,
    layerNormEpsilon: 1e-6,
    attentionBias: false,
    mlpBias: false,
    tieWordEmbeddings: true,
  });
  assert.deepEqual(text, {
    contextLength: 65_536,
    bosTokenId: 128_000,
    eosTokenIds: [128_012],
    padTokenId: 128_004,
  });
});

Deno.test("smolLM3.readConfig() fills in the defaults of Transformers", () => {
  const { config, text } = smolLM3.readConfig(file(bare));
  assert.deepEqual([config.ropeTheta, config.tieWordEmbeddings, config.slidingWindow], [2_000_000, true, null]);
  assert.deepEqual(config.ropeLayerEnabledList, [true, true, true]);
  assert.deepEqual([text.contextLength, text.eosTokenIds, text.padTokenId], [32_768, [128_001], 128_004]);
});

Deno.test("smolLM3.readConfig() finds the layers that turn nothing in a list, or else by the interval", () => {
  assert.deepEqual(read({ no_rope_layer_interval: 2 }).ropeLayerEnabledList, [true, false, true]);
  assert.deepEqual(read({ no_rope_layers: [0, 1, 0, 1], no_rope_layer_interval: 2 }).ropeLayerEnabledList, [
    false,
    true,
    false,
  ]);
});

Deno.test("smolLM3.readConfig() passes over a window that is not used", () => {
  assert.equal(read({ sliding_window: 8, use_sliding_window: false }).slidingWindow, null);
  assert.equal(read({ sliding_window: 8, use_sliding_window: true }).slidingWindow, 8);
});

Deno.test("smolLM3.readConfig() stretches the context with YaRN, as its card tells", () => {
  const rope_scaling = { factor: 2.0, original_max_position_embeddings: 65536, type: "yarn" };
  const { config, text } = smolLM3.readConfig(file({ ...published, rope_scaling }));
  const small = { ...config, numLayers: 1, layerTypes: [full], ropeLayerEnabledList: [true] };
  assert.equal(smolLM3.build(small, { text }).text.contextLength, 131_072);
});

const kinds: Readonly<Record<string, Record<string, unknown>>> = {
  "sizes alone": {},
  "a head dimension and a head of its own": { head_dim: 24, tie_word_embeddings: false },
  "windows where nothing is turned": { use_sliding_window: true, sliding_window: 8, no_rope_layer_interval: 2 },
  "windows in a list": { use_sliding_window: true, sliding_window: 8, layer_types: [full, sliding, full] },
  "biases": { attention_bias: true, mlp_bias: true, no_rope_layers: [0, 0, 1] },
  "linear scaling": { rope_scaling: { type: "linear", factor: 4 }, rope_theta: 1e4 },
};

for (const [name, changes] of Object.entries(kinds)) {
  Deno.test(`a config with ${name} is the same after a way through Hugging Face's, in either spelling`, () => {
    const { config, text } = smolLM3.readConfig(file({ ...bare, ...changes }));
    const written = smolLM3.writeConfig(config, text, "bfloat16");
    const { rope_parameters: _, ...old } = written;
    const { rope_theta: __, rope_scaling: ___, ...today } = written;
    for (const raw of [written, old, today]) assert.deepEqual(smolLM3.readConfig(file(raw)).config, config);
  });
}

/** Fields of files that are refused, and what the message must say. */
const refused: readonly (readonly [what: string, changes: Record<string, unknown>, says: string])[] = [
  ["another activation", { hidden_act: "gelu" }, '"hidden_act" is "gelu": Tessera\'s SmolLM3 computes only "silu"'],
  [
    "windows that are not used",
    { layer_types: [full, full, sliding], sliding_window: 8 },
    '"use_sliding_window" is not',
  ],
  ["windows of no length", { layer_types: [full, full, sliding], use_sliding_window: true }, 'no "sliding_window"'],
  ["too few layer types", { layer_types: [full] }, '"layer_types" has 1 entries for 3 layers'],
  ["too few layers that turn", { no_rope_layers: [1, 0] }, "has 2 entries for 3 layers"],
  ["other numbers for layers that turn", { no_rope_layers: [1, 2, 1] }, '"no_rope_layers.1" is 2'],
  ["no interval", { no_rope_layer_interval: 0 }, '"no_rope_layer_interval" is 0'],
  ["scaling that is not computed", { rope_scaling: { type: "longrope" } }, '"rope_scaling" has the type "longrope"'],
  ["heads that do not divide", { num_key_value_heads: 3 }, "(4) is not divisible by"],
  ["an odd head", { head_dim: 7 }, '"head_dim" must be even, found 7'],
  ["no head dimension", { hidden_size: 66 }, 'is no "head_dim"'],
  ["a misspelt field", { no_rope_layer: [1, 1, 0] }, '"no_rope_layers"'],
];

for (const [what, changes, says] of refused) {
  Deno.test(`smolLM3.readConfig() refuses ${what}`, () => {
    assert.throws(() => read(changes), (error: Error) => {
      assert(error.message.includes("m/config.json") && error.message.includes(says), error.message);
      return true;
    });
  });
}

Deno.test("SmolLM3Backbone has the variables that Keras's Llama has, under the same names", () => {
  const config: SmolLM3Config = {
    vocabularySize: 40,
    hiddenDim: 32,
    intermediateDim: 48,
    numLayers: 1,
    numAttentionHeads: 4,
    numKeyValueHeads: 2,
  };
  const backbone = new SmolLM3Backbone(config);
  assert.equal(backbone.name, "smol_lm3_backbone");
  assert.deepEqual(Object.fromEntries(backbone.variables.map(({ path, shape }) => [path, shape])), {
    "token_embedding/embeddings": [40, 32],
    "transformer_layer_0/self_attention/query/kernel": [32, 4, 8],
    "transformer_layer_0/self_attention/key/kernel": [32, 2, 8],
    "transformer_layer_0/self_attention/value/kernel": [32, 2, 8],
    "transformer_layer_0/self_attention/attention_output/kernel": [4, 8, 32],
    "transformer_layer_0/self_attention_layernorm/scale": [32],
    "transformer_layer_0/feedforward_intermediate_dense/kernel": [32, 48],
    "transformer_layer_0/feedforward_gate_dense/kernel": [32, 48],
    "transformer_layer_0/feedforward_output_dense/kernel": [48, 32],
    "transformer_layer_0/feedforward_layernorm/scale": [32],
    "sequence_output_layernorm/scale": [32],
  });
});
