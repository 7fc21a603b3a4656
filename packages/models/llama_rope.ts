/**
 * The rotary embedding of Llama, and how it is stretched for texts longer than those of pretraining.
 *
 * Reference: `modeling_rope_utils.py` of Transformers 5, whose angles these are.
 */
import { concat, constant, rotaryEmbedding, type Tensor } from "@tessera/core";
import {
  type DynamicRope,
  type LlamaConfig,
  llamaHeadDim,
  type LlamaRopeScaling,
  type YarnRope,
} from "@tessera/convert";
import type { DecoderInputs } from "./backbone.ts";

/** How queries and keys are turned by their positions. */
export interface LlamaRotation {
  /** Turns queries or keys [batch, time, heads, headDim]. */
  readonly rotate: (x: Tensor) => Tensor;
  /** What the product of a query and a key is multiplied by, which YaRN makes longer. */
  readonly gain: number;
}

/** The rotation of some tokens. */
export function llamaRotation(config: LlamaConfig, inputs: DecoderInputs): LlamaRotation {
  const half = llamaHeadDim(config) / 2;
  const frequencies = constant(llamaFrequencies(config), [half]);
  const { ropeScaling } = config;
  if (ropeScaling?.type === "dynamic") {
    const perRow = dynamicFrequencies(frequencies, ropeScaling, inputs.keyPositions);
    return { rotate: (x) => rotateRows(x, inputs.positions, perRow), gain: 1 };
  }
  return {
    rotate: (x) => rotaryEmbedding(x, inputs.positions, frequencies),
    // Queries and keys both have the factor.
    gain: ropeScaling?.type === "yarn" ? ropeScaling.attentionFactor ** 2 : 1,
  };
}

/**
 * Radians per position for each pair of a head's elements, [headDim/2]; where they depend on the length of the text, those of
 * short ones.
 *
 * Llama 3.1 stretches a model's context by dividing the frequencies whose wavelength comes near the old context or exceeds it;
 * short wavelengths stay, and those between are blended. YaRN does so by how often a pair turns within the old context.
 */
export function llamaFrequencies(config: LlamaConfig): number[] {
  const half = llamaHeadDim(config) / 2;
  const { ropeMaxWavelength = 10000, ropeFrequencyAdjustmentFactor: factor = null, ropeScaling } = config;
  const frequencies = Array.from({ length: half }, (_, i) => ropeMaxWavelength ** (-i / half));
  if (ropeScaling?.type === "linear") return frequencies.map((frequency) => frequency / ropeScaling.factor);
  if (ropeScaling?.type === "yarn") return yarnFrequencies(frequencies, ropeScaling, ropeMaxWavelength);
  if (factor === null) return frequencies;
  const [low, high] = [config.ropeLowFreqFactor!, config.ropeHighFreqFactor!];
  return frequencies.map((frequency) => {
    const turns = config.ropePretrainingSequenceLength! * frequency / (2 * Math.PI);
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
function rotateRows(x: Tensor, positions: Tensor, frequencies: Tensor): Tensor {
  const [batch, time, , headDim] = x.shape as [number, number, number, number];
  const half = headDim / 2;
  const angles = positions.cast("float32").reshape([batch, time, 1, 1]).mul(frequencies.reshape([batch, 1, 1, half]));
  const [cos, sin] = [angles.cos().cast(x.dtype), angles.sin().cast(x.dtype)];
  const [low, high] = [x.sliceAxis(-1, 0, half), x.sliceAxis(-1, half, headDim)];
  return concat([low.mul(cos).sub(high.mul(sin)), high.mul(cos).add(low.mul(sin))], -1);
}

/** The longest text for which a Llama is made, in tokens, where its checkpoint says `max_position_embeddings`. */
export function llamaContext({ ropeScaling }: LlamaConfig, maxPositionEmbeddings: number): number {
  if (ropeScaling == null) return maxPositionEmbeddings;
  // Files that stretch so give the context before it, Llama 3.1's the one after it; YaRN's are found with either.
  const before = ropeScaling.type === "yarn" ? ropeScaling.pretrainingSequenceLength : maxPositionEmbeddings;
  return Math.max(maxPositionEmbeddings, Math.floor(before * ropeScaling.factor));
}

const llama3Fields = [
  "ropeFrequencyAdjustmentFactor",
  "ropeLowFreqFactor",
  "ropeHighFreqFactor",
  "ropePretrainingSequenceLength",
] as const;

/** What is wrong with the stretching of a configuration, for the end of a message; `null` when nothing is. */
export function ropeProblem(config: LlamaConfig): string | null {
  const { ropeScaling } = config;
  const given = llama3Fields.filter((field) => config[field] != null);
  if (ropeScaling != null) {
    return given.length > 0
      ? `ropeScaling and ${given.join(", ")} exclude each other`
      : scalingProblem(ropeScaling, llamaHeadDim(config));
  }
  if (given.length === 0) return null;
  const missing = llama3Fields.filter((field) => config[field] == null);
  if (missing.length > 0) return `${llama3Fields.join(", ")} come together, found no ${missing.join(" and no ")}`;
  const [low, high] = [config.ropeLowFreqFactor!, config.ropeHighFreqFactor!];
  const wrong = llama3Fields.find((field) => !(config[field]! > 0 && Number.isFinite(config[field])));
  if (wrong !== undefined) return `${wrong} must be a positive number, found ${config[wrong]}`;
  return low < high ? null : `ropeLowFreqFactor (${low}) must be less than ropeHighFreqFactor (${high})`;
}

function scalingProblem(scaling: LlamaRopeScaling, headDim: number): string | null {
  const { type, ...numbers } = scaling;
  for (const [field, value] of Object.entries(numbers)) {
    const isFine = typeof value === "boolean" || value > 0 && Number.isFinite(value);
    if (!isFine) return `ropeScaling.${field} must be a positive number, found ${value}`;
  }
  if (scaling.factor < 1) return `ropeScaling.factor must be at least 1, found ${scaling.factor}`;
  if (type === "dynamic" && headDim < 4) return `a dynamic ropeScaling needs a headDim of at least 4, found ${headDim}`;
  return null;
}
