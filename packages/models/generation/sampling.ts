/** How tokens are chosen: the samplers that there are, their options, and a draw from a row of logits. */
import { foldIn, type RandomKey, randomKey, uniform } from "@tessera/core";
import { nearestName } from "@tessera/text";
import { filterLogits, type FilterSettings, type Logits, maximum } from "./logit_filters.ts";

/** How tokens are chosen, as users say it. */
export interface SamplingOptions {
  /** A sampler by name, whose settings the other options then change; what the other options ask for unless given. */
  readonly sampler?: SamplerName;
  /** What logits are divided by; 0 takes the likeliest token. The checkpoint's unless given, otherwise 0, or 1 with one of the next three. */
  readonly temperature?: number;
  /** Keep only this many of the likeliest tokens. */
  readonly topK?: number | null;
  /** Keep only the likeliest tokens whose probabilities reach this sum. */
  readonly topP?: number | null;
  /** Keep only tokens of at least this share of the likeliest token's probability. */
  readonly minP?: number | null;
  /** Above 1, makes tokens that are in the prompt or the answer already less likely; 1 unless given. */
  readonly repetitionPenalty?: number;
  /** The seed of the choices; 0 unless given. Each row draws numbers of its own, whatever else is in the batch. */
  readonly seed?: number;
  /** How many texts beam search follows at once; 1, without a search, unless given. */
  readonly numBeams?: number;
  /** Beam search divides log-probabilities by the answer's length to this power: above 0, long answers gain; 1 unless given. */
  readonly lengthPenalty?: number;
  /** Whether beam search ends as soon as it has `numBeams` answers; `"never"` searches on while a better one is possible at all. */
  readonly earlyStopping?: boolean | "never";
  /** Above 0, contrastive search: the share of the choice that goes by how unlike a token is to what came before. */
  readonly penaltyAlpha?: number;
}

/** The samplers that have a name, each with the options that it stands for; those that Keras has take the values that they take there. */
export const samplers = {
  /** The likeliest token. */
  greedy: { temperature: 0 },
  /** A token by its probability. */
  random: { temperature: 1 },
  /** A token by its probability among the few likeliest. */
  top_k: { temperature: 1, topK: 5 },
  /** A token by its probability among the likeliest that reach a sum (arXiv 1904.09751). */
  top_p: { temperature: 1, topP: 0.1 },
  /** A token by its probability among those that are not far less likely than the likeliest (arXiv 2407.01082). */
  min_p: { temperature: 1, minP: 0.1 },
  /** The likeliest of several texts that are followed at once. */
  beam: { temperature: 0, numBeams: 5 },
  /** A likely token that is unlike what came before (arXiv 2202.06417). */
  contrastive: { temperature: 0, penaltyAlpha: 0.6, topK: 5 },
} satisfies Readonly<Record<string, SamplingOptions>>;

/** The name of a sampler. */
export type SamplerName = keyof typeof samplers;

/** How a search over texts goes. */
export type SearchName = "sample" | "beam" | "contrastive";

/** How tokens are chosen, checked and complete. */
export interface Sampling extends FilterSettings {
  /** The way in which answers are looked for. */
  readonly search: SearchName;
  /** How much less likely repeated tokens are; 1 for not at all. */
  readonly repetitionPenalty: number;
  /** The key that the choices follow from. */
  readonly key: RandomKey;
  /** The number of texts followed at once. */
  readonly numBeams: number;
  /** The power of the length by which beam search divides. */
  readonly lengthPenalty: number;
  /** When beam search ends. */
  readonly earlyStopping: boolean | "never";
  /** The share of contrastive search's choice that goes by unlikeness. */
  readonly penaltyAlpha: number;
}

/**
 * Checks sampling options and fills in defaults: those of the sampler that is named, otherwise the given ones, which may be a
 * checkpoint's.
 *
 * @throws {RangeError} when a sampler is unknown, when an option is out of range, or when two contradict each other.
 */
