/** What a job will do, known before any of it is done. */
import { countParameters, layoutOf, type Variable } from "@tessera/nn";
import { describeMesh } from "@tessera/report";
import { formatBytes, formatCount } from "@tessera/text";
import { checkSchedule } from "@tessera/train";
import {
  type AdamWOptions,
  type Backbone,
  type Distribution,
  hardware,
  type OpenedPreset,
  type Optimizer,
  planTraining,
  type Schedule,
} from "tessera";
import { basename, resolve } from "node:path";
import type { Config } from "../job/config.ts";
import type { Prepared, Question } from "../score/data.ts";
import type { DataFacts, MeshFacts, Plan } from "./record.ts";

/** What a plan is computed from. */
export interface Planned {
  /** The model with its adapters, without values. */
  readonly opened: OpenedPreset;
  /** Where it lies; null for one device. */
  readonly distribution: Distribution | null;
  /** The optimizer. */
  readonly optimizer: Optimizer;
}

/** The examples of a job. */
export interface PlannedData {
  /** The training examples. */
  readonly train: Prepared;
  /** The held-out examples; null without. */
  readonly heldOut: Prepared | null;
  /** The held-out prompts to answer. */
  readonly questions: readonly Question[];
}

/** The steps of a job, and of one epoch of it. */
export function stepsOf({ training }: Config, { dataset }: Prepared): Pick<Plan, "steps" | "stepsPerEpoch"> {
  const stepsPerEpoch = Math.ceil(dataset.statistics.batches / training.gradientAccumulationSteps);
  return { steps: training.steps ?? stepsPerEpoch * training.epochs, stepsPerEpoch };
}

/** Works out what a job will do. */
export function makePlan(
  { opened: { backbone, text: { contextLength } }, distribution, optimizer }: Planned,
  config: Config,
  { train, heldOut, questions }: PlannedData,
): Plan {
  const { training: { gradientAccumulationSteps }, lora } = config;
  const all = countParameters(backbone.variables);
  const { trainable } = countParameters(backbone.variables.filter((variable) => variable.trainable));
  const shapes = train.facts.shapes.map(({ shape }) => shape);
  const [batchSize, length] = shapes.reduce((most, shape) => shape[0] * shape[1] > most[0] * most[1] ? shape : most);
  // The profile of a laptop computes as the CPU backend does; only memory is read off this plan.
  const { memory } = planTraining({ backbone, optimizer, batchSize, length, gradientAccumulationSteps }, {
    distribution,
    hardware: hardware.laptop,
  });
  const { available: _, cache: __, ...device } = memory;
  return {
    model: {
      name: basename(resolve(config.preset)),
      parameters: all.total - (lora === null ? 0 : trainable),
      trainable,
      weightBytes: all.bytes,
      optimizerBytes: optimizer.variables.reduce((sum, { bytes }) => sum + bytes, 0),
      contextLength,
      seesImages: backbone.images !== undefined,
    },
    mesh: distribution === null ? null : meshFacts(backbone, distribution),
    device,
    train: train.facts,
    heldOut: heldOut?.facts ?? null,
    ...stepsOf(config, train),
    questions: questions.length,
  };
}

/** The mesh, and where the weights of one decoder block lie on it. */
function meshFacts(backbone: Backbone, distribution: Distribution): MeshFacts {
  const { axes, devices } = distribution.mesh;
  const [first] = backbone.blockPaths;
  const isInBlock = ({ path, shape }: Variable) => path.startsWith(`${first}/`) && shape.length > 1;
  const block = backbone.variables.filter(isInBlock).map((variable) => {
    const { dims } = layoutOf(variable, distribution);
    return { path: variable.path, shape: variable.shape, dims: variable.shape.map((_, axis) => dims[axis] ?? []) };
  });
  return { axes: axes.map(({ name, size }) => ({ name, size })), devices: [...devices], block };
}

/**
 * Makes the learning rate over the steps of a plan.
 *
 * @throws {RangeError} when the warm-up is longer than the training.
 */
export function scheduleOf({ training }: Config, steps: number): Schedule {
  const { learningRate: peak, schedule: type, warmupSteps } = training;
  const schedule: Schedule = type === "constant"
    ? { type, peak, warmupSteps }
    : { type, peak, warmupSteps, totalSteps: steps };
  checkSchedule(schedule);
  return schedule;
}

/** Makes the options of the optimizer. */
export function optimizerOptions(config: Config, steps: number): AdamWOptions {
  const { beta1, beta2, weightDecay, globalClipNorm } = config.training;
  return { learningRate: scheduleOf(config, steps), beta1, beta2, weightDecay, globalClipNorm };
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

/** What the devices of a mesh share where they are virtual. */
const shared: Readonly<Partial<Record<Config["backend"], string>>> = {
  cpu: "the processor",
  webgpu: "one GPU",
  "tfjs-cpu": "the processor",
};

function describeLayout(layout: Config["layout"]): string {
  if (layout === "auto") return "published layouts";
  return layout === "data-parallel" ? "weights on every device" : plural(Object.keys(layout).length, "layout");
}

/** What a plan says to people, as labels and values; `output` is where the results will be. */
export function describePlan(plan: Plan, config: Config, output: string): (readonly [label: string, value: string])[] {
  const { model, mesh, device, train, heldOut, steps, stepsPerEpoch, questions } = plan;
  const { lora, training, backend, threads, layout, quantize } = config;
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
    ...(mesh === null ? [] : [["Mesh", `${describeMesh(mesh)} · ${describeLayout(layout)}`] as const]),
    [
      mesh === null ? "Memory" : "Per device",
      `weights ${formatBytes(device.weights)} (${storage}) · optimizer ${formatBytes(device.optimizer)} · ` +
      (device.accumulators === 0 ? "" : `accumulated gradients ${formatBytes(device.accumulators)} · `) +
      `activations ${formatBytes(device.activations)} at most`,
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
    [
      "Backend",
      backend + (threads === null ? "" : ` · ${plural(threads, "thread")}`) +
      (mesh === null || shared[backend] === undefined
        ? ""
        : ` · the ${mesh.devices.length} devices share ${shared[backend]}`),
    ],
    ["Results", output],
  ];
}
