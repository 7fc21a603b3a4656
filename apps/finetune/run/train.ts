/** Training a job that is open: scored, trained with a progress bar, and measured. */
import { formatCount } from "@tessera/text";
import type { CausalLM, CheckpointOptions, Evaluation, TrainingHistory } from "tessera";
import { keepRun, resumeCommandOf, type StoppedRun } from "./begun_run.ts";
import { type Scored, scoreModel, type ScoreOptions } from "../score/evaluation.ts";
import { printAnswers, printScores } from "../score/outcome.ts";
import type { PreparedJob } from "./prepare.ts";
import type { HeldOutPoint, RunRecord, TrainingFacts } from "./record.ts";

/** What is trained, and where progress is shown. */
export interface TrainOptions extends Pick<ScoreOptions, "console" | "signal"> {
  /** The job. */
  readonly prepared: PreparedJob;
  /** The job as it is kept, with absolute paths. */
  readonly kept: RunRecord["config"];
  /** The folder for results, beside whose checkpoints the run is kept. */
  readonly output: string;
  /** When the run began, as ISO 8601. */
  readonly startedAt: string;
  /** The run to resume; null for a new one. */
  readonly stopped: StoppedRun | null;
}

/** What training came to. */
export interface TrainedJob {
  /** The score before training; null without held-out examples. */
  readonly before: Scored | null;
  /** What it did. */
  readonly facts: TrainingFacts;
  /** The loss on the held-out examples at its end, where that was measured. */
  readonly known: Evaluation | undefined;
}

/** How a training is saved, and what it follows on. */
interface Course extends TrainOptions {
  readonly before: Scored | null;
  /** Where it is saved, and whether it resumes from there; null to save nothing. */
  readonly checkpoint: CheckpointOptions | null;
  /** The steps after which it was resumed. */
  readonly resumedAfter: readonly number[];
}

/**
 * Scores a model, trains it and keeps the run beside its checkpoints.
 *
 * @throws {Error} when the loss stops being a number, or when there is a checkpoint that training cannot resume from; the message
 * has the command that resumes the run, where it can be.
 */
export async function trainJob(lm: CausalLM, options: TrainOptions): Promise<TrainedJob> {
  const { prepared: { config, optimizer }, kept, output, startedAt, stopped } = options;
  const before = stopped === null ? await scoreBefore(lm, options) : stopped.begun.before;
  lm.compile({ optimizer, gradientAccumulationSteps: config.training.gradientAccumulationSteps });
  const resumedAfter = stopped === null ? [] : [...stopped.begun.resumedAfter, stopped.checkpoint.step];
  const checkpoint = await keepRun(output, { config: kept, startedAt, before, resumedAfter }, stopped);
  const course = { ...options, before, checkpoint, resumedAfter };
  try {
    return { before, ...await fit(lm, course) };
  } catch (error) {
    const command = await resumeCommandOf(output, stopped).catch(() => null);
    if (command === null || !(error instanceof Error)) throw error;
    const explained = new Error(`${error.message}\nResume with: ${command}`, { cause: error });
    explained.name = error.name;
    throw explained;
  }
}

async function scoreBefore(lm: CausalLM, { prepared, console, signal }: TrainOptions): Promise<Scored | null> {
  const { config, heldOut, questions } = prepared;
  if (heldOut === null) return null;
  const before = await scoreModel(lm, heldOut, questions, { config, console, signal, label: "Before" });
  printScores("Before training", [before], console);
  printAnswers(questions, [["answer", before]], config, console);
  console.print();
  return before;
}

/** The loss on the held-out examples before training and after each epoch, by the number of steps done. */
function heldOutPoints({ steps, epochs }: TrainingHistory, before: Scored | null): HeldOutPoint[] {
  const points = epochs.flatMap(({ epoch, validation }) =>
    validation ? [{ step: steps.filter((step) => step.epoch <= epoch).length, loss: validation.loss }] : []
  );
  return before ? [{ step: 0, loss: before.score.loss }, ...points] : points;
}

/** Trains a model that is compiled. */
async function fit(lm: CausalLM, course: Course): Promise<Pick<TrainedJob, "facts" | "known">> {
  const { prepared: { config, plan, train, heldOut }, console, checkpoint, resumedAfter, signal } = course;
  const begin = resumedAfter.at(-1) ?? 0;
  const first = begin + 1;
  const bar = console.progress("Training", plan.steps, "steps", begin);
  const start = performance.now();
  let [tokens, seconds, secondsToFirstStep, smoothed] = [0, 0, 0, 0];
  if (begin > 0) bar.update(begin);
  let history: TrainingHistory;
  try {
    history = await lm.fit(train.dataset, {
      epochs: Math.ceil(plan.steps / plan.stepsPerEpoch),
      maxSteps: plan.steps,
      seed: config.training.seed,
      signal,
      ...(heldOut === null ? {} : { validation: heldOut.dataset }),
      ...(checkpoint === null ? {} : { checkpoint }),
      onStep: ({ step, loss, tokens: read, tokensPerSecond }) => {
        if (step === first) secondsToFirstStep = (performance.now() - start) / 1000;
        tokens += read;
        seconds += read / tokensPerSecond;
        // The loss of one batch jumps about, so the bar shows a mean over about twenty.
        smoothed = step === first ? loss : 0.9 * smoothed + 0.1 * loss;
        bar.update(step, { loss: smoothed, "tokens/s": formatCount(tokens / seconds) });
      },
    });
  } finally {
    bar.done();
  }
  return { facts: factsOf(history, secondsToFirstStep, course), known: knownAtEnd(history, course) };
}

function factsOf(
  history: TrainingHistory,
  secondsToFirstStep: number,
  { prepared: { plan }, before, resumedAfter, signal }: Course,
): TrainingFacts {
  const { steps } = history;
  const tokens = steps.reduce((sum, step) => sum + step.tokens, 0);
  const seconds = steps.reduce((sum, step) => sum + step.tokens / step.tokensPerSecond, 0);
  return {
    steps: steps.map(({ step, loss, learningRate, gradientNorm, tokensPerSecond }) => ({
      step,
      loss,
      learningRate,
      gradientNorm,
      tokensPerSecond,
    })),
    heldOut: heldOutPoints(history, before),
    tokens,
    seconds,
    tokensPerSecond: seconds > 0 ? tokens / seconds : 0,
    secondsToFirstStep,
    interrupted: signal.aborted && steps.length < plan.steps,
    resumedAfter,
  };
}

function knownAtEnd({ epochs }: TrainingHistory, { signal }: Course): Evaluation | undefined {
  return signal.aborted ? undefined : epochs.at(-1)?.validation;
}
