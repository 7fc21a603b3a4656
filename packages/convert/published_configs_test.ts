/** The config files of published checkpoints, as they are spelt there, and what their architectures make of them. */
import assert from "node:assert/strict";
import { gemmaConfig } from "./gemma_config.ts";
import { llamaConfig } from "./llama_config.ts";

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
  Deno.test(`gemmaConfig() reads ${name}`, () => {
    const read = (raw: Record<string, unknown>) => gemmaConfig({ path: "config.json", modelType: "gemma", raw });
    const [found, plain] = [read({ ...gemma2b, ...fields }), read(gemma2b)];
    assert.deepEqual({ ...found, rope: plain.rope }, plain);
    assert.deepEqual([found.rope.type, found.rope.theta, found.dtype], ["default", 10000, "bfloat16"]);
  });
}

Deno.test("gemmaConfig() takes -1 for no token that pads, as some files say", () => {
  const raw = { ...gemma2b, pad_token_id: -1, eos_token_id: [1, 107] };
  const { pad_token_id, eos_token_id } = gemmaConfig({ path: "config.json", modelType: "gemma", raw });
  assert.deepEqual([pad_token_id, eos_token_id], [null, [1, 107]]);
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

function llama(changes: Record<string, unknown> = {}) {
  return llamaConfig({ path: "config.json", modelType: "llama", raw: { ...llama32, ...changes } });
}

Deno.test("llamaConfig() reads Llama 3.2 1B, whose head is its embedding", () => {
  const found = llama();
  assert.deepEqual(
    [found.tie_word_embeddings, found.head_dim, found.rope_theta, found.eos_token_id, found.pad_token_id],
    [true, 64, 500000, [128001], null],
  );
  assert.deepEqual(found.rope_scaling, { ...llama32.rope_scaling });
});

Deno.test("llamaConfig() reads the same where Transformers 5 has saved it again", () => {
  const { rope_scaling, rope_theta } = llama32;
  const again = llama({
    rope_scaling: undefined,
    rope_theta: undefined,
    rope_parameters: { ...rope_scaling, rope_theta },
    torch_dtype: undefined,
    dtype: "bfloat16",
  });
  assert.deepEqual(again, llama());
});

Deno.test("llamaConfig() reads the end tokens of an instruct model, and any spelling of no token that pads", () => {
  const ends = [128001, 128008, 128009];
  assert.deepEqual(llama({ eos_token_id: ends }).eos_token_id, ends);
  for (const pad_token_id of [null, -1, undefined]) assert.equal(llama({ pad_token_id }).pad_token_id, null);
  assert.equal(llama({ pad_token_id: 128004 }).pad_token_id, 128004);
});

Deno.test("llamaConfig() reads a fine-tune of Llama 3 8B with tokens of its own, as Hermes 2 Pro is", () => {
  const found = llama({
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
  assert.deepEqual([found.head_dim, found.rope_scaling, found.vocab_size], [128, null, 128288]);
});
