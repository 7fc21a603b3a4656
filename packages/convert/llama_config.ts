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
import { type HfConfig, padTokenId, type Rope, ropeOf, tokenIds, torchDtypeOf } from "./hf_config.ts";
import { checkJson } from "@tessera/files";

/** How a Llama stretches its rotary embedding, in the names of `config.json`. */
export type HfLlamaRope = HfLinearRope | HfDynamicRope | HfYarnRope | HfLlama3Rope;

/** Every frequency divided alike (position interpolation). */
export interface HfLinearRope {
  /** The kind of scaling. */
  readonly rope_type: "linear";
  /** What frequencies are divided by. */
  readonly factor: number;
}

/** A base that grows with texts longer than `max_position_embeddings` (dynamic NTK). */
export interface HfDynamicRope {
  /** The kind of scaling. */
  readonly rope_type: "dynamic";
  /** How much more room a text of a given length is made. */
  readonly factor: number;
}

/** Frequencies of long wavelengths divided, and queries and keys made longer (YaRN). */
export interface HfYarnRope {
  /** The kind of scaling. */
  readonly rope_type: "yarn";
  /** What the frequencies of long wavelengths are divided by. */
  readonly factor: number;
  /** Pairs that turn more often than this within the original context stay as they are. */
  readonly beta_fast: number;
  /** Pairs that turn less often than this within the original context are divided in full. */
  readonly beta_slow: number;
  /** What rotated queries and keys are multiplied by. */
  readonly attention_factor: number;
  /** Whether the two bounds are rounded to whole pairs. */
  readonly truncate: boolean;
  /** The context before it was stretched, in tokens. */
  readonly original_max_position_embeddings: number;
}

/** Frequencies of long wavelengths divided, as Llama 3.1 and later have it. */
export interface HfLlama3Rope {
  /** The kind of scaling. */
  readonly rope_type: "llama3";
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
  readonly rope_scaling: HfLlamaRope | null;
  /** Whether the projections of attention have biases, that of its output included. */
  readonly attention_bias: boolean;
  /** Whether the projections of the feed-forward network have biases. */
  readonly mlp_bias: boolean;
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
  pad_token_id: padTokenId.default(null),
  hidden_act: z.literal("silu", notSupported('"silu"')).nullish(),
  attention_bias: z.boolean().default(false),
  mlp_bias: z.boolean().default(false),
  partial_rotary_factor: z.literal(1, notSupported("1")).nullish(),
  // Read by functions of their own; listed so that a misspelling is noticed.
  rope_theta: z.unknown().optional(),
  rope_scaling: z.unknown().optional(),
  rope_parameters: z.unknown().optional(),
  torch_dtype: z.unknown().optional(),
  dtype: z.unknown().optional(),
  // Where it stands outside of the scaling's own fields, it counts for more than what stands there.
  original_max_position_embeddings: size.optional(),
});

const stretchedSchema = z.looseObject({
  factor: z.number().min(1),
  partial_rotary_factor: z.literal(1, notSupported("1")).nullish(),
});
const positive = z.number().positive();
const ofContext = stretchedSchema.extend({ original_max_position_embeddings: size.optional() });
const llama3Schema = ofContext.extend({ low_freq_factor: positive, high_freq_factor: positive });
const yarnSchema = ofContext.extend({
  beta_fast: z.number().nonnegative().nullish(),
  beta_slow: z.number().nonnegative().nullish(),
  attention_factor: positive.nullish(),
  mscale: z.number().nullish(),
  mscale_all_dim: z.number().nullish(),
  truncate: z.boolean().default(true),
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
    rope_scaling: ropeScalingOf(rope, {
      path,
      field: raw.rope_scaling == null ? "rope_parameters" : "rope_scaling",
      context: fields.original_max_position_embeddings ?? null,
      wholeContext: max_position_embeddings,
    }),
    attention_bias: fields.attention_bias,
    mlp_bias: fields.mlp_bias,
    tie_word_embeddings: fields.tie_word_embeddings,
    bos_token_id: fields.bos_token_id,
    eos_token_id: fields.eos_token_id,
    pad_token_id: fields.pad_token_id,
    dtype: torchDtypeOf(raw, path),
  };
}

