/** The config files of published checkpoints, as they are spelled there, and what their architectures make of them. */
import assert from "node:assert/strict";
import { gemma } from "../gemma/gemma.ts";
import { llama, llamaHeadDim, llamaScaling } from "../llama/llama.ts";
import { torchDtypeOf } from "./hf_config.ts";

const gemma2b = {
  architectures: ["GemmaForCausalLM"],
  attention_bias: false,
  attention_dropout: 0.0,
  bos_token_id: 2,
  eos_token_id: 1,
  head_dim: 256,
  hidden_act: "gelu",
  hidden_size: 2048,
  initializer_range: 0.02,
  intermediate_size: 16384,
  max_position_embeddings: 8192,
  model_type: "gemma",
  num_attention_heads: 8,
  num_hidden_layers: 18,
  num_key_value_heads: 1,
  pad_token_id: 0,
  rms_norm_eps: 1e-6,
  rope_scaling: null,
  rope_theta: 10000.0,
  torch_dtype: "bfloat16",
  transformers_version: "4.38.0.dev0",
  use_cache: true,
  vocab_size: 256000,
};

/** What the releases of Gemma 1 say differently; each means the same. */
const gemmas: Readonly<Record<string, Record<string, unknown>>> = {
  "gemma-2b": {},
  "gemma-2b with its later correction": { hidden_act: "gelu", hidden_activation: null },
  "gemma-1.1-2b-it": { hidden_act: "gelu_pytorch_tanh", hidden_activation: "gelu_pytorch_tanh" },
  "codegemma-2b": { hidden_act: "gelu", hidden_activation: "gelu_pytorch_tanh" },
  "a fine-tune that Transformers 5 saved": {
    hidden_act: "gelu_pytorch_tanh",
    rope_scaling: undefined,
    rope_theta: undefined,
    rope_parameters: { rope_theta: 10000.0, rope_type: "default" },
    torch_dtype: undefined,
    dtype: "bfloat16",
    tie_word_embeddings: true,
    use_bidirectional_attention: null,
  },
};

for (const [name, fields] of Object.entries(gemmas)) {
  Deno.test(`gemma.readConfig() reads ${name}`, () => {
    const read = (raw: Record<string, unknown>) => gemma.readConfig({ path: "config.json", modelType: "gemma", raw });
    const [found, plain] = [read({ ...gemma2b, ...fields }), read(gemma2b)];
    assert.deepEqual(found, plain);
    assert.equal(found.config.ropeMaxWavelength, 10000);
    assert.equal(torchDtypeOf({ ...gemma2b, ...fields }), "bfloat16");
  });
}

Deno.test("gemma.readConfig() takes -1 for no token that pads, as some files say", () => {
  const raw = { ...gemma2b, pad_token_id: -1, eos_token_id: [1, 107] };
  const { text } = gemma.readConfig({ path: "config.json", modelType: "gemma", raw });
  assert.deepEqual([text.padTokenId, text.eosTokenIds], [null, [1, 107]]);
});

const llama32 = {
  architectures: ["LlamaForCausalLM"],
  attention_bias: false,
  attention_dropout: 0.0,
  bos_token_id: 128000,
  eos_token_id: 128001,
  head_dim: 64,
  hidden_act: "silu",
  hidden_size: 2048,
  initializer_range: 0.02,
  intermediate_size: 8192,
  max_position_embeddings: 131072,
  mlp_bias: false,
  model_type: "llama",
  num_attention_heads: 32,
  num_hidden_layers: 16,
  num_key_value_heads: 8,
  pretraining_tp: 1,
  rms_norm_eps: 1e-05,
  rope_scaling: {
    factor: 32.0,
    high_freq_factor: 4.0,
    low_freq_factor: 1.0,
    original_max_position_embeddings: 8192,
    rope_type: "llama3",
  },
  rope_theta: 500000.0,
  tie_word_embeddings: true,
  torch_dtype: "bfloat16",
  transformers_version: "4.45.0.dev0",
  use_cache: true,
  vocab_size: 128256,
};

function readLlama(changes: Record<string, unknown> = {}) {
  return llama.readConfig({ path: "config.json", modelType: "llama", raw: { ...llama32, ...changes } });
}

Deno.test("llama.readConfig() reads Llama 3.2 1B, whose head is its embedding", () => {
  const { config, text } = readLlama();
  assert.deepEqual(
    [config.tieWordEmbeddings, config.headDim, config.ropeMaxWavelength, text.eosTokenIds, text.padTokenId],
    [true, 64, 500000, [128001], null],
  );
  assert.deepEqual(llamaScaling(config), {
    type: "llama3",
    factor: 32,
    lowFreqFactor: 1,
    highFreqFactor: 4,
    pretrainingSequenceLength: 8192,
  });
});

Deno.test("llama.readConfig() reads the same where Transformers 5 has saved it again", () => {
  const { rope_scaling, rope_theta } = llama32;
  const again = readLlama({
    rope_scaling: undefined,
    rope_theta: undefined,
    rope_parameters: { ...rope_scaling, rope_theta },
    torch_dtype: undefined,
    dtype: "bfloat16",
  });
  assert.deepEqual(again, readLlama());
});

Deno.test("llama.readConfig() reads the end tokens of an instruct model, and any spelling of no token that pads", () => {
  const ends = [128001, 128008, 128009];
  assert.deepEqual(readLlama({ eos_token_id: ends }).text.eosTokenIds, ends);
  for (const pad_token_id of [null, -1, undefined]) assert.equal(readLlama({ pad_token_id }).text.padTokenId, null);
  assert.equal(readLlama({ pad_token_id: 128004 }).text.padTokenId, 128004);
});

Deno.test("llama.readConfig() reads a fine-tune of Llama 3 8B with tokens of its own, as Hermes 2 Pro is", () => {
  const { config } = readLlama({
    _name_or_path: "NousResearch/Meta-Llama-3-8B",
    attention_bias: undefined,
    eos_token_id: 128003,
    head_dim: undefined,
    hidden_size: 4096,
    intermediate_size: 14336,
    max_position_embeddings: 8192,
    mlp_bias: undefined,
    num_hidden_layers: 32,
    rope_scaling: null,
    tie_word_embeddings: false,
    use_cache: false,
    vocab_size: 128288,
  });
  assert.deepEqual([llamaHeadDim(config), llamaScaling(config), config.vocabularySize], [128, null, 128288]);
});
