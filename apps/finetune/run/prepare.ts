/** Everything about a job that can be known or can be wrong before weights are loaded. */
import { chooseBackend } from "@tessera/backends";
import { devicesOf, type HubOptions } from "@tessera/models";
import {
  adamW,
  type BackendName,
  type Distribution,
  distributionFor,
  loadTokenizer,
  type LoraOptions,
  type OpenedPreset,
  openPreset,
  type Optimizer,
  virtualDevices,
} from "tessera";
import type { Config } from "../job/config.ts";
import { type Prepared, prepareExamples, type Question, readExamplesOf } from "../score/data.ts";
import { chooseQuestions } from "../score/evaluation.ts";
import { makePlan, optimizerOptions, stepsOf } from "./plan.ts";
import type { Plan } from "./record.ts";

/** A job whose data and model are known to fit together. */
export interface PreparedJob {
  /** The job. */
  readonly config: Config;
  /** What will be done. */
  readonly plan: Plan;
  /** The model with its adapters, without values. */
  readonly opened: OpenedPreset;
  /** The backend, and why it is that one where the job leaves it open. */
  readonly backend: { readonly name: BackendName; readonly reason: string | null };
  /** Where the model lies; null for one device. */
  readonly distribution: Distribution | null;
  /** The optimizer. */
  readonly optimizer: Optimizer;
  /** The training examples. */
  readonly train: Prepared;
  /** The held-out examples; null without. */
  readonly heldOut: Prepared | null;
  /** The held-out prompts to answer. */
  readonly questions: readonly Question[];
}

/** The kind of the devices of each backend, by which meshes name them. */
const deviceKinds: Readonly<Record<BackendName, string>> = {
  cpu: "cpu",
  "onnx-cuda": "cuda",
  webgpu: "webgpu",
  "tfjs-cpu": "tfjs-cpu",
};

/** The adapters of a job; null for full fine-tuning. */
function loraOptions({ lora }: Config): LoraOptions | null {
  if (lora === null) return null;
  const { rank, targets, layout, alpha } = lora;
  return { rank, targets, layout, alpha: alpha ?? rank };
}

/** Opens the model of a job and gives it its adapters. */
async function openModel(config: Config, hub: HubOptions): Promise<OpenedPreset> {
  const { preset, dtype, quantize } = config;
  if (quantize !== null && config.lora === null) {
    throw new RangeError(
      `Cannot train every weight of "${preset}" with "quantize": "${quantize}": such weights are frozen; give "lora", or leave ` +
        `"quantize" out`,
    );
  }
  const opened = await openPreset(preset, { ...hub, dtype, ...(quantize === null ? {} : { quantize }) });
  const lora = loraOptions(config);
  if (lora !== null) opened.enableLora(lora);
  return opened;
}

/** Where a model lies on the mesh of a job; null for one device. */
function distribute({ mesh, layout }: Config, { backbone }: OpenedPreset, kind: string): Distribution | null {
  return mesh === null ? null : distributionFor(backbone, mesh, layout, virtualDevices(devicesOf(mesh), kind));
}

/**
 * Reads and encodes the data of a job, opens its model and works out its plan.
 *
 * @throws {Error} when a file is missing or malformed, or the job does not fit the model.
 */
export async function prepareJob(config: Config, hub: HubOptions = {}): Promise<PreparedJob> {
  const backend = config.backend === "auto" ? await chooseBackend() : { name: config.backend, reason: null };
  const examples = await readExamplesOf(config);
  const opened = await openModel(config, hub);
  const { backbone, text: { contextLength } } = opened;
  const distribution = distribute(config, opened, deviceKinds[backend.name]);
  // Without one the folder is asked, for its error that names what is missing.
  const tokenizer = opened.tokenizer ?? await loadTokenizer(opened.folder!);
  const prepare = (part: typeof examples.train) =>
    prepareExamples(part, tokenizer, config, { contextLength, images: backbone.images });
  const train = await prepare(examples.train);
  const heldOut = examples.heldOut && await prepare(examples.heldOut);
  const questions = heldOut ? chooseQuestions(heldOut, config) : [];
  const optimizer = adamW(optimizerOptions(config, stepsOf(config, train).steps));
  const plan = makePlan({ opened, distribution, optimizer }, config, { train, heldOut, questions });
  return { config, plan, opened, backend, distribution, optimizer, train, heldOut, questions };
}
