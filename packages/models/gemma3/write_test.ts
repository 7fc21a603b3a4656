import assert from "node:assert/strict";
import { gemma3, type Gemma3Config } from "./gemma3.ts";
import { gemma3Sizes } from "./presets.ts";

const text = { contextLength: 32_768, bosTokenId: 2, eosTokenIds: [1, 106], padTokenId: 0 };

const configs: Readonly<Record<string, Gemma3Config>> = {
  ...gemma3Sizes,
  "every field": {
    ...gemma3Sizes["270m"],
    numLayers: 2,
    attentionScale: 20 ** -0.5,
    attentionBias: true,
    finalLogitSoftCap: 30,
    layerTypes: ["full_attention", "sliding_attention"],
    localRopeMaxWavelength: 500,
    globalRopeMaxWavelength: 5000,
    localRopeScaling: { type: "linear", factor: 2 },
    globalRopeScaling: {
      type: "yarn",
      factor: 16,
      betaFast: 24,
      betaSlow: 0.5,
      attentionFactor: 1.25,
      truncate: false,
      pretrainingSequenceLength: 8192,
    },
    layerNormEpsilon: 1e-5,
  },
};

function write(config: Gemma3Config): Record<string, unknown> {
  return JSON.parse(JSON.stringify(gemma3.writeConfig(config, text, "bfloat16")));
}

function read(raw: Record<string, unknown>) {
  return gemma3.readConfig({ path: "config.json", modelType: String(raw.model_type), raw });
}

for (const [name, config] of Object.entries(configs)) {
  Deno.test(`the config of ${name} is the same after a way through Hugging Face's`, () => {
    const written = write(config);
    const back = read(written);
    for (const [field, value] of Object.entries(config)) {
      if (field !== "attentionScale") assert.deepEqual(back.config[field as keyof Gemma3Config], value, field);
    }
    assert.deepEqual(back.text, text);
    assert.deepEqual(write(back.config), written);
  });
}

Deno.test("gemma3.writeConfig() writes the attention scale as the whole number that Transformers wants", () => {
  const scalars = Object.values(configs).map((config) => write(config).query_pre_attn_scalar);
  assert.deepEqual(scalars, [256, 256, 168, 20]);
});

Deno.test("a config that only the older spelling of the rotary embedding is read from means the same", () => {
  const { rope_parameters: _, ...old } = write(gemma3Sizes["27b"]);
  assert.deepEqual(read(old).config, read(write(gemma3Sizes["27b"])).config);
});

Deno.test("gemma3.writeConfig() rejects heads that Transformers cannot load", () => {
  assert.throws(() => write({ ...gemma3Sizes["270m"], hiddenDim: 642 }), {
    name: "TypeError",
    message: "Cannot describe the backbone as a Gemma 3: Transformers wants hiddenDim (642) to be a multiple of " +
      "numQueryHeads (4), whatever headDim is",
  });
});
