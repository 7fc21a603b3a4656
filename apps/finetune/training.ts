/** Training with a progress bar, and what it measured. */
import { type CausalLM, type Evaluation, formatCount } from "tessera";
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
  /** Ends training after the step under way. */
  readonly signal: AbortSignal;
}

/**
 * Trains a model that is compiled.
 *
 * @returns what training did, and the loss on the held-out examples at its end where that was measured.
 * @throws {Error} when the loss stops being a number.
 */
export async function trainModel(
  lm: CausalLM,
  { config, plan, train, heldOut, before, console, signal }: TrainingOptions,
): Promise<{ readonly facts: TrainingFacts; readonly known: Evaluation | undefined }> {
  const bar = console.progress("Training", plan.steps, "steps");
  const start = performance.now();
  const steps: TrainingFacts["steps"][number][] = [];
  const points: HeldOutPoint[] = before ? [{ step: 0, loss: before.score.loss }] : [];
  let [tokens, seconds, secondsToFirstStep, smoothed] = [0, 0, 0, 0];
  let known: Evaluation | undefined;
  try {
    await lm.fit(train.dataset, {
      epochs: Math.ceil(plan.steps / plan.stepsPerEpoch),
      maxSteps: plan.steps,
      seed: config.training.seed,
      signal,
      ...(heldOut === null ? {} : { validation: heldOut.dataset }),
      onStep: ({ step, loss, tokens: read, tokensPerSecond, learningRate, gradientNorm }) => {
        if (step === 1) secondsToFirstStep = (performance.now() - start) / 1000;
        tokens += read;
        seconds += read / tokensPerSecond;
        // The loss of one batch jumps about, so the bar shows a mean over about twenty.
        smoothed = step === 1 ? loss : 0.9 * smoothed + 0.1 * loss;
        steps.push({ step, loss, learningRate, gradientNorm, tokensPerSecond });
        bar.update(step, { loss: smoothed, "tokens/s": formatCount(tokens / seconds) });
      },
      onEpoch: ({ validation }) => {
        known = validation;
        if (validation) points.push({ step: steps.length, loss: validation.loss });
      },
    });
  } finally {
    bar.done();
  }
  return {
    facts: {
      steps,
      heldOut: points,
      tokens,
      seconds,
      tokensPerSecond: seconds > 0 ? tokens / seconds : 0,
      secondsToFirstStep,
      interrupted: signal.aborted && steps.length < plan.steps,
    },
    known: signal.aborted ? undefined : known,
  };
}
