/** Choosing a token from logits on the host. The same seed gives the same tokens, whatever else is in the batch. */
import { foldIn, type RandomKey, randomKey, uniform } from "@tessera/core";

/** How tokens are chosen. */
export interface Sampling {
  /** What logits are divided by; 0 takes the likeliest token. */
  readonly temperature: number;
  /** Keep only this many of the likeliest tokens; `null` for all. */
  readonly topK: number | null;
  /** Keep only the likeliest tokens whose probabilities reach this sum; `null` for all. */
  readonly topP: number | null;
  /** The key that the choices follow from. */
  readonly key: RandomKey;
}

/** How tokens are chosen, as users say it. */
export interface SamplingOptions {
  /** What logits are divided by; 0, the default, takes the likeliest token. */
  readonly temperature?: number;
  /** Keep only this many of the likeliest tokens. */
  readonly topK?: number | null;
  /** Keep only the likeliest tokens whose probabilities reach this sum. */
  readonly topP?: number | null;
  /** The seed of the choices; 0 unless given. */
  readonly seed?: number;
}

/**
 * Checks sampling options and fills in defaults.
 *
 * @throws {RangeError} when an option is out of range.
 */
export function samplingOf(options: SamplingOptions): Sampling {
  const { temperature = 0, topK = null, topP = null, seed = 0 } = options;
  const fail = (what: string, found: number) => {
    throw new RangeError(`Cannot sample: ${what}, found ${found}`);
  };
  if (!(temperature >= 0 && Number.isFinite(temperature))) fail("temperature must be at least 0", temperature);
  if (topK !== null && (!Number.isInteger(topK) || topK < 1)) fail("topK must be a whole number of at least 1", topK);
  if (topP !== null && !(topP > 0 && topP <= 1)) fail("topP must be above 0 and at most 1", topP);
  if (!Number.isSafeInteger(seed) || seed < 0) fail("seed must be a whole number of at least 0", seed);
  return { temperature, topK, topP, key: randomKey(seed) };
}

/** The token chosen from one row of logits [vocabulary], as the `step`-th of that row. */
export function sampleToken(
  logits: Float32Array<ArrayBufferLike>,
  sampling: Sampling,
  row: number,
  step: number,
): number {
  const { temperature, topK, topP, key } = sampling;
  let largest = -Infinity;
  for (const logit of logits) if (logit > largest) largest = logit;
  const weights = Float64Array.from(logits, (logit) => Math.exp((logit - largest) / temperature));
  const kept = topK === null && topP === null ? null : keep(weights, topK, topP);
  const candidates = kept ?? weights.keys();
  let total = 0;
  for (const token of candidates) total += weights[token]!;
  const [drawn] = uniform(foldIn(foldIn(key, row), step), 1) as unknown as [number];
  let rest = drawn * total;
  let last = 0;
  for (const token of kept ?? weights.keys()) {
    if (weights[token] === 0) continue;
    last = token;
    rest -= weights[token]!;
    if (rest < 0) break;
  }
  return last;
}

/** The likeliest tokens, likeliest first: at most `topK`, and as few as reach a share of `topP`. */
function keep(weights: Float64Array, topK: number | null, topP: number | null): number[] {
  const order = [...weights.keys()].sort((a, b) => weights[b]! - weights[a]! || a - b).slice(0, topK ?? undefined);
  if (topP === null) return order;
  const total = order.reduce((sum, token) => sum + weights[token]!, 0);
  let sum = 0;
  const enough = order.findIndex((token) => (sum += weights[token]!) >= topP * total);
  return enough < 0 ? order : order.slice(0, enough + 1);
}
