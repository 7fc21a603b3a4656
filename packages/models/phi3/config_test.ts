import assert from "node:assert/strict";
import type { HfConfig } from "../architecture/hf_config.ts";
import { phi3, type Phi3Config } from "./phi3.ts";

const sizes = {
  vocab_size: 256,
  hidden_size: 64,
  intermediate_size: 96,
  num_hidden_layers: 3,
  num_attention_heads: 4,
};

function config(fields: Record<string, unknown>): HfConfig {
  return { path: "m/config.json", modelType: "phi3", raw: { model_type: "phi3", ...sizes, ...fields } };
}

const factors = (first: number) => Array.from({ length: 8 }, (_, i) => first + i);
const longrope = { short_factor: factors(1), long_factor: factors(2) };
const scaling = {
  shortFactors: factors(1),
  longFactors: factors(2),
  attentionFactor: Math.sqrt(1 + Math.log(32) / Math.log(4096)),
  pretrainingSequenceLength: 4096,
};

Deno.test("phi3.readConfig() fills in the defaults of Transformers", () => {
  const found = phi3.readConfig(config({}));
  assert.deepEqual(found.config, {
    vocabularySize: 256,
    numLayers: 3,
    numQueryHeads: 4,
    numKeyValueHeads: 4,
    hiddenDim: 64,
    intermediateDim: 96,
    ropeMaxWavelength: 10000,
    ropeScaling: null,
    partialRotaryFactor: 1,
    slidingWindowSize: null,
    layerNormEpsilon: 1e-5,
    tieWordEmbeddings: false,
  });
  assert.deepEqual(found.text, { contextLength: 4096, bosTokenId: 1, eosTokenIds: [32_000], padTokenId: 32_000 });
});

Deno.test("phi3.readConfig() reads both spellings and both names of LongRoPE alike", () => {
  const same = { max_position_embeddings: 131_072, original_max_position_embeddings: 4096 };
  const spellings = [
    { rope_theta: 500.0, rope_scaling: { type: "su", ...longrope } },
    { rope_theta: 500.0, rope_scaling: { rope_type: "longrope", ...longrope }, partial_rotary_factor: 1.0 },
    { rope_parameters: { rope_type: "longrope", rope_theta: 500.0, partial_rotary_factor: 1.0, ...longrope } },
    { rope_parameters: { rope_type: "longrope", rope_theta: 500.0, factor: 32.0, ...longrope } },
  ];
  for (const spelling of spellings) {
    const { ropeMaxWavelength, ropeScaling, partialRotaryFactor } =
      phi3.readConfig(config({ ...same, ...spelling })).config;
    assert.deepEqual([ropeMaxWavelength, ropeScaling, partialRotaryFactor], [500, scaling, 1]);
  }
});

Deno.test("phi3.readConfig() takes a factor of attention as it stands, and 1 where nothing is stretched", () => {
  const attention = (fields: Record<string, unknown>, context = 8192) =>
    phi3.readConfig(config({
      max_position_embeddings: context,
      rope_scaling: { type: "longrope", ...longrope, ...fields },
    })).config.ropeScaling?.attentionFactor;
  assert.equal(attention({ attention_factor: 1.5 }), 1.5);
  assert.equal(attention({}, 4096), 1);
  assert.equal(attention({}), Math.sqrt(1 + Math.log(2) / Math.log(4096)));
});

/** Configs that are wrong or ask for more, and what the message must say. */
const refused: readonly (readonly [what: string, fields: Record<string, unknown>, says: RegExp])[] = [
  ["another activation", { hidden_act: "gelu" }, /"hidden_act".*Tessera's Phi-3 computes only "silu"/],
  ["biases", { attention_bias: true }, /"attention_bias".*Tessera's Phi-3 computes only false/],
  ["dropout", { resid_pdrop: 0.1 }, /"resid_pdrop".*Tessera's Phi-3 computes only 0/],
  [
    "another way of stretching",
    { rope_scaling: { type: "linear", factor: 2 } },
    /"rope_scaling" has the type "linear", Tessera's Phi-3 computes only "default", "longrope" and "su"/,
  ],
  [
    "no factors for long texts",
    { rope_scaling: { type: "su", short_factor: factors(1) } },
    /"rope_scaling.long_factor"/,
  ],
  [
    "factors for other heads",
    { rope_scaling: { type: "su", ...longrope, long_factor: [1, 2] } },
    /ropeScaling.longFactors must have a factor for each of 8 pairs, found 2/,
  ],
  [
    "an odd part of a head",
    { partial_rotary_factor: 0.2 },
    /of a head's 16 elements, an even number must be turned, found 3/,
  ],
  ["more than a head", { partial_rotary_factor: 1.5 }, /"partial_rotary_factor"/],
  [
    "heads that do not divide",
    { num_key_value_heads: 3 },
    /"num_attention_heads" \(4\) is not divisible by "num_key_value_heads"/,
  ],
  [
    "a hidden size that heads do not divide",
    { hidden_size: 66 },
    /"hidden_size" \(66\) is not divisible .* there is no "head_dim"/,
  ],
];

for (const [what, fields, says] of refused) {
  Deno.test(`phi3.readConfig() rejects ${what}`, () => {
    assert.throws(() => phi3.readConfig(config(fields)), (error: Error) => {
      assert.match(error.message, says);
      return error.message.startsWith('Cannot use "m/config.json"');
    });
  });
}

const plain: Phi3Config = {
  vocabularySize: 256,
  numLayers: 3,
  numQueryHeads: 4,
  numKeyValueHeads: 2,
  hiddenDim: 64,
  intermediateDim: 96,
  layerNormEpsilon: 1e-5,
};
const written: Readonly<Record<string, Phi3Config>> = {
  plain: { ...plain, slidingWindowSize: 2047, ropeMaxWavelength: 250_000 },
  stretched: { ...plain, ropeScaling: { ...scaling, attentionFactor: 1.25 }, tieWordEmbeddings: true },
  partial: { ...plain, headDim: 24, partialRotaryFactor: 0.5, ropeScaling: null },
};

for (const [name, given] of Object.entries(written)) {
  Deno.test(`the ${name} config is the same after a way through Hugging Face's, in either spelling`, () => {
    const text = { contextLength: 16_384, bosTokenId: 1, eosTokenIds: [32_000, 32_007], padTokenId: 32_000 };
    const raw: Record<string, unknown> = JSON.parse(JSON.stringify(phi3.writeConfig(given, text, "bfloat16")));
    const { rope_parameters, ...old } = raw;
    const { rope_theta: _, rope_scaling: __, partial_rotary_factor: ___, ...today } = raw;
    assert.notEqual(rope_parameters, undefined);
    for (const file of [raw, old, today]) {
      const back = phi3.readConfig({ path: "config.json", modelType: "phi3", raw: file });
      for (const [field, value] of Object.entries(given)) {
        assert.deepEqual(back.config[field as keyof Phi3Config], value, field);
      }
      assert.deepEqual(back.text, text);
    }
  });
}
