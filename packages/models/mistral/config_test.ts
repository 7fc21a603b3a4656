import assert from "node:assert/strict";
import type { HfConfig } from "../architecture/hf_config.ts";
import { mistral, MistralBackbone, type MistralConfig } from "./mistral.ts";

/** The config of Mistral 7B v0.1 as it is published. */
const first = {
  architectures: ["MistralForCausalLM"],
  bos_token_id: 1,
  eos_token_id: 2,
  hidden_act: "silu",
  hidden_size: 4096,
  initializer_range: 0.02,
  intermediate_size: 14336,
  max_position_embeddings: 32768,
  model_type: "mistral",
  num_attention_heads: 32,
  num_hidden_layers: 32,
  num_key_value_heads: 8,
  rms_norm_eps: 1e-05,
  rope_theta: 10000.0,
  sliding_window: 4096,
  tie_word_embeddings: false,
  torch_dtype: "bfloat16",
  transformers_version: "4.34.0.dev0",
  use_cache: true,
  vocab_size: 32000,
};

function file(changes: Record<string, unknown> = {}): HfConfig {
  const raw: Record<string, unknown> = { ...first, ...changes };
  return { path: "m/config.json", modelType: String(raw.model_type), raw };
}

const read = (changes?: Record<string, unknown>) => mistral.readConfig(file(changes)).config;

Deno.test("mistral.readConfig() reads 7B v0.1, whose layers all have one window", () => {
  assert.deepEqual(mistral.readConfig(file()), {
    config: {
      vocabularySize: 32_000,
      numLayers: 32,
      numQueryHeads: 32,
      numKeyValueHeads: 8,
      hiddenDim: 4096,
      intermediateDim: 14_336,
      slidingWindow: 4096,
      ropeMaxWavelength: 10_000,
      ropeScaling: null,
      layerNormEpsilon: 1e-5,
      tieWordEmbeddings: false,
    },
    text: { contextLength: 32_768, bosTokenId: 1, eosTokenIds: [2], padTokenId: null },
  });
});

Deno.test("mistral.readConfig() takes a window that is null for none, and one that is left out for Transformers' 4096", () => {
  assert.equal(read({ sliding_window: null }).slidingWindow, null);
  assert.equal(read({ sliding_window: undefined }).slidingWindow, 4096);
});

Deno.test("mistral.readConfig() reads Nemo, whose heads are narrower than the hidden size", () => {
  const nemo = { hidden_size: 5120, head_dim: 128, sliding_window: null, max_position_embeddings: 131_072 };
  const { config, text } = mistral.readConfig(file(nemo));
  assert.deepEqual([config.hiddenDim, config.headDim, text.contextLength], [5120, 128, 131_072]);
});

Deno.test("mistral.readConfig() stretches the context of a fine-tune with YaRN", () => {
  // As zephyr-7b-beta-128k spells it.
  const scaling = { factor: 16.0, finetuned: true, original_max_position_embeddings: 8192, type: "yarn" };
  const { config, text } = mistral.readConfig(file({ rope_scaling: scaling, sliding_window: null }));
  assert.deepEqual([config.ropeScaling!.type, config.ropeScaling!.factor], ["yarn", 16]);
  assert.equal(mistral.build({ ...config, numLayers: 1 }, { text }).text.contextLength, 131_072);
});

const layer_types = ["full_attention", "sliding_attention", "sliding_attention"];
const kinds: Readonly<Record<string, Record<string, unknown>>> = {
  "7B v0.1": {},
  "7B v0.3": { sliding_window: null, rope_theta: 1e6, vocab_size: 32768 },
  "a tied head of another head dimension": { tie_word_embeddings: true, head_dim: 64 },
  "a Ministral": { model_type: "ministral", num_hidden_layers: 3, head_dim: 128, layer_types },
  "linear scaling": { rope_scaling: { type: "linear", factor: 4 } },
  "Llama 3's scaling": {
    rope_scaling: {
      rope_type: "llama3",
      factor: 8,
      low_freq_factor: 1,
      high_freq_factor: 4,
      original_max_position_embeddings: 8192,
    },
  },
};

for (const [name, changes] of Object.entries(kinds)) {
  Deno.test(`the config of ${name} is the same after a way through Hugging Face's, in either spelling`, () => {
    const { config, text } = mistral.readConfig(file(changes));
    const written = mistral.writeConfig(config, text, "bfloat16");
    const again = (raw: Record<string, unknown>) =>
      mistral.readConfig({ path: "config.json", modelType: String(raw.model_type), raw }).config;
    const { rope_parameters: _, ...old } = written;
    const { rope_theta: __, rope_scaling: ___, ...today } = written;
    const whole = { ...config, headDim: config.headDim ?? 128 };
    for (const raw of [written, old, today]) assert.deepEqual(again(raw), whole);
    assert.equal(written.model_type, changes.model_type ?? "mistral");
  });
}

Deno.test("a Mistral that names its layers is a Ministral, as Transformers takes it, and is written as one", () => {
  const changes = { num_hidden_layers: 3, layer_types };
  const config = read(changes);
  assert.deepEqual(config, read({ ...changes, model_type: "ministral" }));
  const { model_type, architectures } = mistral.writeConfig(config, mistral.readConfig(file()).text, "float32");
  assert.deepEqual([model_type, architectures], ["ministral", ["MinistralForCausalLM"]]);
});

/** Fields of files that are refused, and what the message must say. */
const refused: readonly (readonly [what: string, changes: Record<string, unknown>, says: string])[] = [
  ["another activation", { hidden_act: "gelu" }, '"hidden_act" is "gelu": Tessera\'s Mistral computes only "silu"'],
  ["a part of the heads rotated", { partial_rotary_factor: 0.5 }, '"partial_rotary_factor"'],
  ["scaling that is not computed", { rope_scaling: { type: "longrope" } }, '"rope_scaling" has the type "longrope"'],
  ["windows of no length", { layer_types, num_hidden_layers: 3, sliding_window: null }, 'there is no "sliding_window"'],
  ["too few layer types", { layer_types }, '"layer_types" has 3 entries for 32 layers'],
  [
    "other layer types",
    { layer_types: ["chunked_attention"], num_hidden_layers: 1 },
    '"layer_types.0" is "chunked_attention"',
  ],
  ["heads that do not divide", { num_key_value_heads: 5 }, "(32) is not divisible by"],
  ["an odd head", { head_dim: 63 }, '"head_dim" must be even, found 63'],
  ["no head dimension", { hidden_size: 4100 }, 'there is no "head_dim"'],
  ["a misspelled field", { slidin_window: 8, sliding_window: undefined }, "sliding_window"],
];

for (const [what, changes, says] of refused) {
  Deno.test(`mistral.readConfig() refuses ${what}`, () => {
    assert.throws(() => read(changes), (error: Error) => {
      assert(error.message.includes("m/config.json") && error.message.includes(says), error.message);
      return true;
    });
  });
}

Deno.test("MistralBackbone has Keras's variables, those of Llama", () => {
  const config: MistralConfig = {
    vocabularySize: 40,
    numLayers: 1,
    numQueryHeads: 4,
    numKeyValueHeads: 2,
    hiddenDim: 32,
    intermediateDim: 48,
  };
  const { variables } = new MistralBackbone(config);
  assert.deepEqual(Object.fromEntries(variables.map(({ path, shape }) => [path, shape])), {
    "token_embedding/embeddings": [40, 32],
    "token_embedding/reverse_embeddings": [32, 40],
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
