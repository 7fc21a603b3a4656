/**
 * How a Llama stretches its rotary embedding, between Hugging Face and Tessera.
 *
 * The stretching of Llama 3.1 has Keras's fields; the others, which fine-tunes for longer texts have, are one field.
 */
import type { HfLlamaRope } from "./llama_config.ts";

/** A rotary embedding that is stretched in another way than Llama 3.1's. */
export type LlamaRopeScaling = LinearRope | DynamicRope | YarnRope;

/** Every frequency divided alike (position interpolation, arXiv 2306.15595). */
export interface LinearRope {
  /** The kind of stretching. */
  readonly type: "linear";
  /** What frequencies are divided by; at least 1. */
  readonly factor: number;
}

/** A base that grows with texts longer than those of pretraining (dynamic NTK). */
export interface DynamicRope {
  /** The kind of stretching. */
  readonly type: "dynamic";
  /** How fast it grows; at least 1. */
  readonly factor: number;
  /** The longest text that is not stretched, in tokens. */
  readonly pretrainingSequenceLength: number;
}

/** Frequencies of long wavelengths divided, and rotated queries and keys made longer (YaRN, arXiv 2309.00071). */
export interface YarnRope {
  /** The kind of stretching. */
  readonly type: "yarn";
  /** What the frequencies of long wavelengths are divided by; at least 1. */
  readonly factor: number;
  /** Pairs that turn more often than this in a text of pretraining stay as they are. */
  readonly betaFast: number;
  /** Pairs that turn less often than this in a text of pretraining are divided in full. */
  readonly betaSlow: number;
  /** What rotated queries and keys are multiplied by. */
  readonly attentionFactor: number;
  /** Whether the two bounds are rounded to whole pairs. */
  readonly truncate: boolean;
  /** The longest text of pretraining, in tokens. */
  readonly pretrainingSequenceLength: number;
}

/** The fields of a backbone that say how its rotary embedding is stretched. */
export interface LlamaRopeFields {
  /** What the frequencies of long wavelengths are divided by (Llama 3.1); this and the three fields below come together. */
  readonly ropeFrequencyAdjustmentFactor?: number | null;
  /** Wavelengths longer than `ropePretrainingSequenceLength` over this are stretched in full. */
  readonly ropeLowFreqFactor?: number | null;
  /** Wavelengths shorter than `ropePretrainingSequenceLength` over this stay as they are. */
  readonly ropeHighFreqFactor?: number | null;
  /** The context before it was stretched, in tokens. */
  readonly ropePretrainingSequenceLength?: number | null;
  /** Another way of stretching, in place of the four fields above. None unless given. */
  readonly ropeScaling?: LlamaRopeScaling | null;
}

const unstretched = {
  ropeFrequencyAdjustmentFactor: null,
  ropeLowFreqFactor: null,
  ropeHighFreqFactor: null,
  ropePretrainingSequenceLength: null,
  ropeScaling: null,
} as const satisfies LlamaRopeFields;

type Kind = HfLlamaRope["rope_type"];
type FromHf<Type extends Kind> = (
  scaling: Extract<HfLlamaRope, { readonly rope_type: Type }>,
  context: number,
) => LlamaRopeFields;

/** One row per kind of scaling; `context` is the `max_position_embeddings` of the file. */
const fromHf: { readonly [Type in Kind]: FromHf<Type> } = {
  linear: ({ factor }) => ({ ropeScaling: { type: "linear", factor } }),
  dynamic: ({ factor }, context) => ({ ropeScaling: { type: "dynamic", factor, pretrainingSequenceLength: context } }),
  yarn: (scaling) => ({
    ropeScaling: {
      type: "yarn",
      factor: scaling.factor,
      betaFast: scaling.beta_fast,
      betaSlow: scaling.beta_slow,
      attentionFactor: scaling.attention_factor,
      truncate: scaling.truncate,
      pretrainingSequenceLength: scaling.original_max_position_embeddings,
    },
  }),
  llama3: (scaling) => ({
    ropeFrequencyAdjustmentFactor: scaling.factor,
    ropeLowFreqFactor: scaling.low_freq_factor,
    ropeHighFreqFactor: scaling.high_freq_factor,
    ropePretrainingSequenceLength: scaling.original_max_position_embeddings,
  }),
};

/** The fields that a scaling of Hugging Face's makes; `context` is the `max_position_embeddings` of the file. */
export function ropeFromHf(scaling: HfLlamaRope | null, context: number): LlamaRopeFields {
  if (scaling === null) return unstretched;
  const row = fromHf[scaling.rope_type] as (scaling: HfLlamaRope, context: number) => LlamaRopeFields;
  return { ...unstretched, ...row(scaling, context) };
}

/** The scaling of Hugging Face's that a backbone has; `null` for none. */
export function ropeToHf(fields: LlamaRopeFields): HfLlamaRope | null {
  const { ropeScaling: scaling = null, ropeFrequencyAdjustmentFactor: factor = null } = fields;
  if (scaling === null) {
    return factor === null ? null : {
      rope_type: "llama3",
      factor,
      low_freq_factor: fields.ropeLowFreqFactor!,
      high_freq_factor: fields.ropeHighFreqFactor!,
      original_max_position_embeddings: fields.ropePretrainingSequenceLength!,
    };
  }
  if (scaling.type !== "yarn") return { rope_type: scaling.type, factor: scaling.factor };
  return {
    rope_type: "yarn",
    factor: scaling.factor,
    beta_fast: scaling.betaFast,
    beta_slow: scaling.betaSlow,
    attention_factor: scaling.attentionFactor,
    truncate: scaling.truncate,
    original_max_position_embeddings: scaling.pretrainingSequenceLength,
  };
}
