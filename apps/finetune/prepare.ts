/** Everything about a job that can be known, and can be wrong, before weights are loaded. */
import { buildModel, type BuiltModel, enableLora, loadTokenizer, type LoraOptions, readHfConfig } from "tessera";
import type { Config } from "./config.ts";
import { type Prepared, prepareExamples, type Question, readExamplesOf } from "./data.ts";
import { chooseQuestions } from "./evaluation.ts";
import { makePlan } from "./plan.ts";
import type { Plan } from "./record.ts";

/** A job whose data and model are known to fit together. */
export interface PreparedJob {
  /** What will be done. */
  readonly plan: Plan;
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

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await Deno.stat(path)).isDirectory;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return false;
    throw error;
  }
}

/** Builds the model that a checkpoint describes, with its adapters and without values. */
async function outlineModel(config: Config): Promise<BuiltModel> {
  const { preset, dtype, quantize } = config;
  if (quantize !== null && config.lora === null) {
    throw new RangeError(
      `Cannot train every weight of "${preset}" with "quantize": "${quantize}": such weights are frozen; give "lora", or leave ` +
        `"quantize" out`,
    );
  }
  if (!(await isFolder(preset))) {
    const advice = preset.includes("://")
      ? "handles are not downloaded yet; download the model and name its folder"
      : "there is no such folder; expected one with config.json, tokenizer.json and safetensors files";
    throw new Error(`Cannot start from "${preset}": ${advice}`);
  }
  const model = buildModel(await readHfConfig(preset), { dtype, ...(quantize === null ? {} : { quantize }) });
  const lora = loraOptions(config);
  if (lora !== null) enableLora(model.backbone, lora);
  return model;
}

/**
 * Reads and encodes the data of a job and works out its plan.
 *
 * @throws {Error} when a file is missing or malformed, or the job does not fit the model.
 */
export async function prepareJob(config: Config): Promise<PreparedJob> {
  const examples = await readExamplesOf(config);
  const { backbone, text: { contextLength } } = await outlineModel(config);
  const tokenizer = await loadTokenizer(config.preset);
  const { images } = backbone;
  const prepare = (part: typeof examples.train) => prepareExamples(part, tokenizer, config, { contextLength, images });
  const train = await prepare(examples.train);
  const heldOut = examples.heldOut && await prepare(examples.heldOut);
  const questions = heldOut ? chooseQuestions(heldOut, config) : [];
  const plan = makePlan({ variables: backbone.variables, contextLength }, config, train, heldOut);
  return { plan, train, heldOut, questions };
}