export function samplingOf(options: SamplingOptions, defaults: SamplingOptions = {}): Sampling {
  const base: SamplingOptions = options.sampler === undefined ? defaults : namedSampler(options.sampler);
  const given = { ...base, ...defined(options) };
  const { topK = null, topP = null, minP = null, repetitionPenalty = 1, seed = 0 } = given;
  const { numBeams = 1, lengthPenalty = 1, earlyStopping = false, penaltyAlpha = 0 } = given;
  const searches = numBeams !== 1 || penaltyAlpha !== 0;
  // To ask for a filter is to ask for a draw. A search takes no draws, so what a checkpoint says of them is not meant for it.
  const draws = !searches && (options.topK ?? options.topP ?? options.minP ?? null) !== null;
  const temperature = options.temperature ?? (searches ? 0 : base.temperature ?? (draws ? 1 : 0));
  for (const [name, { holds, range }] of Object.entries(ranges)) {
    const value = { ...given, temperature }[name as NumberOption];
    if (value == null || holds(value)) continue;
    throw new RangeError(`Cannot sample: ${name} must be ${range}, found ${value}`);
  }
  if (![true, false, "never"].includes(earlyStopping)) {
    throw new RangeError(`Cannot sample: earlyStopping must be true, false or "never", found ${earlyStopping}`);
  }
  if (numBeams > 1 && penaltyAlpha > 0) {
    throw new RangeError(`Cannot sample with numBeams ${numBeams} and penaltyAlpha ${penaltyAlpha}: give one of them`);
  }
  if (searches && temperature > 0) {
    const [name, value] = numBeams > 1 ? ["numBeams", numBeams] : ["penaltyAlpha", penaltyAlpha];
    throw new RangeError(
      `Cannot sample with temperature ${temperature} and ${name} ${value}: that search draws nothing; leave one of them out`,
    );
  }
  if (penaltyAlpha > 0 && (topK === null || topK < 2)) {
    throw new RangeError(
      `Cannot sample with penaltyAlpha ${penaltyAlpha} and topK ${topK}: contrastive search needs at least 2 tokens to choose from`,
    );
  }
  return {
    search: numBeams > 1 ? "beam" : penaltyAlpha > 0 ? "contrastive" : "sample",
    temperature,
    topK,
    topP,
    minP,
    repetitionPenalty,
    key: randomKey(seed),
    numBeams,
    lengthPenalty,
    earlyStopping,
    penaltyAlpha,
  };
}

const whole = (least: number) => ({
  holds: (value: number) => Number.isSafeInteger(value) && value >= least,
  range: `a whole number of at least ${least}`,
});
const share = { holds: (value: number) => value > 0 && value <= 1, range: "above 0 and at most 1" };

type NumberOption = Exclude<keyof SamplingOptions, "sampler" | "earlyStopping">;

const ranges: { readonly [K in NumberOption]: { holds(value: number): boolean; readonly range: string } } = {
  temperature: { holds: (value) => value >= 0 && Number.isFinite(value), range: "at least 0" },
  topK: whole(1),
  topP: share,
  minP: share,
  repetitionPenalty: { holds: (value) => value > 0 && Number.isFinite(value), range: "above 0" },
  seed: whole(0),
  numBeams: whole(1),
  lengthPenalty: { holds: Number.isFinite, range: "a number" },
  penaltyAlpha: { holds: (value) => value >= 0 && value <= 1, range: "from 0 to 1" },
};

function namedSampler(name: SamplerName): SamplingOptions {
  if (Object.hasOwn(samplers, name)) return samplers[name];
  const near = nearestName(name, Object.keys(samplers));
  throw new RangeError(
    `Cannot sample: there is no sampler "${name}"` + (near === null ? "" : `; did you mean "${near}"?`) +
      ` The samplers are ${Object.keys(samplers).map((each) => `"${each}"`).join(", ")}`,
  );
}

/** Options without those that are written down as undefined. */
function defined(options: SamplingOptions): SamplingOptions {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}

/** The token drawn from one row of logits [vocabulary], as the `step`-th of that row. */
export function sampleToken(logits: Logits, sampling: Sampling, row: number, step: number): number {
  const kept = filterLogits(logits, sampling);
  const top = maximum(kept);
  const weights = new Float64Array(kept.length);
  let total = 0;
  for (let token = 0; token < weights.length; token++) {
    if (kept[token] === -Infinity) continue;
    const weight = Math.exp(kept[token]! - top);
    weights[token] = weight;
    total += weight;
  }
  const [drawn] = uniform(foldIn(foldIn(sampling.key, row), step), 1) as unknown as [number];
  let rest = drawn * total;
  let last = 0;
  for (let token = 0; token < weights.length; token++) {
    const weight = weights[token]!;
    if (weight === 0) continue;
    last = token;
    rest -= weight;
    if (rest < 0) break;
  }
  return last;
}
