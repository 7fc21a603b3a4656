import assert from "node:assert/strict";
import { enableLora } from "@tessera/lora";
import { countParameters } from "@tessera/nn";
import { Llama3Backbone, type LlamaConfig } from "./llama.ts";
import { llama8b, stretched } from "./testing.ts";

const tiny: LlamaConfig = {
  vocabularySize: 40,
  numLayers: 1,
  numQueryHeads: 4,
  numKeyValueHeads: 2,
  hiddenDim: 32,
  intermediateDim: 48,
  headDim: 6,
};

Deno.test("a Llama has Keras's variables, with and without a head of its own", () => {
  const shapes = (config: LlamaConfig) =>
    Object.fromEntries(new Llama3Backbone(config).variables.map(({ path, shape }) => [path, shape]));
  const untied = shapes(tiny);
  assert.deepEqual(untied, {
    "token_embedding/embeddings": [40, 32],
    "token_embedding/reverse_embeddings": [32, 40],
    "transformer_layer_0/self_attention/query/kernel": [32, 4, 6],
    "transformer_layer_0/self_attention/key/kernel": [32, 2, 6],
    "transformer_layer_0/self_attention/value/kernel": [32, 2, 6],
    "transformer_layer_0/self_attention/attention_output/kernel": [4, 6, 32],
    "transformer_layer_0/self_attention_layernorm/scale": [32],
    "transformer_layer_0/feedforward_intermediate_dense/kernel": [32, 48],
    "transformer_layer_0/feedforward_gate_dense/kernel": [32, 48],
    "transformer_layer_0/feedforward_output_dense/kernel": [48, 32],
    "transformer_layer_0/feedforward_layernorm/scale": [32],
    "sequence_output_layernorm/scale": [32],
  });
  const { "token_embedding/reverse_embeddings": _, ...rest } = untied;
  assert.deepEqual(shapes({ ...tiny, tieWordEmbeddings: true }), rest);
});

Deno.test("the biases of a Llama have the output axes of their kernels", () => {
  const biases = new Llama3Backbone({ ...tiny, attentionBias: true, mlpBias: true }).variables
    .filter(({ path }) => path.endsWith("/bias"));
  assert.deepEqual(Object.fromEntries(biases.map(({ path, shape }) => [path, shape])), {
    "transformer_layer_0/self_attention/query/bias": [4, 6],
    "transformer_layer_0/self_attention/key/bias": [2, 6],
    "transformer_layer_0/self_attention/value/bias": [2, 6],
    "transformer_layer_0/self_attention/attention_output/bias": [32],
    "transformer_layer_0/feedforward_intermediate_dense/bias": [48],
    "transformer_layer_0/feedforward_gate_dense/bias": [48],
    "transformer_layer_0/feedforward_output_dense/bias": [32],
  });
});

Deno.test("enableLora() trains as many parameters of Llama 3 8B as in Keras and in PEFT", () => {
  // Per block: Keras factors a head's last axis only, PEFT the whole matrix.
  const keras = (r: number) => 32 * (4096 * 32 * r + r * 128 + 4096 * 8 * r + r * 128);
  const peft = (r: number) => 32 * ((4096 + 4096) * r + (4096 + 1024) * r);
  for (const [layout, count] of [["keras", keras], ["peft", peft]] as const) {
    const backbone = new Llama3Backbone(llama8b);
    enableLora(backbone, { rank: 8, layout });
    assert.equal(countParameters(backbone.variables).trainable, count(8));
  }
  assert.equal(peft(8), 3_407_872);
});

/** Fields that are wrong, and what the message must say. */
const cases: readonly (readonly [what: string, fields: Partial<LlamaConfig>, says: string])[] = [
  ["no layers", { numLayers: 0 }, "numLayers must be a positive integer, found 0"],
  ["half a head", { numQueryHeads: 2.5 }, "numQueryHeads must be a positive integer, found 2.5"],
  ["heads that do not divide", { numKeyValueHeads: 3 }, "numQueryHeads (4) is not divisible by numKeyValueHeads (3)"],
  ["an odd head", { headDim: 5 }, "headDim must be even, found 5"],
  ["an epsilon of zero", { layerNormEpsilon: 0 }, "layerNormEpsilon must be a positive number, found 0"],
  ["an endless wavelength", { ropeMaxWavelength: Infinity }, "ropeMaxWavelength must be a positive number"],
  ["dropout", { dropout: 0.1 }, "dropout must be 0, as no Llama 3 was trained with any, found 0.1"],
  [
    "half of the stretching",
    { ropeFrequencyAdjustmentFactor: 8, ropeLowFreqFactor: 1 },
    "come together, found no ropeHighFreqFactor and no ropePretrainingSequenceLength",
  ],
  [
    "bounds that are swapped",
    { ...stretched, ropeLowFreqFactor: 4, ropeHighFreqFactor: 1 },
    "ropeLowFreqFactor (4) must be less than ropeHighFreqFactor (1)",
  ],
  [
    "two ways of stretching",
    { ...stretched, ropeScaling: { type: "linear", factor: 2 } },
    "ropeScaling and ropeFrequencyAdjustmentFactor, ropeLowFreqFactor, ropeHighFreqFactor, " +
    "ropePretrainingSequenceLength exclude each other",
  ],
  [
    "shorter texts",
    { ropeScaling: { type: "linear", factor: 0.5 } },
    "ropeScaling.factor must be at least 1, found 0.5",
  ],
  [
    "no texts of pretraining",
    { ropeScaling: { type: "dynamic", factor: 2, pretrainingSequenceLength: 0 } },
    "ropeScaling.pretrainingSequenceLength must be a positive number, found 0",
  ],
  [
    "one pair for a dynamic base",
    { headDim: 2, ropeScaling: { type: "dynamic", factor: 2, pretrainingSequenceLength: 8 } },
    "a dynamic ropeScaling needs a headDim of at least 4, found 2",
  ],
];

for (const [what, fields, says] of cases) {
  Deno.test(`a Llama cannot be made with ${what}`, () => {
    assert.throws(() => new Llama3Backbone({ ...tiny, ...fields }), (error: Error) => {
      assert(error instanceof RangeError);
      assert(error.message.startsWith("Cannot make a Llama backbone: ") && error.message.includes(says), error.message);
      return true;
    });
  });
}

Deno.test("a Llama whose heads do not divide its hidden size needs headDim", () => {
  const { headDim: _, ...rest } = tiny;
  assert.throws(() => new Llama3Backbone({ ...rest, hiddenDim: 34 }), {
    message:
      "Cannot make a Llama backbone: hiddenDim (34) is not divisible by numQueryHeads (4), and there is no headDim",
  });
});
