import assert from "node:assert/strict";
import { layersOf, moduleOf, tableName } from "@tessera/convert";
import { paliGemma, type PaliGemmaConfig } from "./pali_gemma.ts";

const text = { contextLength: 8192, bosTokenId: 2, eosTokenIds: [1], padTokenId: 0 };

const first: PaliGemmaConfig = {
  text: {
    vocabularySize: 257_216,
    numLayers: 18,
    numQueryHeads: 8,
    numKeyValueHeads: 1,
    hiddenDim: 2048,
    intermediateDim: 32_768,
    headDim: 256,
  },
  vision: { imageSize: 448, patchSize: 14, numLayers: 27, numHeads: 16, hiddenDim: 1152, intermediateDim: 4304 },
  imageTokenId: 257_152,
};
const second: PaliGemmaConfig = {
  ...first,
  text: {
    ...first.text,
    numKeyValueHeads: 4,
    usePostFfwNorm: true,
    usePostAttentionNorm: true,
    attentionLogitSoftCap: 50,
    finalLogitSoftCap: 30,
    useSlidingWindowAttention: true,
    slidingWindowSize: 4096,
  },
};

for (const [name, config] of Object.entries({ first, second })) {
  Deno.test(`the config of the ${name} PaliGemma is the same after a way through Hugging Face's`, () => {
    const written = paliGemma.writeConfig(config, text, "bfloat16");
    const raw = JSON.parse(JSON.stringify(written));
    const { config: back, text: said } = paliGemma.readConfig({ path: "config.json", modelType: "paligemma", raw });
    assert.deepEqual(back.vision, { ...config.vision, layerNormEpsilon: 1e-6 });
    assert.equal(back.imageTokenId, config.imageTokenId);
    assert.equal(back.text.finalLogitSoftCap, config.text.finalLogitSoftCap);
    assert.deepEqual(said, text);
    assert.deepEqual(paliGemma.writeConfig(back, text, "bfloat16"), written);
  });
}

const names: readonly (readonly [file: string, variable: string])[] = [
  ["language_model.model.embed_tokens.weight", "token_embedding/embeddings"],
  ["model.language_model.embed_tokens.weight", "token_embedding/embeddings"],
  ["language_model.model.layers.3.self_attn.q_proj.weight", "decoder_block_3/attention/query/kernel"],
  ["model.language_model.norm.weight", "final_normalization/scale"],
  ["vision_tower.vision_model.post_layernorm.bias", "image_encoder/encoder_layer_norm/beta"],
  ["vision_tower.post_layernorm.bias", "image_encoder/encoder_layer_norm/beta"],
  ["model.vision_tower.vision_model.post_layernorm.bias", "image_encoder/encoder_layer_norm/beta"],
  ["model.vision_tower.encoder.layers.2.mlp.fc2.weight", "image_encoder/encoder_block_2/mlp_dense_2/kernel"],
  [
    "vision_tower.vision_model.encoder.layers.0.self_attn.out_proj.bias",
    "image_encoder/encoder_block_0/multi_head_attention/out_proj/bias",
  ],
  ["multi_modal_projector.linear.weight", "image_classifier/kernel"],
  ["model.multi_modal_projector.linear.weight", "image_classifier/kernel"],
];

Deno.test("every name that a tensor has had leads to its variable", () => {
  for (const config of [first, second]) {
    const { rows, names: rules } = paliGemma.build(config);
    for (const [file, variable] of names) {
      assert.equal(rows.find(({ tensor }) => tensor === tableName(file, rules))?.variable, variable, file);
    }
    assert.equal(tableName("language_model.lm_head.weight", rules), "lm_head.weight");
  }
});

Deno.test("adapters of PEFT find their layers under old and new names", () => {
  const { rows, names: rules } = paliGemma.build(second);
  const module = "model.language_model.layers.4.self_attn.q_proj";
  assert.equal(moduleOf(rows, "decoder_block_4/attention/query"), module);
  for (const name of [module, "language_model.model.layers.4.self_attn.q_proj"]) {
    assert.deepEqual(layersOf(rows, tableName(name, rules)), ["decoder_block_4/attention/query"]);
  }
});
