/**
 * What is done to a row of logits [vocabulary] before a token is drawn from it: each filter is a pure function that gives a row
 * in which the tokens that it rules out have a logit of -Infinity. The rules and their order are those of Transformers.
 */

/** A row of logits [vocabulary]. */
export type Logits = Float32Array<ArrayBufferLike>;

/** The settings of the filters; `null` leaves one out. */
export interface FilterSettings {
  /** What logits are divided by. */
  readonly temperature: number;
  /** Keep only this many of the likeliest tokens, and those as likely as the last of these. */
  readonly topK: number | null;
  /** Keep only the likeliest tokens whose probabilities reach this sum. */
  readonly topP: number | null;
  /** Keep only tokens of at least this share of the likeliest token's probability. */
  readonly minP: number | null;
}

/** One filter per setting, in the order in which they apply. */
export const logitFilters: { readonly [K in keyof FilterSettings]: (logits: Logits, setting: number) => Logits } = {
  // Taking the largest away first changes no probability, and leaves finite what is divided by next to nothing.
  temperature: (logits, temperature) => {
    const top = maximum(logits);
    const row = new Float32Array(logits.length);
    for (let token = 0; token < row.length; token++) row[token] = (logits[token]! - top) / temperature;
    return row;
  },
  topK: (logits, topK) => {
    const { before, border } = divide(logits, null, topK);
    const last = border[Math.min(topK - before, border.length) - 1]!;
    return atLeast(logits, logits[last]!);
  },
  topP: (logits, topP) => {
    const top = maximum(logits);
    const weights = new Float64Array(logits.length);
    let total = 0;
    for (let token = 0; token < weights.length; token++) {
      const weight = Math.exp(logits[token]! - top);
      weights[token] = weight;
      total += weight;
    }
    const { before, border, lowest } = divide(logits, weights, topP * total);
    const row = atLeast(logits, lowest);
    let sum = before;
    for (const token of border) {
      if (sum >= topP * total) row[token] = -Infinity;
      sum += weights[token]!;
    }
    return row;
  },
  minP: (logits, minP) => atLeast(logits, maximum(logits) + Math.log(minP)),
};

/** Applies the filters that have a setting. */
export function filterLogits(logits: Logits, settings: FilterSettings): Logits {
  let row = logits;
  for (const [name, filter] of Object.entries(logitFilters)) {
    const setting = settings[name as keyof FilterSettings];
    if (setting !== null && !(name === "temperature" && setting === 1)) row = filter(row, setting);
  }
  return row;
}

/** Makes tokens that are there already less likely: positive logits are divided by the penalty, negative ones multiplied (arXiv 1909.05858). */
export function penalizeRepetition(logits: Logits, penalty: number, tokens: Iterable<number>): Logits {
  const row = logits.slice();
  for (const token of new Set(tokens)) {
    const logit = row[token]!;
    row[token] = logit < 0 ? logit * penalty : logit / penalty;
  }
  return row;
}

/** The largest logit. */
export function maximum(logits: Logits): number {
  let top = -Infinity;
  for (const logit of logits) if (logit > top) top = logit;
  return top;
}

/** The logarithm of the sum of the exponentials, by which logits become log-probabilities. */
export function logSumExp(logits: Logits): number {
  const top = maximum(logits);
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - top);
  return top + Math.log(sum);
}

/** The logarithms of the probabilities. */
export function logProbabilities(logits: Logits): Logits {
  const normalizer = logSumExp(logits);
  const row = new Float32Array(logits.length);
  for (let token = 0; token < row.length; token++) row[token] = logits[token]! - normalizer;
  return row;
}

/** The position of the largest logit, the first of several. */
export function likeliest(logits: Logits): number {
  let best = 0;
  for (let token = 1; token < logits.length; token++) if (logits[token]! > logits[best]!) best = token;
  return best;
}

/** Some of the likeliest tokens, likeliest first. */
export function likeliestTokens(logits: Logits, count: number): number[] {
  const { lowest } = divide(logits, null, count);
  const tokens: number[] = [];
  for (let token = 0; token < logits.length; token++) if (logits[token]! >= lowest) tokens.push(token);
  return likeliestFirst(tokens, logits).slice(0, count);
}

function atLeast(logits: Logits, lowest: number): Logits {
  const row = new Float32Array(logits.length);
  for (let token = 0; token < row.length; token++) row[token] = logits[token]! >= lowest ? logits[token]! : -Infinity;
  return row;
}

function likeliestFirst(tokens: number[], logits: Logits): number[] {
  return tokens.sort((a, b) => logits[b]! - logits[a]! || a - b);
}

/** One number and its bits. */
const number = new Float32Array(1);
const bits = new Uint32Array(number.buffer);

/** How far below the largest a logit is, as a whole number that grows with it: its exponent and the first bits of its fraction. */
function distance(top: number, logit: number): number {
  number[0] = top - logit;
  return bits[0]! >>> 18;
}

/** More than any distance. */
const distances = 0x2000;

/**
 * Where the likeliest tokens end whose weights, 1 each where there are none, add up to a goal. Sorting a vocabulary takes a tenth of
 * a second, so tokens are told apart by how far they are below the largest, and only those at one distance are sorted: those before
 * them belong to the likeliest for certain, with the sum `before`, those behind do not, and of the `border`, likeliest first, some.
 */
function divide(
  logits: Logits,
  weights: Float64Array | null,
  goal: number,
): { readonly before: number; readonly border: readonly number[]; readonly lowest: number } {
  const top = maximum(logits);
  const sums = new Float64Array(distances);
  for (let token = 0; token < logits.length; token++) {
    sums[distance(top, logits[token]!)]! += weights === null ? 1 : weights[token]!;
  }
  let [limit, before] = [0, 0];
  for (let at = 1; at < distances && before + sums[limit]! < goal; at++) {
    if (sums[at] === 0) continue;
    before += sums[limit]!;
    limit = at;
  }
  const border: number[] = [];
  for (let token = 0; token < logits.length; token++) if (distance(top, logits[token]!) === limit) border.push(token);
  likeliestFirst(border, logits);
  return { before, border, lowest: logits[border.at(-1)!]! };
}
