/**
 * The configuration of a Gemma 1 or Gemma 2 checkpoint.
 *
 * Fields keep the names of `config.json`. A missing field gets the default of Transformers, except for the sizes, which a
 * checkpoint without them could only have by accident. What Tessera's Gemma does not compute is refused, never ignored.
 *
 * Reference: `configuration_gemma.py` and `configuration_gemma2.py` of Transformers 5.
 */
import { z } from "zod";
import type { FloatDType } from "@tessera/core";
import {
  type HfConfig,
  type LayerType,
  layerTypesOf,
  padTokenId,
  type Rope,
  ropeOf,
  tokenIds,
  torchDtypeOf,
} from "./hf_config.ts";
import { checkJson } from "@tessera/files";

/** The configuration of a Gemma 1 or Gemma 2 checkpoint, with every default filled in. */
export interface HfGemmaConfig {
  /** The generation of the architecture. */
  readonly model_type: "gemma" | "gemma2";
  /** The number of tokens. */
  readonly vocab_size: number;
  /** The width of the residual stream. */
  readonly hidden_size: number;
  /** The width of the feed-forward network, of each of its two branches. */
  readonly intermediate_size: number;
  /** The number of decoder blocks. */
  readonly num_hidden_layers: number;
  /** The number of query heads. */
  readonly num_attention_heads: number;
  /** The number of key and value heads. */
  readonly num_key_value_heads: number;
  /** The width of one head. */
  readonly head_dim: number;
  /** The number of positions that the checkpoint was trained for. */
  readonly max_position_embeddings: number;
  /** What RMS normalisation adds to the mean square. */
  readonly rms_norm_eps: number;
  /** The rotary embedding; its type is `default`. */
  readonly rope: Rope;
  /** The number whose inverse square root scales the queries; the head width for Gemma 1. */
  readonly query_pre_attn_scalar: number;
  /** The soft cap of the attention scores, or null for none. */
  readonly attn_logit_softcapping: number | null;
  /** The soft cap of the output logits, or null for none. */
  readonly final_logit_softcapping: number | null;
  /** The number of positions that a sliding layer sees, or null where no layer slides. */
  readonly sliding_window: number | null;
  /** The kind of attention of each block. */
  readonly layer_types: readonly LayerType[];
  /** Whether the output projection is the token embedding; otherwise the checkpoint has an `lm_head.weight`. */
  readonly tie_word_embeddings: boolean;
  /** The token that begins a text, or null. */
  readonly bos_token_id: number | null;
  /** The tokens that end a text. */
  readonly eos_token_id: readonly number[];
  /** The token that fills a batch, or null. */
  readonly pad_token_id: number | null;
  /** The dtype of the weights, or null where the file does not say. */
  readonly dtype: FloatDType | null;
}

const size = z.number().int().positive();
const tokenId = z.number().int().nonnegative().nullable();
const softCap = z.number().positive().nullable();
const notSupported = (value: string) => `Tessera's Gemma computes only ${value}`;
const never = z.literal(false, notSupported("false")).nullish();
const tanhGelu = z.literal("gelu_pytorch_tanh", notSupported('"gelu_pytorch_tanh"')).nullish();

const shared = {
  vocab_size: size,
  hidden_size: size,
  intermediate_size: size,
  num_hidden_layers: size,
  num_attention_heads: size,
  head_dim: size.default(256),
  max_position_embeddings: size.default(8192),
  rms_norm_eps: z.number().positive().default(1e-6),
  tie_word_embeddings: z.boolean().default(true),
  bos_token_id: tokenId.default(2),
  eos_token_id: tokenIds.default([1]),
  pad_token_id: padTokenId.default(0),
  attention_bias: never,
  use_bidirectional_attention: never,
  hidden_activation: tanhGelu,
  // Read by functions of their own; listed so that a misspelling is noticed.
  rope_theta: z.unknown().optional(),
  rope_scaling: z.unknown().optional(),
  rope_parameters: z.unknown().optional(),
  layer_types: z.unknown().optional(),
  torch_dtype: z.unknown().optional(),
  dtype: z.unknown().optional(),
};

