import assert from "node:assert/strict";
import { llamaConfig } from "./llama_config.ts";
import { type LlamaConfig, llamaFromHf, llamaHeadDim, llamaRedundant, llamaToHf } from "./llama.ts";

const text = {
  maxPositionEmbeddings: 131_072,
  bosTokenId: 128_000,
  eosTokenIds: [128_001, 128_008, 128_009],
  padTokenId: null,
  dtype: "bfloat16",
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
  ropeScaling: { type: "dynamic", factor: 2, pretrainingSequenceLength: text.maxPositionEmbeddings },
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

function parse(raw: Record<string, unknown>) {
  return llamaConfig({ path: "config.json", modelType: String(raw.model_type), raw: JSON.parse(JSON.stringify(raw)) });
}

for (const [name, config] of Object.entries({ llama3, llama31, llama32, biased, linear, dynamic, yarn })) {
  Deno.test(`the config of ${name} is the same after a way through Hugging Face's`, () => {
    const back = llamaFromHf(parse(llamaToHf(config, text)));
    for (const [field, value] of Object.entries(config)) {
      assert.deepEqual(back[field as keyof LlamaConfig], value, field);
    }
    assert.equal(llamaHeadDim(back), 128);
    assert.deepEqual(llamaToHf(back, text), llamaToHf(config, text));
  });

  Deno.test(`the config of ${name} says the same in either spelling`, () => {
    const { rope_parameters, ...old } = llamaToHf(config, text);
    const { rope_theta: _, rope_scaling: __, ...today } = llamaToHf(config, text);
    assert.notEqual(rope_parameters, undefined);
    assert.deepEqual(llamaFromHf(parse(old)), llamaFromHf(parse(today)));
  });
}

Deno.test("llamaToHf() rejects a width that the heads do not divide, which Transformers refuses", () => {
  const config = { ...llama3, hiddenDim: 4100, headDim: 128 };
  assert.throws(() => llamaToHf(config, text), { name: "TypeError", message: /hiddenDim \(4100\).*\(32\)/ });
});

Deno.test("llamaRedundant() passes over a head in the file only where it is tied to the embedding", () => {
  const passes = (config: LlamaConfig, name: string) => llamaRedundant(config).some((pattern) => pattern.test(name));
  assert(passes(llama32, "lm_head.weight"));
  assert(!passes(llama31, "lm_head.weight"));
  assert(passes(llama31, "model.layers.0.self_attn.rotary_emb.inv_freq"));
  assert(!passes(llama32, "model.layers.0.mlp.up_proj.weight"));
});
