/**
 * LongRoPE (arXiv 2402.13753): every pair of a head's elements has a factor that slows its turning, one for texts as long as those
 * of pretraining and another for longer ones. All tokens of a text turn by the factors of its length, the first ones too.
 *
 * Reference: `_compute_longrope_parameters` in `modeling_rope_utils.py` of Transformers 5.
 */
import { concat, constant, rotaryEmbedding, type Tensor, where } from "@tessera/core";
import { checkJson } from "@tessera/files";
import { z } from "zod";
import type { DecoderInputs } from "../architecture/backbone.ts";
import { type HfConfig, ropeOf } from "../architecture/hf_config.ts";
import { rotateRows } from "../architecture/rotary.ts";

/** How a rotary embedding is stretched for long texts. */
export interface LongRope {
  /** What the frequency of each pair is divided by in texts of up to `pretrainingSequenceLength` tokens. */
  readonly shortFactors: readonly number[];
  /** What the frequency of each pair is divided by in longer texts. */
  readonly longFactors: readonly number[];
  /** What rotated queries and keys are multiplied by. */
  readonly attentionFactor: number;
  /** The longest text of pretraining, in tokens. */
  readonly pretrainingSequenceLength: number;
}

/** A rotary embedding of the first part of each head. */
export interface Phi3Rope {
  /** The base of the frequencies. */
  readonly theta: number;
  /** The part of each head that is turned, from above 0 to 1. */
  readonly part: number;
  /** How it is stretched; `null` for not at all. */
  readonly scaling: LongRope | null;
}

/** The schema of a config's scaling; `null` for none. */
export const longRopeSchema: z.ZodType<LongRope | null> = z.strictObject({
  shortFactors: z.array(z.number().positive()).readonly(),
  longFactors: z.array(z.number().positive()).readonly(),
  attentionFactor: z.number().positive(),
  pretrainingSequenceLength: z.number().int().positive(),
}).readonly().nullable();

/** The factor of attention that the paper gives a context that is stretched by `factor` from `pretrainingSequenceLength` tokens. */
export function attentionFactorOf(factor: number, pretrainingSequenceLength: number): number {
  return factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(pretrainingSequenceLength));
}

/** The number of a head's elements that are turned. */
export function rotaryDim(headDim: number, part: number): number {
  return Math.trunc(headDim * part);
}

/** What is wrong with a rotary embedding of some heads, for the end of a message; `null` when nothing is. */
export function ropeProblem({ part, scaling }: Omit<Phi3Rope, "theta">, headDim: number): string | null {
  const turned = rotaryDim(headDim, part);
  if (turned < 2 || turned % 2 !== 0) {
    return `of a head's ${headDim} elements, an even number must be turned, found ${turned}`;
  }
  for (const name of ["shortFactors", "longFactors"] as const) {
    const count = scaling?.[name].length ?? turned / 2;
    if (count !== turned / 2) {
      return `ropeScaling.${name} must have a factor for each of ${turned / 2} pairs, found ${count}`;
    }
  }
  return null;
}

/** Fields of files that `readPhi3Rope` reads. */
export const phi3RopeFields: readonly string[] = [
  "rope_theta",
  "rope_scaling",
  "rope_parameters",
  "original_max_position_embeddings",
  "partial_rotary_factor",
];

/** What LongRoPE is called in files; `su` is its first name. */
const kinds: readonly string[] = ["longrope", "su"];
const positives = z.array(z.number().positive());
const schema = z.looseObject({
  short_factor: positives,
  long_factor: positives,
  factor: z.number().min(1).nullish(),
  attention_factor: z.number().positive().nullish(),
});

/**
 * The rotary embedding of a file, in either spelling, for texts of up to `contextLength` tokens.
 *
 * @throws {TypeError} when a field is missing or wrong, or it is stretched in a way that is not computed.
 */
