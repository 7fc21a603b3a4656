/**
 * How a rotary embedding is stretched for texts longer than those of pretraining: what configs and files say of it.
 *
 * Reference: `modeling_rope_utils.py` of Transformers 5.
 */
import { checkJson } from "@tessera/files";
import { z } from "zod";
import { type HfConfig, type Rope, ropeOf } from "./hf_config.ts";

/** How a rotary embedding is stretched. */
export type RopeScaling = LinearRope | DynamicRope | YarnRope | Llama3Rope;

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

/** Frequencies of long wavelengths divided, as Llama 3.1 and later have it. */
export interface Llama3Rope {
  /** The kind of stretching. */
  readonly type: "llama3";
  /** What the frequencies of long wavelengths are divided by; at least 1. */
  readonly factor: number;
  /** Wavelengths longer than a text of pretraining over this are stretched in full. */
  readonly lowFreqFactor: number;
  /** Wavelengths shorter than a text of pretraining over this stay as they are. */
  readonly highFreqFactor: number;
  /** The longest text of pretraining, in tokens. */
  readonly pretrainingSequenceLength: number;
}

const kinds = ["linear", "dynamic", "yarn", "llama3"] as const satisfies readonly RopeScaling["type"][];

/** The schema of a config's scaling; `null` for none. */
export const ropeScalingSchema: z.ZodType<RopeScaling | null> = z.custom<RopeScaling | null>((value) =>
  value === null || typeof value === "object" && (kinds as readonly unknown[]).includes((value as RopeScaling).type)
);

/** What is wrong with a scaling, for the end of a message; `null` when nothing is. */
export function ropeScalingProblem(scaling: RopeScaling, headDim: number): string | null {
  const { type, ...numbers } = scaling;
  for (const [field, value] of Object.entries(numbers)) {
    const isFine = typeof value === "boolean" || value > 0 && Number.isFinite(value);
    if (!isFine) return `ropeScaling.${field} must be a positive number, found ${value}`;
  }
  if (scaling.factor < 1) return `ropeScaling.factor must be at least 1, found ${scaling.factor}`;
  if (type === "dynamic" && headDim < 4) return `a dynamic ropeScaling needs a headDim of at least 4, found ${headDim}`;
  if (scaling.type === "llama3" && scaling.lowFreqFactor >= scaling.highFreqFactor) {
    return `ropeScaling.lowFreqFactor (${scaling.lowFreqFactor}) must be less than ropeScaling.highFreqFactor (${scaling.highFreqFactor})`;
  }
  return null;
}

/** The longest text that a stretched model is made for, in tokens, where its checkpoint says `max_position_embeddings`. */
export function stretchedContext(scaling: RopeScaling | null, maxPositionEmbeddings: number): number {
  if (scaling === null || scaling.type === "llama3") return maxPositionEmbeddings;
  // Files that stretch so give the context before it, Llama 3.1's the one after it; YaRN's are found with either.
  const before = scaling.type === "yarn" ? scaling.pretrainingSequenceLength : maxPositionEmbeddings;
  return Math.max(maxPositionEmbeddings, Math.floor(before * scaling.factor));
}

/** A rotary embedding that was read from a file. */
export interface ReadRope {
  /** The base of the frequencies. */
  readonly theta: number;
  /** How it is stretched; `null` for not at all. */
  readonly scaling: RopeScaling | null;
}

/** Fields of files that `readRope` reads. */
export const ropeFields: readonly string[] = [
  "rope_theta",
  "rope_scaling",
  "rope_parameters",
  "original_max_position_embeddings",
];

/** Names of its nested fields that Transformers wants with a decimal point. */
export const ropeFloats: readonly string[] = ["rope_theta", "factor", "low_freq_factor", "high_freq_factor"];

const size = z.number().int().positive();
const positive = z.number().positive();

/** Where a rotary embedding was read, and the contexts that it may stretch, in tokens. */
interface RopeSource {
  readonly path: string;
  readonly title: string;
  readonly field: "rope_parameters" | "rope_scaling";
  /** What the file names as the context outside of the scaling's own fields, where it counts for more. */
  readonly context: number | null;
  /** What is stretched where nothing names it, as in Transformers. */
  readonly wholeContext: number;
}

/** One row per kind of scaling. */
const readers: { readonly [Type in RopeScaling["type"]]: (rope: Rope, source: RopeSource) => RopeScaling } = {
  linear: (rope, source) => ({ type: "linear", factor: fieldsOf(rope, source, {}).factor }),
  dynamic: (rope, source) => ({
    type: "dynamic",
    factor: fieldsOf(rope, source, {}).factor,
    pretrainingSequenceLength: source.wholeContext,
  }),
  yarn: readYarn,
  llama3: readLlama3,
};

/**
 * The rotary embedding of a file, in either spelling.
 *
 * @throws {TypeError} when a field is missing or wrong, or it is stretched in a way that is not computed.
 * @throws {RangeError} when the fields of the scaling contradict each other.
 */
