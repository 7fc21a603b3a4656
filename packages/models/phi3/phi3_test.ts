import assert from "node:assert/strict";
import { enableLora } from "@tessera/lora";
import { countParameters } from "@tessera/nn";
import { phi3, Phi3Backbone, type Phi3Config } from "./phi3.ts";

const tiny: Phi3Config = {
  vocabularySize: 40,
  numLayers: 1,
  numQueryHeads: 4,
  numKeyValueHeads: 2,
  hiddenDim: 32,
  intermediateDim: 48,
};

Deno.test("a Phi-3 has Keras's variables, whatever tensors its checkpoints have", () => {
  const { variables, declared } = new Phi3Backbone(tiny);
  assert.deepEqual(Object.fromEntries(variables.map(({ path, shape }) => [path, shape])), {
    "token_embedding/embeddings": [40, 32],
    "token_embedding/reverse_embeddings": [32, 40],
    "transformer_layer_0/pre_attention_layernorm/scale": [32],
    "transformer_layer_0/attention/query/kernel": [32, 4, 8],
    "transformer_layer_0/attention/key/kernel": [32, 2, 8],
    "transformer_layer_0/attention/value/kernel": [32, 2, 8],
    "transformer_layer_0/attention/attention_output/kernel": [4, 8, 32],
    "transformer_layer_0/post_attention_layernorm/scale": [32],
    "transformer_layer_0/feedforward_gate_dense/kernel": [32, 48],
    "transformer_layer_0/feedforward_intermediate_dense/kernel": [32, 48],
    "transformer_layer_0/feedforward_output_dense/kernel": [48, 32],
    "sequence_output_layernorm/scale": [32],
  });
  const fused = declared.rows.filter(({ part }) => part !== undefined);
  assert.deepEqual(fused.map(({ tensor, part }) => [tensor, ...part!.rows, part!.of]), [
    ["model.layers.0.self_attn.qkv_proj.weight", 0, 32, 64],
    ["model.layers.0.self_attn.qkv_proj.weight", 32, 48, 64],
    ["model.layers.0.self_attn.qkv_proj.weight", 48, 64, 64],
    ["model.layers.0.mlp.gate_up_proj.weight", 0, 48, 96],
    ["model.layers.0.mlp.gate_up_proj.weight", 48, 96, 96],
  ]);
});

Deno.test("enableLora() trains as many parameters of Phi-3 mini as PEFT, which has one A for query, key and value", () => {
  const { config } = phi3.presets.phi3_mini_4k_instruct_en;
  const backbone = new Phi3Backbone(config);
  enableLora(backbone, { rank: 8, layout: "peft", targets: ["query", "key", "value"] });
  assert.equal(countParameters(backbone.variables).trainable, 32 * 8 * (3072 + 3 * 3072));
});

/** Fields that are wrong, and what the message must say. */
const cases: readonly (readonly [what: string, fields: Partial<Phi3Config>, says: string])[] = [
  ["an odd head", { headDim: 5 }, "of a head's 5 elements, an even number must be turned, found 5"],
  [
    "more than all of a head turned",
    { partialRotaryFactor: 2 },
    "partialRotaryFactor must be a number above 0 and up to 1",
  ],
  ["a window of nothing", { slidingWindowSize: 0 }, "slidingWindowSize must be a positive integer, found 0"],
  [
    "factors for some pairs",
    { ropeScaling: { shortFactors: [1], longFactors: [1], attentionFactor: 1, pretrainingSequenceLength: 8 } },
    "ropeScaling.shortFactors must have a factor for each of 4 pairs, found 1",
  ],
];

for (const [what, fields, says] of cases) {
  Deno.test(`a Phi-3 cannot be made with ${what}`, () => {
    assert.throws(() => new Phi3Backbone({ ...tiny, ...fields }), (error: Error) => {
      assert(error instanceof RangeError);
      assert(error.message.startsWith("Cannot make a Phi-3 backbone: ") && error.message.includes(says), error.message);
      return true;
    });
  });
}
