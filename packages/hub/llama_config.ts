/**
 * The configuration of a Llama checkpoint: Llama 3, 3.1, 3.2 and 3.3, and what has their architecture.
 *
 * Fields keep the names of `config.json`. A missing field gets the default of Transformers, except for the sizes, which a
 * checkpoint without them could only have by accident. What Tessera's Llama does not compute is refused, never ignored.
 *
 * Reference: `configuration_llama.py` and `modeling_rope_utils.py` of Transformers 5.
 */
import { z } from "zod";
import type { FloatDType } from "@tessera/core";
import { type HfConfig, type Rope, ropeOf, tokenIds, torchDtypeOf } from "./hf_config.ts";
import { checkJson } from "./json_file.ts";

/** How Llama 3.1 and later stretch the rotary embedding, in the names of `config.json`. */
export interface HfLlama3Rope {
  /** What the frequencies of long wavelengths are divided by. */
  readonly factor: number;
  /** Wavelengths longer than the original context over this are stretched in full. */
  readonly low_freq_factor: number;
  /** Wavelengths shorter than the original context over this stay as they are. */
  readonly high_freq_factor: number;
  /** The context before it was stretched, in tokens. */
  readonly original_max_position_embeddings: number;
}

/** The configuration of a Llama checkpoint, with every default filled in. */
export interface HfLlamaConfig {
  /** The architecture. */
  readonly model_type: "llama";
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
  /** The base of the rotary frequencies. */
  readonly rope_theta: number;
  /** How the rotary embedding is stretched, or null where it is not. */
  readonly rope_scaling: HfLlama3Rope | null;
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
const notSupported = (value: string) => `Tessera's Llama computes only ${value}`;
const never = z.literal(false, notSupported("false")).nullish();

const llamaSchema = z.looseObject({
  vocab_size: size,
  hidden_size: size,
  intermediate_size: size,
  num_hidden_layers: size,
  num_attention_heads: size,
  num_key_value_heads: size.nullish(),
  head_dim: size.nullish(),
  max_position_embeddings: size.default(2048),
  rms_norm_eps: z.number().positive().default(1e-6),
  tie_word_embeddings: z.boolean().default(false),
  bos_token_id: z.number().int().nonnegative().nullable().default(1),
  eos_token_id: tokenIds.default([2]),
  // Some files say -1 for none.
  pad_token_id: z.number().int().min(-1).nullable().default(null),
  hidden_act: z.literal("silu", notSupported('"silu"')).nullish(),
  attention_bias: never,
  mlp_bias: never,
  partial_rotary_factor: z.literal(1, notSupported("1")).nullish(),
  // Read by functions of their own; listed so that a misspelling is noticed.
  rope_theta: z.unknown().optional(),
  rope_scaling: z.unknown().optional(),
  rope_parameters: z.unknown().optional(),
  torch_dtype: z.unknown().optional(),
  dtype: z.unknown().optional(),
});

const llama3RopeSchema = z.looseObject({
  factor: z.number().min(1),
  low_freq_factor: z.number().positive(),
  high_freq_factor: z.number().positive(),
  original_max_position_embeddings: size.optional(),
  partial_rotary_factor: z.literal(1, notSupported("1")).nullish(),
});

/**
 * The configuration of a Llama checkpoint.
 *
 * @throws {TypeError} when a field is missing, misspelt or wrong, or asks for what Llama here does not compute.
 * @throws {RangeError} when the head counts do not divide, or the rotary scaling contradicts itself.
 */
export function llamaConfig(config: HfConfig): HfLlamaConfig {
  const { path, modelType, raw } = config;
  if (modelType !== "llama") {
    throw new TypeError(`Cannot use "${path}" for Llama: "model_type" is "${modelType}", expected "llama"`);
  }
  const fields = checkJson(path, raw, llamaSchema);
  const { num_attention_heads: heads, hidden_size: hidden, max_position_embeddings } = fields;
  const pairs = fields.num_key_value_heads ?? heads;
  if (heads % pairs !== 0) {
    throw new RangeError(
      `Cannot use "${path}": "num_attention_heads" (${heads}) is not divisible by "num_key_value_heads" (${pairs})`,
    );
  }
  if (fields.head_dim == null && hidden % heads !== 0) {
    throw new RangeError(
      `Cannot use "${path}": "hidden_size" (${hidden}) is not divisible by "num_attention_heads" (${heads}), and there is ` +
        'no "head_dim"',
    );
  }
  const rope = ropeOf(raw, path);
  return {
    model_type: modelType,
    vocab_size: fields.vocab_size,
    hidden_size: hidden,
    intermediate_size: fields.intermediate_size,
    num_hidden_layers: fields.num_hidden_layers,
    num_attention_heads: heads,
    num_key_value_heads: pairs,
    head_dim: fields.head_dim ?? hidden / heads,
    max_position_embeddings,
    rms_norm_eps: fields.rms_norm_eps,
    rope_theta: rope.theta,
    rope_scaling: ropeScalingOf(rope, raw, path, max_position_embeddings),
    tie_word_embeddings: fields.tie_word_embeddings,
    bos_token_id: fields.bos_token_id,
    eos_token_id: fields.eos_token_id,
    pad_token_id: fields.pad_token_id === -1 ? null : fields.pad_token_id,
    dtype: torchDtypeOf(raw, path),
  };
}

/** The scaling of the rotary embedding; where it does not say what it stretches, that is the whole context, as in Transformers. */
function ropeScalingOf(rope: Rope, raw: HfConfig["raw"], path: string, context: number): HfLlama3Rope | null {
  if (rope.type === "default") return null;
  const field = raw.rope_scaling == null ? "rope_parameters" : "rope_scaling";
  if (rope.type !== "llama3") {
    throw new TypeError(
      `Cannot use "${path}": "${field}" has the type "${rope.type}", ${notSupported('"default" and "llama3"')}`,
    );
  }
  const found = checkJson(path, { [field]: rope.parameters }, z.looseObject({ [field]: llama3RopeSchema }))[field]!;
  const { factor, low_freq_factor, high_freq_factor, original_max_position_embeddings = context } = found;
  if (low_freq_factor >= high_freq_factor) {
    throw new RangeError(
      `Cannot use "${path}": "${field}.low_freq_factor" (${low_freq_factor}) must be less than ` +
        `"${field}.high_freq_factor" (${high_freq_factor})`,
    );
  }
  return { factor, low_freq_factor, high_freq_factor, original_max_position_embeddings };
}