/** Where a rotary embedding was read, and the contexts that it may stretch, in tokens. */
interface RopeSource {
  readonly path: string;
  readonly field: "rope_parameters" | "rope_scaling";
  /** What the file names as the context outside of the scaling's own fields. */
  readonly context: number | null;
  /** What is stretched where nothing names it, as in Transformers. */
  readonly wholeContext: number;
}

type RopeType = HfLlamaRope["rope_type"];

/** One row per kind of scaling. */
const scalings: { readonly [Type in RopeType]: (rope: Rope, source: RopeSource) => HfLlamaRope } = {
  linear: (rope, source) => ({ rope_type: "linear", factor: fieldsOf(rope, source, stretchedSchema).factor }),
  dynamic: (rope, source) => ({ rope_type: "dynamic", factor: fieldsOf(rope, source, stretchedSchema).factor }),
  yarn,
  llama3,
};

/** The scaling of the rotary embedding; `null` where there is none. */
function ropeScalingOf(rope: Rope, source: RopeSource): HfLlamaRope | null {
  if (rope.type === "default") return null;
  if (Object.hasOwn(scalings, rope.type)) return scalings[rope.type as RopeType](rope, source);
  const known = ["default", ...Object.keys(scalings)].map((name) => `"${name}"`);
  throw new TypeError(
    `Cannot use "${source.path}": "${source.field}" has the type "${rope.type}", ` +
      notSupported(`${known.slice(0, -1).join(", ")} and ${known.at(-1)}`),
  );
}

/** The fields of a scaling, checked under the name that they have in the file. */
function fieldsOf<Shape extends z.ZodRawShape>(
  { parameters }: Rope,
  { path, field }: RopeSource,
  schema: z.ZodObject<Shape>,
): z.output<z.ZodObject<Shape>> {
  const whole = z.looseObject({ [field]: schema });
  return (checkJson(path, { [field]: parameters }, whole) as Record<string, z.output<z.ZodObject<Shape>>>)[field]!;
}

function llama3(rope: Rope, source: RopeSource): HfLlama3Rope {
  const found = fieldsOf(rope, source, llama3Schema);
  const { factor, low_freq_factor, high_freq_factor } = found;
  const { path, field } = source;
  if (low_freq_factor >= high_freq_factor) {
    throw new RangeError(
      `Cannot use "${path}": "${field}.low_freq_factor" (${low_freq_factor}) must be less than ` +
        `"${field}.high_freq_factor" (${high_freq_factor})`,
    );
  }
  const original_max_position_embeddings = contextOf(found, source);
  return { rope_type: "llama3", factor, low_freq_factor, high_freq_factor, original_max_position_embeddings };
}

/** What the factor of attention follows from, where the file does not give it, is as in `_compute_yarn_parameters`. */
function yarn(rope: Rope, source: RopeSource): HfYarnRope {
  const found = fieldsOf(rope, source, yarnSchema);
  const { factor, mscale, mscale_all_dim, truncate } = found;
  // A zero stands for the default, too.
  const [beta_fast, beta_slow] = [found.beta_fast || 32, found.beta_slow || 1];
  const { path, field } = source;
  if (beta_slow > beta_fast) {
    throw new RangeError(
      `Cannot use "${path}": "${field}.beta_slow" (${beta_slow}) must be at most "${field}.beta_fast" (${beta_fast})`,
    );
  }
  const longer = (weight: number) => factor <= 1 ? 1 : 0.1 * weight * Math.log(factor) + 1;
  return {
    rope_type: "yarn",
    factor,
    beta_fast,
    beta_slow,
    attention_factor: found.attention_factor ??
      (mscale && mscale_all_dim ? longer(mscale) / longer(mscale_all_dim) : longer(1)),
    truncate,
    original_max_position_embeddings: contextOf(found, source),
  };
}

/** The context that is stretched, in tokens. */
function contextOf(
  { original_max_position_embeddings: own }: { readonly original_max_position_embeddings?: number | undefined },
  { context, wholeContext }: RopeSource,
): number {
  return context ?? own ?? wholeContext;
}
