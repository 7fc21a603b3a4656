/** Everything about a job that can be known, and can be wrong, before weights are loaded. */
import {
  type Backbone,
  buildModel,
  type BuiltModel,
  devicesOf,
  type Distribution,
  distributionFor,
  enableLora,
  folderOfPreset,
  type HubOptions,
  loadTokenizer,
  type LoraOptions,
  readHfConfig,
  virtualDevices,
} from "tessera";
import type { Config } from "./config.ts";
import { type Prepared, prepareExamples, type Question, readExamplesOf } from "./data.ts";
import { chooseQuestions } from "./evaluation.ts";
import { makePlan } from "./plan.ts";
import type { Plan } from "./record.ts";

/** A job whose data and model are known to fit together. */
export interface PreparedJob {
  /** What will be done. */
  readonly plan: Plan;
  /** The architecture with its adapters, without values. */
  readonly backbone: Backbone;
  /** Where the model lies; null for one device. */
  readonly distribution: Distribution | null;
  /** The training examples. */
  readonly train: Prepared;
  /** The held-out examples; null without. */
  readonly heldOut: Prepared | null;
  /** The held-out prompts to answer. */
  readonly questions: readonly Question[];
}

/** The adapters of a job; null for full fine-tuning. */
export function loraOptions({ lora, training }: Config): LoraOptions & { readonly seed: number } | null {
  if (lora === null) return null;
  const { rank, targets, layout, alpha } = lora;
  return { rank, targets, layout, alpha: alpha ?? rank, seed: training.seed };
}

/** Builds the model that a checkpoint describes, with its adapters and without values. */
async function outlineModel(config: Config, folder: string): Promise<BuiltModel> {
  const { preset, dtype, quantize } = config;
  if (quantize !== null && config.lora === null) {
    throw new RangeError(
      `Cannot train every weight of "${preset}" with "quantize": "${quantize}": such weights are frozen; give "lora", or leave ` +
        `"quantize" out`,
    );
  }
  const model = buildModel(await readHfConfig(folder), { dtype, ...(quantize === null ? {} : { quantize }) });
  const lora = loraOptions(config);
  if (lora !== null) enableLora(model.backbone, lora);
  return model;
}

/**
 * The folder that a preset's name, a handle or a path stands for; what it lacks is downloaded, but for the weights.
 *
 * @throws {Error} when there is no such folder, or what it lacks cannot be downloaded.
 */
async function locate(preset: string, hub: HubOptions): Promise<string> {
  const folder = await folderOfPreset(preset, { ...hub, part: "text" });
  try {
    if ((await Deno.stat(folder)).isDirectory) return folder;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory)) throw error;
  }
  throw new Error(
    `Cannot start from "${preset}": there is no such folder; expected the name of a preset, or a folder with ` +
      "config.json, tokenizer.json and safetensors files",
  );
}

/** Where a model lies on the mesh of a job; null for one device. */
function distribute({ mesh, layout }: Config, backbone: Backbone, deviceKind: string): Distribution | null {
  return mesh === null ? null : distributionFor(backbone, mesh, layout, virtualDevices(devicesOf(mesh), deviceKind));
}

/**
 * Reads and encodes the data of a job and works out its plan; a mesh is one of devices of a kind.
 *
 * @throws {Error} when a file is missing or malformed, or the job does not fit the model.
 */
export async function prepareJob(config: Config, deviceKind = "cpu", hub: HubOptions = {}): Promise<PreparedJob> {
  const examples = await readExamplesOf(config);
  const folder = await locate(config.preset, hub);
  const { backbone, text: { contextLength } } = await outlineModel(config, folder);
  const distribution = distribute(config, backbone, deviceKind);
  const tokenizer = await loadTokenizer(folder);
  const { images } = backbone;
  const prepare = (part: typeof examples.train) => prepareExamples(part, tokenizer, config, { contextLength, images });
  const train = await prepare(examples.train);
  const heldOut = examples.heldOut && await prepare(examples.heldOut);
  const questions = heldOut ? chooseQuestions(heldOut, config) : [];
  const plan = makePlan({ backbone, contextLength, distribution }, config, train, heldOut);
  return { plan, backbone, distribution, train, heldOut, questions };
}
