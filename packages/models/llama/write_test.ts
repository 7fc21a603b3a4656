import assert from "node:assert/strict";
import { llama, type LlamaConfig, llamaHeadDim } from "./llama.ts";

const text = {
  contextLength: 131_072,
  bosTokenId: 128_000,
  eosTokenIds: [128_001, 128_008, 128_009],
  padTokenId: null,
};

const llama3: LlamaConfig = {
  vocabularySize: 128_256,
  numLayers: 32,
  numQueryHeads: 32,
  numKeyValueHeads: 8,
  hiddenDim: 4096,
  intermediateDim: 14_336,
  ropeMaxWavelength: 500_000,
  layerNormEpsilon: 1e-5,
};
const llama31: LlamaConfig = {
  ...llama3,
  ropeFrequencyAdjustmentFactor: 8,
  ropeLowFreqFactor: 1,
  ropeHighFreqFactor: 4,
  ropePretrainingSequenceLength: 8192,
};
const llama32: LlamaConfig = { ...llama31, hiddenDim: 3072, numQueryHeads: 24, headDim: 128, tieWordEmbeddings: true };

const biased: LlamaConfig = { ...llama32, attentionBias: true, mlpBias: true };
const linear: LlamaConfig = { ...llama3, ropeScaling: { type: "linear", factor: 4 } };
// The base grows beyond the length that the file gives as the longest text.
const dynamic: LlamaConfig = {
  ...llama3,
  ropeScaling: { type: "dynamic", factor: 2, pretrainingSequenceLength: text.contextLength },
};
const yarn: LlamaConfig = {
  ...llama3,
  ropeScaling: {
    type: "yarn",
    factor: 16,
    betaFast: 24,
    betaSlow: 0.5,
    attentionFactor: 1.25,
    truncate: false,
    pretrainingSequenceLength: 8192,
  },
};

function write(config: LlamaConfig) {
  return llama.writeConfig(config, text, "bfloat16");
}

function read(raw: Record<string, unknown>): LlamaConfig {
  const file = { path: "config.json", modelType: String(raw.model_type), raw: JSON.parse(JSON.stringify(raw)) };
  return llama.readConfig(file).config;
}

for (const [name, config] of Object.entries({ llama3, llama31, llama32, biased, linear, dynamic, yarn })) {
  Deno.test(`the config of ${name} is the same after a way through Hugging Face's`, () => {
    const back = read(write(config));
    for (const [field, value] of Object.entries(config)) {
      assert.deepEqual(back[field as keyof LlamaConfig], value, field);
    }
    assert.equal(llamaHeadDim(back), 128);
    assert.deepEqual(write(back), write(config));
  });

  Deno.test(`the config of ${name} says the same in either spelling`, () => {
    const { rope_parameters, ...old } = write(config);
    const { rope_theta: _, rope_scaling: __, ...today } = write(config);
    assert.notEqual(rope_parameters, undefined);
    assert.deepEqual(read(old), read(today));
  });
}

Deno.test("llama.writeConfig() rejects a hidden size that the heads do not divide, which Transformers refuses", () => {
  const config = { ...llama3, hiddenDim: 4100, headDim: 128 };
  assert.throws(() => write(config), { name: "TypeError", message: /hiddenDim \(4100\).*\(32\)/ });
});

Deno.test("a checkpoint may hold a head only where it is tied to the embedding", () => {
  const small = {
    vocabularySize: 8,
    numLayers: 1,
    hiddenDim: 8,
    intermediateDim: 8,
    numQueryHeads: 1,
    numKeyValueHeads: 1,
  };
  const copies = (tieWordEmbeddings: boolean) => llama.build({ ...small, tieWordEmbeddings }).copies;
  assert.deepEqual(copies(true), { "lm_head.weight": "model.embed_tokens.weight" });
  assert.deepEqual(copies(false), {});
  const { redundant } = llama.build(small);
  assert(redundant.some((pattern) => pattern.test("model.layers.0.self_attn.rotary_emb.inv_freq")));
  assert(!redundant.some((pattern) => pattern.test("model.layers.0.mlp.up_proj.weight")));
});
