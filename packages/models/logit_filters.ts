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
    return logits.map((logit) => (logit - top) / temperature);
  },
  topK: (logits, topK) => {
    const kept = largest(logits, (_, count) => count >= topK);
    return atLeast(logits, logits[kept[Math.min(topK, kept.length) - 1]!]!);
  },
  topP: (logits, topP) => {
    const top = maximum(logits);
    const weight = (token: number) => Math.exp(logits[token]! - top);
    const goal = topP * logits.reduce((sum, logit) => sum + Math.exp(logit - top), 0);
    const order = largest(logits, (sum) => sum >= goal, weight);
    let before = 0;
    const end = order.findIndex((token) => {
      const enough = before >= goal;
      before += weight(token);
      return enough;
    });
    const result = new Float32Array(logits.length).fill(-Infinity);
    for (const token of end < 0 ? order : order.slice(0, Math.max(end, 1))) result[token] = logits[token]!;
    return result;
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

/** The position of the largest logit, the first of several. */
export function likeliest(logits: Logits): number {
  let best = 0;
  for (let token = 1; token < logits.length; token++) if (logits[token]! > logits[best]!) best = token;
  return best;
}

function atLeast(logits: Logits, lowest: number): Logits {
  return logits.map((logit) => logit >= lowest ? logit : -Infinity);
}

/**
 * Some of the likeliest tokens, likeliest first: as many as are enough, by the sum of their weights and by their number, or all.
 *
 * Sorting a vocabulary takes tens of milliseconds, and the tokens of interest have logits near the largest one, so the rest is
 * only sorted when these are not enough.
 */
export function largest(
  logits: Logits,
  enough: (sum: number, count: number) => boolean,
  weight: (token: number) => number = () => 0,
): number[] {
  const top = maximum(logits);
  for (const range of [4, 8, 16]) {
    const tokens: number[] = [];
    let sum = 0;
    for (let token = 0; token < logits.length; token++) {
      if (logits[token]! < top - range) continue;
      tokens.push(token);
      sum += weight(token);
    }
    if (enough(sum, tokens.length)) return likeliestFirst(tokens, logits);
  }
  return likeliestFirst([...logits.keys()], logits);
}

function likeliestFirst(tokens: number[], logits: Logits): number[] {
  return tokens.sort((a, b) => logits[b]! - logits[a]! || a - b);
}