const gemma1Schema = z.looseObject({
  ...shared,
  num_key_value_heads: size.default(16),
  // The first releases say "gelu" and mean the tanh approximation; Transformers reads them so.
  hidden_act: z.enum(["gelu", "gelu_pytorch_tanh"], notSupported('"gelu_pytorch_tanh"')).nullish(),
});

const gemma2Schema = z.looseObject({
  ...shared,
  num_key_value_heads: size.default(4),
  query_pre_attn_scalar: z.number().positive().default(256),
  attn_logit_softcapping: softCap.default(50),
  final_logit_softcapping: softCap.default(30),
  sliding_window: size.nullable().default(4096),
});

/**
 * The configuration of a Gemma checkpoint.
 *
 * @throws {TypeError} when a field is missing, misspelt or wrong, or asks for what Gemma here does not compute.
 * @throws {RangeError} when the head counts do not divide.
 */
export function gemmaConfig(config: HfConfig): HfGemmaConfig {
  const { path, modelType, raw } = config;
  if (modelType !== "gemma" && modelType !== "gemma2") {
    throw new TypeError(`Cannot use "${path}" for Gemma: "model_type" is "${modelType}", expected "gemma" or "gemma2"`);
  }
  const fields = modelType === "gemma" ? gemma1(path, raw) : gemma2(path, raw);
  const { num_attention_heads: heads, num_key_value_heads: pairs } = fields;
  if (heads % pairs !== 0) {
    throw new RangeError(
      `Cannot use "${path}": "num_attention_heads" (${heads}) is not divisible by "num_key_value_heads" (${pairs})`,
    );
  }
  const rope = ropeOf(raw, path);
  if (rope.type !== "default") {
    throw new TypeError(
      `Cannot use "${path}": its rotary embedding has type "${rope.type}", ${notSupported('"default"')}`,
    );
  }
  const layer_types = layerTypesOf(raw, fields.byDefault, path);
  const slides = layer_types.includes("sliding_attention");
  if (slides && fields.sliding_window === null) {
    throw new TypeError(
      `Cannot use "${path}": "sliding_window" is null, but "layer_types" has layers with sliding_attention`,
    );
  }
  return {
    model_type: modelType,
    vocab_size: fields.vocab_size,
    hidden_size: fields.hidden_size,
    intermediate_size: fields.intermediate_size,
    num_hidden_layers: fields.num_hidden_layers,
    num_attention_heads: heads,
    num_key_value_heads: pairs,
    head_dim: fields.head_dim,
    max_position_embeddings: fields.max_position_embeddings,
    rms_norm_eps: fields.rms_norm_eps,
    rope,
    query_pre_attn_scalar: fields.query_pre_attn_scalar,
    attn_logit_softcapping: fields.attn_logit_softcapping,
    final_logit_softcapping: fields.final_logit_softcapping,
    sliding_window: slides ? fields.sliding_window : null,
    layer_types,
    tie_word_embeddings: fields.tie_word_embeddings,
    bos_token_id: fields.bos_token_id,
    eos_token_id: fields.eos_token_id,
    pad_token_id: fields.pad_token_id,
    dtype: torchDtypeOf(raw, path),
  };
}

/** Gemma 1 has no soft caps and no window, and scales queries by the width of a head. */
function gemma1(path: string, raw: HfConfig["raw"]) {
  const fields = checkJson(path, raw, gemma1Schema);
  return {
    ...fields,
    query_pre_attn_scalar: fields.head_dim,
    attn_logit_softcapping: null,
    final_logit_softcapping: null,
    sliding_window: null,
    byDefault: (): LayerType => "full_attention",
  };
}

/** Gemma 2 alternates, with a sliding layer first. */
function gemma2(path: string, raw: HfConfig["raw"]) {
  const byDefault = (layer: number): LayerType => layer % 2 === 0 ? "sliding_attention" : "full_attention";
  return { ...checkJson(path, raw, gemma2Schema), byDefault };
}