export function readPhi3Rope({ path, raw }: HfConfig, contextLength: number): Phi3Rope {
  const { theta, type, parameters } = ropeOf(raw, path);
  const field = raw.rope_scaling == null ? "rope_parameters" : "rope_scaling";
  const outer = checkJson(
    path,
    raw,
    z.looseObject({
      partial_rotary_factor: z.number().positive().max(1).nullish(),
      original_max_position_embeddings: z.number().int().positive().nullish(),
    }),
  );
  const inner = z.looseObject({ partial_rotary_factor: z.number().positive().max(1).nullish() });
  const nested = checkJson(path, { [field]: parameters }, z.looseObject({ [field]: inner }))[field]!;
  const part = nested.partial_rotary_factor ?? outer.partial_rotary_factor ?? 1;
  if (type === "default") return { theta, part, scaling: null };
  if (!kinds.includes(type)) {
    throw new TypeError(
      `Cannot use "${path}": "${field}" has the type "${type}", Tessera's Phi-3 computes only "default", "longrope" and "su"`,
    );
  }
  const found = checkJson(path, { [field]: parameters }, z.looseObject({ [field]: schema }))[field]!;
  // As in Transformers, the outer field counts, and its default where a file has none.
  const pretrainingSequenceLength = outer.original_max_position_embeddings ?? 4096;
  const factor = found.factor ?? contextLength / pretrainingSequenceLength;
  const scaling = {
    shortFactors: found.short_factor,
    longFactors: found.long_factor,
    attentionFactor: found.attention_factor ?? attentionFactorOf(factor, pretrainingSequenceLength),
    pretrainingSequenceLength,
  };
  return { theta, part, scaling };
}

/** The fields of a file, in Transformers 5's spelling and in the older one. */
export function writePhi3Rope({ theta, part, scaling }: Phi3Rope, contextLength: number): Record<string, unknown> {
  const original_max_position_embeddings = scaling?.pretrainingSequenceLength ?? contextLength;
  const common = { rope_theta: theta, partial_rotary_factor: part };
  const written = scaling === null ? null : {
    rope_type: "longrope",
    short_factor: scaling.shortFactors,
    long_factor: scaling.longFactors,
    attention_factor: scaling.attentionFactor,
    original_max_position_embeddings,
  };
  return {
    ...common,
    rope_scaling: written,
    rope_parameters: { ...common, ...(written ?? { rope_type: "default" }) },
    original_max_position_embeddings,
  };
}

/** Turns queries or keys [batch, time, heads, headDim] by their positions, each row by the length that its text has so far. */
export function phi3Rotation(
  { theta, part, scaling }: Phi3Rope,
  headDim: number,
  { positions, keyPositions }: Pick<DecoderInputs, "positions" | "keyPositions">,
): (x: Tensor) => Tensor {
  const turned = rotaryDim(headDim, part);
  const half = turned / 2;
  const frequencies = (factors?: readonly number[]) =>
    constant(Array.from({ length: half }, (_, i) => theta ** (-i / half) / (factors?.[i] ?? 1)), [half]);
  const short = frequencies(scaling?.shortFactors);

  function turn(x: Tensor): Tensor {
    // With no more places than that, no text can be a long one.
    if (scaling === null || keyPositions.shape[1]! <= scaling.pretrainingSequenceLength) {
      return rotaryEmbedding(x, positions, short);
    }
    // [batch, 1]
    const last = keyPositions.cast("float32").max(1, { keepDims: true });
    const isShort = last.less(scaling.pretrainingSequenceLength);
    const perRow = where(isShort, short.reshape([1, half]), frequencies(scaling.longFactors).reshape([1, half]));
    return rotateRows(x, positions, perRow);
  }

  const gain = scaling?.attentionFactor ?? 1;
  const longer = (x: Tensor) => gain === 1 ? x : x.mul(gain);
  return (x) => {
    if (turned === headDim) return longer(turn(x));
    return concat([longer(turn(x.sliceAxis(-1, 0, turned))), x.sliceAxis(-1, turned, headDim)], -1);
  };
}
