/** What a job will do, known before any of it is done. */
import {
  type AdamWOptions,
  bytesPerElement,
  type CausalLM,
  checkSchedule,
  countParameters,
  formatBytes,
  formatCount,
  type Schedule,
} from "tessera";
import { basename, resolve } from "node:path";
import type { Config } from "./config.ts";
import { chooseQuestions } from "./evaluation.ts";
import type { Prepared } from "./data.ts";
import type { DataFacts, Plan } from "./record.ts";

/** The two means that AdamW keeps for each trained parameter. */
const slots = 2;

/** Works out what a job will do. */
export function makePlan(
  lm: Pick<CausalLM, "variables" | "contextLength">,
  config: Config,
  train: Prepared,
  heldOut: Prepared | null,
): Plan {
  const { training, lora } = config;
  const all = countParameters(lm.variables);
  const trained = lm.variables.filter((variable) => variable.trainable);
  const { trainable } = countParameters(trained);
  // Weights that are stored in fewer bits get a copy in float32 beside the two means.
  const copies = trained.reduce((sum, { dtype, size }) => sum + (bytesPerElement(dtype) < 4 ? size : 0), 0);
  const stepsPerEpoch = Math.ceil(train.dataset.statistics.batches / training.gradientAccumulationSteps);
  return {
    model: {
      name: basename(resolve(config.preset)),
      parameters: all.total - (lora === null ? 0 : trainable),
      trainable,
      weightBytes: all.bytes,
      optimizerBytes: (slots * trainable + copies) * 4,
      contextLength: lm.contextLength,
    },
    train: train.facts,
    heldOut: heldOut?.facts ?? null,
    steps: training.steps ?? stepsPerEpoch * training.epochs,
    stepsPerEpoch,
    questions: heldOut === null ? 0 : chooseQuestions(heldOut, config).length,
  };
}

/**
 * Makes the learning rate over the steps of a plan.
 *
 * @throws {RangeError} when the warm-up is longer than the training.
 */
export function scheduleOf({ training }: Config, { steps }: Plan): Schedule {
  const { learningRate: peak, schedule: type, warmupSteps } = training;
  const schedule: Schedule = type === "constant"
    ? { type, peak, warmupSteps }
    : { type, peak, warmupSteps, totalSteps: steps };
  checkSchedule(schedule);
  return schedule;
}

/** Makes the options of the optimizer. */
export function optimizerOptions(config: Config, plan: Plan): AdamWOptions {
  const { beta1, beta2, weightDecay, globalClipNorm } = config.training;
  return { learningRate: scheduleOf(config, plan), beta1, beta2, weightDecay, globalClipNorm };
}

function plural(count: number, one: string): string {
  return `${formatCount(count)} ${one}${count === 1 ? "" : "s"}`;
}

function dataLines(
  { source, examples, tokens, targetTokens, longest, padding, shapes, truncated, dropped }: DataFacts,
): string[] {
  const lost = [
    ...(truncated > 0 ? [`${formatCount(truncated)} cut short`] : []),
    ...(dropped > 0 ? [`${formatCount(dropped)} left out, as nothing to learn is left of them`] : []),
  ];
  return [
    `${source} · ${plural(examples, "example")}` + (lost.length > 0 ? ` · ${lost.join(", ")}` : ""),
    `${plural(tokens, "token")}, ${formatCount(targetTokens)} to learn · longest ${formatCount(longest)} · ` +
    `${(padding * 100).toFixed(0)} % padding in batches of ${shapes.map(({ shape }) => shape.join("×")).join(", ")}`,
  ];
}

/** What a plan says to people, as labels and values; `output` is where the results will be. */
export function describePlan(plan: Plan, config: Config, output: string): (readonly [label: string, value: string])[] {
  const { model, train, heldOut, steps, stepsPerEpoch, questions } = plan;
  const { lora, training, backend, threads, quantize } = config;
  const storage = quantize ?? config.dtype;
  const share = (100 * model.trainable / model.parameters).toPrecision(2);
  const trainable = `${formatCount(model.trainable)} trainable parameters (${share} %)`;
  const batch = training.batchSize * training.gradientAccumulationSteps;
  const [trainFile, trainTokens] = dataLines(train) as [string, string];
  return [
    [
      "Model",
      `${model.name} · ${formatCount(model.parameters)} parameters · context ${formatCount(model.contextLength)}`,
    ],
    ...(lora === null ? [["Method", `all weights · ${trainable}`] as const] : [
      ["Method", `LoRA · rank ${lora.rank}, alpha ${lora.alpha ?? lora.rank} · ${trainable}`] as const,
      ["", `on ${lora.targets.join(", ")}`] as const,
    ]),
    [
      "Memory",
      `weights ${formatBytes(model.weightBytes)} (${storage}) · optimizer ${formatBytes(model.optimizerBytes)}`,
    ],
    ["Training", trainFile],
    ["", trainTokens],
    ...(heldOut === null ? [["Held out", "none"] as const] : [
      [
        "Held out",
        dataLines(heldOut)[0]! + (questions > 0 ? ` · ${plural(questions, "prompt")} to answer` : ""),
      ] as const,
    ]),
    [
      "Steps",
      `${formatCount(steps)} of ${plural(batch, "example")} · ${
        Number((steps / stepsPerEpoch).toPrecision(2))
      } epochs · ` +
      `AdamW, learning rate ${training.learningRate}, ${training.schedule}` +
      (training.warmupSteps > 0 ? ` after ${plural(training.warmupSteps, "step")} of warm-up` : ""),
    ],
    ["Backend", threads === null ? backend : `${backend} · ${plural(threads, "thread")}`],
    ["Results", output],
  ];
}
