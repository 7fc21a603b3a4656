/** Training with a progress bar, and what it measured. */
import { type CausalLM, type CheckpointOptions, type Evaluation, formatCount, type History } from "tessera";
import type { Config } from "./config.ts";
import type { Console } from "@tessera/cli";
import type { Prepared } from "./data.ts";
import type { Scored } from "./evaluation.ts";
import type { HeldOutPoint, Plan, TrainingFacts } from "./record.ts";

/** What is trained on, and where progress is shown. */
export interface TrainingOptions {
  /** The job. */
  readonly config: Config;
  /** What it was found to be. */
  readonly plan: Plan;
  /** The training examples. */
  readonly train: Prepared;
  /** The held-out examples; null without. */
  readonly heldOut: Prepared | null;
  /** The score before training; null without held-out examples. */
  readonly before: Scored | null;
  /** Where progress is shown. */
  readonly console: Console;
  /** Where it is saved, and whether it goes on from there; null to save nothing. */
  readonly checkpoint: CheckpointOptions | null;
  /** The steps after which it was resumed. */
  readonly resumedAfter: readonly number[];
  /** Ends training after the step under way. */
  readonly signal: AbortSignal;
}

/** What training came to. */
export interface Trained {
  /** What it did. */
  readonly facts: TrainingFacts;
  /** The loss on the held-out examples at its end, where that was measured. */
  readonly known: Evaluation | undefined;
}

/** The loss on the held-out examples before training and after each epoch, by the number of steps done. */
function heldOutPoints({ steps, epochs }: History, before: Scored | null): HeldOutPoint[] {
  const points = epochs.flatMap(({ epoch, validation }) =>
    validation ? [{ step: steps.filter((step) => step.epoch <= epoch).length, loss: validation.loss }] : []
  );
  return before ? [{ step: 0, loss: before.score.loss }, ...points] : points;
}

/**
 * Trains a model that is compiled.
 *
 * @throws {Error} when the loss stops being a number, or when there is a checkpoint that training cannot go on from.
 */
export async function trainModel(lm: CausalLM, options: TrainingOptions): Promise<Trained> {
  const { config, plan, train, heldOut, console, checkpoint, resumedAfter, signal } = options;
  const begin = resumedAfter.at(-1) ?? 0;
  const first = begin + 1;
  const bar = console.progress("Training", plan.steps, "steps", begin);
  const start = performance.now();
  let [tokens, seconds, secondsToFirstStep, smoothed] = [0, 0, 0, 0];
  if (begin > 0) bar.update(begin);
  let history: History;
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
  return { facts: factsOf(history, secondsToFirstStep, options), known: knownAtEnd(history, options) };
}

function factsOf(
  history: History,
  secondsToFirstStep: number,
  { plan, before, resumedAfter, signal }: TrainingOptions,
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

function knownAtEnd({ epochs }: History, { signal }: TrainingOptions): Evaluation | undefined {
  return signal.aborted ? undefined : epochs.at(-1)?.validation;
}
