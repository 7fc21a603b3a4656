/**
 * The configuration of a PaliGemma 1 or PaliGemma 2 checkpoint: that of a Gemma and that of a SigLIP tower, and what joins them.
 *
 * Published repositories leave out what was a default when they were made, and so name neither the image's size at 224 pixels
 * nor the width of a head; Transformers 5 writes everything. Both are read.
 *
 * Reference: `configuration_paligemma.py` and `configuration_siglip.py` of Transformers 5.
 */
import { z } from "zod";
import type { FloatDType } from "@tessera/core";
import { gemmaConfig, type HfGemmaConfig } from "./gemma_config.ts";
import { type HfConfig, padTokenId, tokenIds, torchDtypeOf } from "./hf_config.ts";
import { checkJson } from "@tessera/files";

/** The configuration of a SigLIP vision tower, with every default filled in. */
export interface HfSiglipConfig {
  /** The width of the residual stream. */
  readonly hidden_size: number;
  /** The width of the feed-forward network. */
  readonly intermediate_size: number;
  /** The number of encoder blocks. */
  readonly num_hidden_layers: number;
  /** The number of attention heads. */
  readonly num_attention_heads: number;
  /** The side of an image, in pixels. */
  readonly image_size: number;
  /** The side of a patch, in pixels. */
  readonly patch_size: number;
  /** What layer normalisation adds to the variance. */
  readonly layer_norm_eps: number;
}

/** The configuration of a PaliGemma checkpoint, with every default filled in. */
export interface HfPaliGemmaConfig {
  /** The decoder: a Gemma for PaliGemma 1, a Gemma 2 for PaliGemma 2. */
  readonly text: HfGemmaConfig;
  /** The vision tower. */
  readonly vision: HfSiglipConfig;
  /** The token in whose place an image's patches stand. */
  readonly image_token_index: number;
  /** The dtype of the weights, or null where the file does not say. */
  readonly dtype: FloatDType | null;
}

const size = z.number().int().positive();
const tokenId = z.number().int().nonnegative().nullish();

const visionSchema = z.looseObject({
  model_type: z.literal("siglip_vision_model", 'PaliGemma\'s tower is "siglip_vision_model"').nullish(),
  hidden_size: size,
  intermediate_size: size,
  num_hidden_layers: size,
  num_attention_heads: size,
  image_size: size.default(224),
  patch_size: size.default(16),
  num_channels: z.literal(3, "Tessera's SigLIP takes 3 channels").nullish(),
  hidden_act: z.literal("gelu_pytorch_tanh", 'Tessera\'s SigLIP computes only "gelu_pytorch_tanh"').nullish(),
  layer_norm_eps: z.number().positive().default(1e-6),
});

const schema = z.looseObject({
  text_config: z.looseObject({ model_type: z.enum(["gemma", "gemma2"]).default("gemma") }),
  vision_config: visionSchema,
  image_token_index: z.number().int().nonnegative(),
  projection_dim: size.nullish(),
  bos_token_id: tokenId,
  eos_token_id: tokenIds.nullish(),
  pad_token_id: padTokenId.nullish(),
});

/**
 * The configuration of a PaliGemma checkpoint.
 *
 * @throws {TypeError} when a field is missing, misspelt or wrong, or asks for what PaliGemma here does not compute.
 * @throws {RangeError} when sizes contradict each other.
 */
export function paliGemmaConfig(config: HfConfig): HfPaliGemmaConfig {
  const { path, modelType, raw } = config;
  if (modelType !== "paligemma") {
    throw new TypeError(`Cannot use "${path}" for PaliGemma: "model_type" is "${modelType}", expected "paligemma"`);
  }
  const fields = checkJson(path, withImageToken(raw), schema);
  const vision = fields.vision_config;
  const { hidden_size: width, num_attention_heads: heads } = vision;
  if (width % heads !== 0) {
    throw new RangeError(
      `Cannot use "${path}": "vision_config.hidden_size" (${width}) is not divisible by ` +
        `"vision_config.num_attention_heads" (${heads})`,
    );
  }
  if (vision.patch_size > vision.image_size) {
    throw new RangeError(
      `Cannot use "${path}": "vision_config.patch_size" (${vision.patch_size}) is larger than ` +
        `"vision_config.image_size" (${vision.image_size})`,
    );
  }
  const text = textConfig(path, fields);
  const projection = fields.projection_dim ?? text.hidden_size;
  if (projection !== text.hidden_size) {
    throw new RangeError(
      `Cannot use "${path}": "projection_dim" (${projection}) must be the width of the decoder, ` +
        `"text_config.hidden_size" (${text.hidden_size})`,
    );
  }
  return {
    text,
    vision: {
      hidden_size: width,
      intermediate_size: vision.intermediate_size,
      num_hidden_layers: vision.num_hidden_layers,
      num_attention_heads: heads,
      image_size: vision.image_size,
      patch_size: vision.patch_size,
      layer_norm_eps: vision.layer_norm_eps,
    },
    image_token_index: fields.image_token_index,
    dtype: torchDtypeOf(raw, path) ?? text.dtype,
  };
}

/** Transformers reads `image_token_id` as `image_token_index`. */
function withImageToken(raw: HfConfig["raw"]): HfConfig["raw"] {
  return raw.image_token_index === undefined && raw.image_token_id !== undefined
    ? { ...raw, image_token_index: raw.image_token_id }
    : raw;
}

/** The decoder's configuration; tokens that only the outer file names are its own, and its mask is the prefix's. */
function textConfig(path: string, fields: z.output<typeof schema>): HfGemmaConfig {
  const { use_bidirectional_attention: _, ...text } = fields.text_config as Record<string, unknown>;
  const outer = Object.fromEntries(
    (["bos_token_id", "eos_token_id", "pad_token_id"] as const).flatMap((name) =>
      fields[name] == null ? [] : [[name, fields[name]]]
    ),
  );
  const inner = Object.fromEntries(Object.entries(text).filter(([name, value]) => value != null || !(name in outer)));
  return gemmaConfig({ path, modelType: fields.text_config.model_type, raw: { ...outer, ...inner } });
}
