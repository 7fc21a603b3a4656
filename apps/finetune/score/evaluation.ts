/** How good a model is on held-out examples: its loss, how many answers match exactly, and how well boxes fit. */
import type { CommandConsole } from "@tessera/cli";
import { imageTensor } from "@tessera/train";
import { detectionOverlaps } from "@tessera/vision";
import type { CausalLM, Evaluation, GenerateOptions } from "tessera";
import type { Config } from "../job/config.ts";
import type { Prepared, Question } from "./data.ts";
import type { Score } from "../run/record.ts";

/** A score, and the answers that it counts, in the order of the questions. */
export interface Scored {
  /** The score. */
  readonly score: Score;
  /** The answers. */
  readonly answers: readonly string[];
}

/** How a model is scored. */
export interface ScoreOptions {
  /** What is said to be done, such as `Before training`. */
  readonly label: string;
  /** The job. */
  readonly config: Config;
  /** Where progress is shown. */
  readonly console: CommandConsole;
  /** Ends the work early, with the signal's reason as an error. */
  readonly signal: AbortSignal;
  /** The loss, where it is known already. */
  readonly known?: Evaluation | undefined;
}

/** The questions that a job asks. */
export function chooseQuestions({ questions }: Prepared, { evaluation }: Config): readonly Question[] {
  return evaluation.exactMatch ? questions.slice(0, evaluation.examples) : [];
}

/** Counts the answers that match exactly; null where there are none. */
export function countExactMatches(answers: readonly string[], questions: readonly Question[]): Score["exactMatch"] {
  const total = answers.length;
  if (total === 0) return null;
  const right = answers.filter((answer, i) => answer === questions[i]!.expected).length;
  return { right, total, share: right / total };
}

/** How well the boxes in answers fit the right ones; null where there are none to find. */
export function measureBoxes(answers: readonly string[], questions: readonly Question[]): Score["boxes"] {
  const overlaps = answers.flatMap((answer, i) => detectionOverlaps(answer, questions[i]!.expected));
  if (overlaps.length === 0) return null;
  return { overlap: overlaps.reduce((sum, one) => sum + one, 0) / overlaps.length, total: overlaps.length };
}

/** The images that prompts begin with, as an option of generation. */
function imagesOf(questions: readonly Question[]): Pick<GenerateOptions, "images"> {
  const pixels = questions.flatMap(({ image }) => image === null ? [] : [image.pixels]);
  return pixels.length === 0 ? {} : { images: imageTensor(pixels) };
}

async function answerAll(lm: CausalLM, questions: readonly Question[], options: ScoreOptions): Promise<string[]> {
  const { config: { evaluation }, console, signal, label } = options;
  const bar = console.progress(`${label}: answers`, questions.length, "answers");
  const answers: string[] = [];
  try {
    for (let start = 0; start < questions.length; start += evaluation.generationBatchSize) {
      const batch = questions.slice(start, start + evaluation.generationBatchSize);
      const tokens = await lm.generateTokens(batch.map(({ tokenIds }) => tokenIds), {
        maxNewTokens: evaluation.maxNewTokens,
        ...imagesOf(batch),
        signal,
        onProgress: ({ done, total }) => bar.update(start + Math.floor(batch.length * done / (total + 1))),
      });
      signal.throwIfAborted();
      answers.push(...tokens.map((ids) => lm.tokenizer.decode(ids, { skipSpecialTokens: true })));
      bar.update(answers.length, {
        "exact match": `${countExactMatches(answers, questions)!.right}/${answers.length}`,
      });
    }
  } finally {
    bar.done();
  }
  return answers;
}

async function measureLoss(
  lm: CausalLM,
  prepared: Prepared,
  { console, label, signal }: ScoreOptions,
): Promise<Evaluation> {
  const bar = console.progress(`${label}: loss`, prepared.dataset.statistics.batches, "batches");
  try {
    return await lm.evaluate(prepared.dataset, {
      signal,
      onProgress: ({ phase, done }) => {
        if (phase === "evaluate") bar.update(done);
      },
    });
  } finally {
    bar.done();
  }
}

/**
 * Scores a model on held-out examples.
 *
 * @throws {Error} the signal's reason, when it is ended early.
 */
export async function scoreModel(
  lm: CausalLM,
  prepared: Prepared,
  questions: readonly Question[],
  options: ScoreOptions,
): Promise<Scored> {
  const start = performance.now();
  const { loss, accuracy } = options.known ?? await measureLoss(lm, prepared, options);
  const answers = questions.length === 0 ? [] : await answerAll(lm, questions, options);
  const score = {
    loss,
    tokenAccuracy: accuracy,
    exactMatch: countExactMatches(answers, questions),
    boxes: measureBoxes(answers, questions),
    seconds: (performance.now() - start) / 1000,
  };
  return { score, answers };
}
