/**
 * The rotary embedding (arXiv 2104.09864), and how it is stretched for texts longer than those of pretraining.
 *
 * Reference: `modeling_rope_utils.py` of Transformers 5, whose angles these are.
 */
import { concat, constant, rotaryEmbedding, type Tensor } from "@tessera/core";
import type { DecoderInputs } from "./backbone.ts";
import type { DynamicRope, Llama3Rope, RopeScaling, YarnRope } from "./rope_scaling.ts";

/** What a rotary embedding is made from. */
export interface RotarySpec {
  /** The base of the frequencies. */
  readonly base: number;
  /** The elements of a head that are turned, in pairs. */
  readonly headDim: number;
  /** How it is stretched; `null` for not at all. */
  readonly scaling: RopeScaling | null;
}

/** How queries and keys are turned by their positions. */
export interface Rotation {
  /** Turns queries or keys [batch, time, heads, headDim]. */
  readonly rotate: (x: Tensor) => Tensor;
  /** What the product of a query and a key is multiplied by, which YaRN makes longer. */
  readonly gain: number;
}

/** The rotation of some tokens. */
export function rotation(spec: RotarySpec, inputs: Pick<DecoderInputs, "positions" | "keyPositions">): Rotation {
  const frequencies = constant(rotaryFrequencies(spec), [spec.headDim / 2]);
  const { scaling } = spec;
  if (scaling?.type === "dynamic") {
    const perRow = dynamicFrequencies(frequencies, scaling, inputs.keyPositions);
    return { rotate: (x) => rotateRows(x, inputs.positions, perRow), gain: 1 };
  }
  return {
    rotate: (x) => rotaryEmbedding(x, inputs.positions, frequencies),
    // Queries and keys both have the factor.
    gain: scaling?.type === "yarn" ? scaling.attentionFactor ** 2 : 1,
  };
}

/**
 * Radians per position for each pair of a head's elements, [headDim/2]; where they depend on the length of the text, those of
 * short ones.
 */
export function rotaryFrequencies({ base, headDim, scaling }: RotarySpec): number[] {
  const half = headDim / 2;
  const frequencies = Array.from({ length: half }, (_, i) => base ** (-i / half));
  if (scaling?.type === "linear") return frequencies.map((frequency) => frequency / scaling.factor);
  if (scaling?.type === "yarn") return yarnFrequencies(frequencies, scaling, base);
  if (scaling?.type === "llama3") return llama3Frequencies(frequencies, scaling);
  return frequencies;
}

/**
 * Llama 3.1 stretches a model's context by dividing the frequencies whose wavelength comes near the old context or exceeds it;
 * short wavelengths stay, and those between are blended.
 */
function llama3Frequencies(frequencies: readonly number[], rope: Llama3Rope): number[] {
  const { factor, lowFreqFactor: low, highFreqFactor: high, pretrainingSequenceLength } = rope;
  return frequencies.map((frequency) => {
    const turns = pretrainingSequenceLength * frequency / (2 * Math.PI);
    const kept = Math.min(1, Math.max(0, (turns - low) / (high - low)));
    return frequency * (kept + (1 - kept) / factor);
  });
}

/** YaRN's blend (arXiv 2309.00071): pairs before the one that turns `betaFast` times stay, those after that of `betaSlow` are divided. */
function yarnFrequencies(frequencies: readonly number[], rope: YarnRope, base: number): number[] {
  const { factor, betaFast, betaSlow, truncate, pretrainingSequenceLength } = rope;
  const half = frequencies.length;
  const pairThatTurns = (times: number) =>
    half * Math.log(pretrainingSequenceLength / (times * 2 * Math.PI)) / Math.log(base);
  const bounds = [pairThatTurns(betaFast), pairThatTurns(betaSlow)] as const;
  const first = Math.max(truncate ? Math.floor(bounds[0]) : bounds[0], 0);
  const limit = Math.min(truncate ? Math.ceil(bounds[1]) : bounds[1], 2 * half - 1);
  // As the reference has it, so that nothing is divided by zero.
  const last = limit === first ? limit + 0.001 : limit;
  return frequencies.map((frequency, i) => {
    const divided = Math.min(1, Math.max(0, (i - first) / (last - first)));
    return frequency * (1 - divided + divided / factor);
  });
}

/**
 * The frequencies of each row, [batch, headDim/2], for the length that its text has so far: the base grows with it beyond the
 * texts of pretraining. Keys in a cache keep the frequencies of the time when they were written, as in Transformers.
 */
function dynamicFrequencies(frequencies: Tensor, rope: DynamicRope, keyPositions: Tensor): Tensor {
  const { factor, pretrainingSequenceLength } = rope;
  const half = frequencies.shape[0]!;
  // [batch, 1]
  const length = keyPositions.cast("float32").max(1, { keepDims: true }).add(1).maximum(pretrainingSequenceLength);
  const growth = length.mul(factor / pretrainingSequenceLength).sub(factor - 1);
  const exponents = constant(Array.from({ length: half }, (_, i) => -i / (half - 1)), [1, half]);
  return growth.log().mul(exponents).exp().mul(frequencies.reshape([1, half]));
}

/** `rotaryEmbedding` with frequencies [batch, headDim/2] that differ by row. */
export function rotateRows(x: Tensor, positions: Tensor, frequencies: Tensor): Tensor {
  const [batch, time, , headDim] = x.shape as [number, number, number, number];
  const half = headDim / 2;
  const angles = positions.cast("float32").reshape([batch, time, 1, 1]).mul(frequencies.reshape([batch, 1, 1, half]));
  const [cos, sin] = [angles.cos().cast(x.dtype), angles.sin().cast(x.dtype)];
  const [low, high] = [x.sliceAxis(-1, 0, half), x.sliceAxis(-1, half, headDim)];
  return concat([low.mul(cos).sub(high.mul(sin)), high.mul(cos).add(low.mul(sin))], -1);
}
