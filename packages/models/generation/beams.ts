/**
 * Beam search for one prompt: the texts that are followed and the answers found so far, without any model.
 *
 * When an answer counts as finished, when the search ends, and how lengths are weighed is as in Transformers 5
 * (`generation/utils.py`, `_beam_search`), so that the same log-probabilities lead to the same answer.
 */
import { likeliestTokens, type Logits } from "./logit_filters.ts";

/** A text that is followed: what was added to the prompt, and the sum of the log-probabilities. */
export interface Beam {
  /** The tokens added to the prompt. */
  readonly tokens: readonly number[];
  /** The sum of their log-probabilities. */
  readonly score: number;
}

/** An answer that was found, or the place of one that was not yet. */
interface Answer extends Beam {
  readonly found: boolean;
}

/** Where a search stands. */
export interface Beams {
  /** The texts that are followed, best first. */
  readonly running: readonly Beam[];
  /** The best answers so far, best first; scores are divided by the length's power. */
  readonly answers: readonly Answer[];
  /** Whether a better answer was thought possible after each step so far. */
  readonly improvable: boolean;
  /** Whether the search has ended. */
  readonly ended: boolean;
}

/** What a search goes by. */
export interface BeamSettings {
  /** The number of texts followed at once. */
  readonly numBeams: number;
  /** Scores are divided by the number of tokens to this power. */
  readonly lengthPenalty: number;
  /** Whether to end as soon as there are `numBeams` answers, or never while a better one is possible at all. */
  readonly earlyStopping: boolean | "never";
  /** Tokens that end a text, as its last. */
  readonly stopTokenIds: ReadonlySet<number>;
  /** The most tokens that can be added. */
  readonly room: number;
  /** Whether a text ends for another reason. */
  readonly endsWith: (tokens: readonly number[]) => boolean;
}

/** A score below that of any text. */
const never = -1e9;

/** The beginning of a search: all texts are the prompt, of which only the first one counts. */
export function startBeams(numBeams: number): Beams {
  const running = Array.from({ length: numBeams }, (_, i): Beam => ({ tokens: [], score: i === 0 ? 0 : never }));
  const answers = running.map(() => ({ tokens: [], score: never, found: false }));
  return { running, answers, improvable: true, ended: false };
}

interface Candidate extends Beam {
  readonly parent: number;
  readonly ends: boolean;
}

/** One step: the search after it, and which running text each new one continues. `logProbs` has a row per running text. */
export function advanceBeams(
  beams: Beams,
  logProbs: readonly Logits[],
  settings: BeamSettings,
): { readonly beams: Beams; readonly parents: readonly number[] } {
  const { numBeams, lengthPenalty, earlyStopping, room } = settings;
  const candidates = bestContinuations(beams.running, logProbs, settings);
  const length = candidates[0]!.tokens.length;

  const next = best(candidates, numBeams, ({ score, ends }) => ends ? score + never : score);
  const running = next.map(({ tokens, score, ends }): Beam => ({ tokens, score: ends ? score + never : score }));

  const isFull = beams.answers.every(({ found }) => found) && earlyStopping === true;
  const finished = candidates.map(({ tokens, score, ends }, i): Answer => {
    // Only a text that would have been followed counts as an answer.
    const found = ends && i < numBeams;
    const barred = Number(isFull) + Number(!beams.improvable) + Number(!found);
    return { tokens, score: score / length ** lengthPenalty + barred * never, found };
  });
  const answers = best([...beams.answers, ...finished], numBeams, ({ score }) => score);

  const longest = earlyStopping === "never" && lengthPenalty > 0 ? room : length;
  const hope = running[0]!.score / longest ** lengthPenalty;
  const worst = answers.at(-1)!.score;
  const improvable = beams.improvable && answers.some(({ found }) => hope > (found ? worst : never));
  const ended = !improvable || (earlyStopping === true && answers.every(({ found }) => found)) ||
    candidates.every(({ ends }) => ends);
  return { beams: { running, answers, improvable, ended }, parents: next.map(({ parent }) => parent) };
}

/** The best answer, or, where there is none yet, the best text. */
export function bestAnswer({ answers, running }: Beams, { stopTokenIds }: BeamSettings): number[] {
  const { tokens } = answers[0]!.found ? answers[0]! : running[0]!;
  return stopTokenIds.has(tokens.at(-1)!) ? tokens.slice(0, -1) : [...tokens];
}

/** The best continuations by one token: enough that `numBeams` continue, even if every stop token is among the best of each text. */
function bestContinuations(
  running: readonly Beam[],
  logProbs: readonly Logits[],
  { numBeams, stopTokenIds, room, endsWith }: BeamSettings,
): Candidate[] {
  const count = Math.max(2, 1 + stopTokenIds.size) * numBeams;
  const all = running.flatMap(({ score }, parent) => {
    const row = logProbs[parent]!;
    return likeliestTokens(row, count).map((token) => ({ parent, token, score: score + row[token]! }));
  });
  return best(all, count, ({ score }) => score).map(({ parent, token, score }) => {
    const tokens = [...running[parent]!.tokens, token];
    return { parent, tokens, score, ends: stopTokenIds.has(token) || tokens.length >= room || endsWith(tokens) };
  });
}

/** The best few, best first; of equals the first. */
function best<T>(items: readonly T[], count: number, score: (item: T) => number): T[] {
  return items.toSorted((a, b) => score(b) - score(a)).slice(0, count);
}
