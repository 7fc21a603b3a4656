/**
 * PaliGemma 1 and PaliGemma 2 between Hugging Face and Tessera: the config's fields, and the name of every tensor.
 *
 * Format: https://huggingface.co/docs/transformers/model_doc/paligemma.
 */
import type { HfPaliGemmaConfig } from "./pali_gemma_config.ts";
import { gemma2Rows, type GemmaConfig, gemmaFromHf, gemmaRedundant, gemmaRows, gemmaToHf } from "./gemma.ts";
import type { NameRule, TensorRow } from "./rows.ts";
import type { TextFields } from "./text_fields.ts";

/** The fields that make a SigLIP tower. */
export interface SiglipConfig {
  /** The side of an image, in pixels. */
  readonly imageSize: number;
  /** The side of a patch, in pixels. */
  readonly patchSize: number;
  /** The number of encoder blocks. */
  readonly numLayers: number;
  /** The number of attention heads; it divides `hiddenDim`. */
  readonly numHeads: number;
  /** The width of the residual stream. */
  readonly hiddenDim: number;
  /** The width of the feed-forward layer. */
  readonly intermediateDim: number;
  /** Added to the variance in every normalisation. 1e-6 unless given. */
  readonly layerNormEpsilon?: number;
}

/** The fields that make a PaliGemma backbone. */
export interface PaliGemmaConfig {
  /** The decoder: a Gemma 1 for PaliGemma 1, a Gemma 2 for PaliGemma 2. */
  readonly text: GemmaConfig;
  /** The vision tower. */
  readonly vision: SiglipConfig;
  /** The token in whose place an image's patches stand; it may lie beyond the vocabulary. */
  readonly imageTokenId: number;
}

const tower = "model.vision_tower";
const layer = `${tower}.encoder.layers.{i}`;
const block = "image_encoder/encoder_block_{i}";

/** The kernel and bias, or scale and shift, of a module. */
function both(variable: string, names: readonly [string, string], module: string): TensorRow[] {
  return [
    { variable: `${variable}/${names[0]}`, tensor: `${module}.weight` },
    { variable: `${variable}/${names[1]}`, tensor: `${module}.bias` },
  ];
}

const dense = ["kernel", "bias"] as const;
const norm = ["gamma", "beta"] as const;

/** The tensors of the vision tower and of the projection, under the names that Transformers 5 gives them. */
const vision: readonly TensorRow[] = [
  ...both("image_encoder/encoder_embeddings/embedding_conv", dense, `${tower}.embeddings.patch_embedding`),
  {
    variable: "image_encoder/encoder_embeddings/position_embedding/embeddings",
    tensor: `${tower}.embeddings.position_embedding.weight`,
  },
  ...both(`${block}/layer_norm_1`, norm, `${layer}.layer_norm1`),
  ...["query", "key", "value"].flatMap((name) =>
    both(`${block}/multi_head_attention/${name}_proj`, dense, `${layer}.self_attn.${name[0]}_proj`)
  ),
  ...both(`${block}/multi_head_attention/out_proj`, dense, `${layer}.self_attn.out_proj`),
  ...both(`${block}/layer_norm_2`, norm, `${layer}.layer_norm2`),
  ...both(`${block}/mlp_dense_1`, dense, `${layer}.mlp.fc1`),
  ...both(`${block}/mlp_dense_2`, dense, `${layer}.mlp.fc2`),
  ...both("image_encoder/encoder_layer_norm", norm, `${tower}.post_layernorm`),
  ...both("image_classifier", dense, "model.multi_modal_projector.linear"),
];

function decoder(rows: readonly TensorRow[]): TensorRow[] {
  return rows.map((row) => ({ ...row, tensor: row.tensor.replace(/^model\./, "model.language_model.") }));
}

/** The tensors of a PaliGemma 1 checkpoint. */
export const paliGemmaRows: readonly TensorRow[] = [...vision, ...decoder(gemmaRows)];

/** The tensors of a PaliGemma 2 checkpoint. */
export const paliGemma2Rows: readonly TensorRow[] = [...vision, ...decoder(gemma2Rows)];

/** Names that published repositories and versions of Transformers give these tensors. */
export const paliGemmaNames: readonly NameRule[] = [
  { from: /^(?:model\.)?language_model\.model\./, to: "model.language_model." },
  { from: /^(?:model\.)?language_model\.lm_head\./, to: "lm_head." },
  { from: /^(?:model\.)?vision_tower\.(?:vision_model\.)?/, to: "model.vision_tower." },
  { from: /^multi_modal_projector\./, to: "model.multi_modal_projector." },
];

/** Tensors that a checkpoint may hold and that say nothing: the head is the embedding; PaliGemma pools no image. */
export const paliGemmaRedundant: readonly RegExp[] = [
  ...gemmaRedundant,
  /^model\.vision_tower\.head\./,
  /\.position_ids$/,
];

/**
 * The backbone that a Hugging Face config describes.
 *
 * @throws {TypeError} when the output head is not the embedding, which no PaliGemma has.
 */
export function paliGemmaFromHf(hf: HfPaliGemmaConfig): PaliGemmaConfig {
  const { vision } = hf;
  return {
    text: gemmaFromHf(hf.text),
    vision: {
      imageSize: vision.image_size,
      patchSize: vision.patch_size,
      numLayers: vision.num_hidden_layers,
      numHeads: vision.num_attention_heads,
      hiddenDim: vision.hidden_size,
      intermediateDim: vision.intermediate_size,
      layerNormEpsilon: vision.layer_norm_eps,
    },
    imageTokenId: hf.image_token_index,
  };
}

/**
 * The `config.json` of a backbone, in Transformers 5's spelling.
 *
 * @throws {TypeError} when neither Gemma 1 nor Gemma 2 has what the decoder has.
 */
export function paliGemmaToHf(config: PaliGemmaConfig, fields: TextFields): Record<string, unknown> {
  const { vision } = config;
  const { architectures: _, ...text } = gemmaToHf(config.text, fields);
  const width = config.text.hiddenDim;
  return {
    architectures: ["PaliGemmaForConditionalGeneration"],
    model_type: "paligemma",
    text_config: { ...text, num_image_tokens: Math.floor(vision.imageSize / vision.patchSize) ** 2 },
    vision_config: {
      model_type: "siglip_vision_model",
      hidden_size: vision.hiddenDim,
      intermediate_size: vision.intermediateDim,
      num_hidden_layers: vision.numLayers,
      num_attention_heads: vision.numHeads,
      num_channels: 3,
      image_size: vision.imageSize,
      patch_size: vision.patchSize,
      hidden_act: "gelu_pytorch_tanh",
      layer_norm_eps: vision.layerNormEpsilon ?? 1e-6,
      projection_dim: width,
      vision_use_head: false,
    },
    image_token_index: config.imageTokenId,
    vocab_size: config.text.vocabularySize,
    hidden_size: width,
    projection_dim: width,
    tie_word_embeddings: true,
    bos_token_id: text.bos_token_id,
    eos_token_id: text.eos_token_id,
    pad_token_id: text.pad_token_id,
    dtype: fields.dtype,
  };
}