export function readRope({ path, raw }: HfConfig, title: string, wholeContext: number): ReadRope {
  const rope = ropeOf(raw, path);
  const { theta, type } = rope;
  if (type === "default") return { theta, scaling: null };
  const context = raw.original_max_position_embeddings as number | undefined ?? null;
  const field = raw.rope_scaling == null ? "rope_parameters" : "rope_scaling";
  const source = { path, title, field, context, wholeContext } as const;
  if (Object.hasOwn(readers, type)) return { theta, scaling: readers[type as RopeScaling["type"]](rope, source) };
  const known = ["default", ...kinds].map((name) => `"${name}"`);
  throw new TypeError(
    `Cannot use "${path}": "${field}" has the type "${type}", Tessera's ${title} computes only ` +
      `${known.slice(0, -1).join(", ")} and ${known.at(-1)}`,
  );
}

/** The fields of a scaling, checked under the name that they have in the file; every kind has a factor. */
function fieldsOf<Shape extends z.ZodRawShape>({ parameters }: Rope, { path, title, field }: RopeSource, shape: Shape) {
  const schema = z.looseObject({
    factor: z.number().min(1),
    partial_rotary_factor: z.literal(1, `Tessera's ${title} computes only 1`).nullish(),
    ...shape,
  });
  const whole = checkJson(path, { [field]: parameters }, z.looseObject({ [field]: schema }));
  return (whole as Record<string, z.output<typeof schema>>)[field]!;
}

function readLlama3(rope: Rope, source: RopeSource): Llama3Rope {
  const shape = {
    low_freq_factor: positive,
    high_freq_factor: positive,
    original_max_position_embeddings: size.optional(),
  };
  const { factor, low_freq_factor: low, high_freq_factor: high, ...rest } = fieldsOf(rope, source, shape);
  const { path, field } = source;
  if (low >= high) {
    throw new RangeError(
      `Cannot use "${path}": "${field}.low_freq_factor" (${low}) must be less than "${field}.high_freq_factor" (${high})`,
    );
  }
  const pretrainingSequenceLength = contextOf(rest.original_max_position_embeddings, source);
  return { type: "llama3", factor, lowFreqFactor: low, highFreqFactor: high, pretrainingSequenceLength };
}

/** What the factor of attention follows from, where the file does not give it, is as in `_compute_yarn_parameters`. */
function readYarn(rope: Rope, source: RopeSource): YarnRope {
  const found = fieldsOf(rope, source, {
    original_max_position_embeddings: size.optional(),
    beta_fast: z.number().nonnegative().nullish(),
    beta_slow: z.number().nonnegative().nullish(),
    attention_factor: positive.nullish(),
    mscale: z.number().nullish(),
    mscale_all_dim: z.number().nullish(),
    truncate: z.boolean().default(true),
  });
  const { factor, mscale, mscale_all_dim, truncate } = found;
  // A zero stands for the default, too.
  const [betaFast, betaSlow] = [found.beta_fast || 32, found.beta_slow || 1];
  const { path, field } = source;
  if (betaSlow > betaFast) {
    throw new RangeError(
      `Cannot use "${path}": "${field}.beta_slow" (${betaSlow}) must be at most "${field}.beta_fast" (${betaFast})`,
    );
  }
  const longer = (weight: number) => factor <= 1 ? 1 : 0.1 * weight * Math.log(factor) + 1;
  const attentionFactor = found.attention_factor ??
    (mscale && mscale_all_dim ? longer(mscale) / longer(mscale_all_dim) : longer(1));
  const pretrainingSequenceLength = contextOf(found.original_max_position_embeddings, source);
  return { type: "yarn", factor, betaFast, betaSlow, attentionFactor, truncate, pretrainingSequenceLength };
}

function contextOf(own: number | undefined, { context, wholeContext }: RopeSource): number {
  return context ?? own ?? wholeContext;
}

/**
 * The fields of a file, in Transformers 5's spelling and in the older one: a reader that knows only one of them would take the
 * default base without a word.
 */
export function writeRope({ theta, scaling }: ReadRope): Record<string, unknown> {
  const written = scaling === null ? null : toHf(scaling);
  return {
    rope_theta: theta,
    rope_scaling: written,
    rope_parameters: { rope_theta: theta, ...(written ?? { rope_type: "default" }) },
    // What a dynamic base grows beyond is this field of the file, and no other.
    ...(scaling?.type === "dynamic" ? { max_position_embeddings: scaling.pretrainingSequenceLength } : {}),
  };
}

function toHf(scaling: RopeScaling): Record<string, unknown> {
  const common = { rope_type: scaling.type, factor: scaling.factor };
  if (scaling.type === "linear" || scaling.type === "dynamic") return common;
  const stretched = { ...common, original_max_position_embeddings: scaling.pretrainingSequenceLength };
  if (scaling.type === "llama3") {
    return { ...stretched, low_freq_factor: scaling.lowFreqFactor, high_freq_factor: scaling.highFreqFactor };
  }
  return {
    ...stretched,
    beta_fast: scaling.betaFast,
    beta_slow: scaling.betaSlow,
    attention_factor: scaling.attentionFactor,
    truncate: scaling.truncate,
  };
}
