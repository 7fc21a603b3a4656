/** One model in the hands of one user: outlined, planned, loaded, asked, fine-tuned and saved. Knows nothing of pages. */
import { bytesPerElement } from "@tessera/core";
import { buildModel, type BuiltModel, readHfConfig, torchDtypeOf } from "@tessera/models";
import { countParameters, type DTypePolicy } from "@tessera/nn";
import { finetuning } from "@tessera/tiny";
import { encodeExamples, type Example } from "@tessera/train";
import {
  adamW,
  type Backend,
  blobFolder,
  CausalLM,
  type ChatMessage,
  createDataset,
  enableLora,
  type Folder,
  hardware,
  loadTokenizer,
  type Optimizer,
  planTraining,
  type Tokenizer,
} from "tessera";
import type { ModelFacts, Plan, Settings, StepFacts } from "./facts.ts";

/** A model that is known but not loaded. */
interface Outline {
  readonly folder: Folder;
  readonly name: string;
  readonly dtype: DTypePolicy;
  readonly tokenizer: Tokenizer;
  build(): BuiltModel;
}

/** How weights are loaded. */
export interface LoadOptions {
  /** Ends the work. */
  readonly signal?: AbortSignal;
  /** Called with the number of tensors loaded and of those to load. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** How a question is answered. */
export interface AskOptions {
  /** Whether messages go into the model's chat template. */
  readonly chat: boolean;
  /** The most tokens of the answer. */
  readonly maxNewTokens: number;
  /** Ends the answer. */
  readonly signal?: AbortSignal;
}

const missing: Readonly<Record<string, string>> = {
  "config.json": "it says what the model is",
  "tokenizer.json": "it says how text becomes tokens",
};

/** The weights as they are in the files, and activations in float32, which every GPU computes in. */
function policyOf(raw: Readonly<Record<string, unknown>>): DTypePolicy {
  return { variable: torchDtypeOf(raw) ?? "float32", compute: "float32" };
}

/**
 * Checks that a folder looks like a checkpoint.
 *
 * @throws {Error} when a file is missing that every model needs.
 */
async function checkFolder(folder: Folder): Promise<void> {
  const names = await folder.list() ?? [];
  const lacking = Object.keys(missing).filter((name) => !names.includes(name));
  if (!names.some((name) => name.endsWith(".safetensors"))) lacking.push("*.safetensors");
  if (lacking.length === 0) return;
  const why = lacking.map((name) => missing[name] === undefined ? name : `${name} (${missing[name]})`).join(", ");
  throw new Error(
    `Cannot use "${folder.path}": it lacks ${why}; choose the folder of a model as Hugging Face stores it, ` +
      `with config.json, tokenizer.json and *.safetensors; found ${names.slice(0, 6).join(", ") || "no files"}`,
  );
}

/** A session on one backend. */
export class Session {
  readonly #backend: Backend;
  #outline: Outline | null = null;
  #lm: CausalLM | null = null;

  /** Begins without a model. */
  constructor(backend: Backend) {
    this.#backend = backend;
  }

  /**
   * Reads what a folder says about its model, without its weights; the model before is given up.
   *
   * @throws {Error} when files are missing or malformed, or the architecture is unknown; the model before stays.
   */
  async outline(folder: Folder): Promise<ModelFacts> {
    await checkFolder(folder);
    const config = await readHfConfig(folder);
    const dtype = policyOf(config.raw);
    const build = () => buildModel(config, { dtype });
    const { backbone, text } = build();
    const tokenizer = await loadTokenizer(folder);
    const name = folder.path.replace(/\/+$/, "").replace(/^.*\//, "");
    this.dispose();
    this.#outline = { folder, name, dtype, tokenizer, build };
    const { total, bytes } = countParameters(backbone.variables);
    return {
      name,
      architecture: config.modelType,
      parameters: total,
      layers: backbone.numLayers,
      contextLength: text.contextLength,
      weightBytes: bytes,
      hasChatTemplate: tokenizer.hasChatTemplate,
    };
  }

  /**
   * Works out what fine-tuning will do, without weights.
   *
   * @throws {RangeError} when a setting is out of range or nothing of the examples is left.
   */
  async plan(examples: readonly Example[], settings: Settings): Promise<Plan> {
    const { build } = this.#known();
    const { backbone } = build();
    const weights = countParameters(backbone.variables);
    enableLora(backbone, loraOptions(settings));
    const trained = backbone.variables.filter(({ trainable }) => trainable);
    const trainable = countParameters(trained).total;
    const { dataset, truncated } = await this.#dataset(examples, settings);
    const { batches, tokens, shapes } = dataset.statistics;
    const { memory } = planTraining({
      backbone,
      optimizer: optimizerOf(settings),
      batchSize: settings.batchSize,
      length: Math.max(...shapes.map(({ time }) => time)),
    }, { distribution: null, hardware: hardware.laptop });
    const fileBytes = trained.reduce((sum, { size }) => sum + size * bytesPerElement("float32"), 0);
    return {
      trainable,
      weightBytes: weights.bytes,
      adapterBytes: fileBytes + memory.optimizer,
      activationBytes: memory.activations,
      fileBytes,
      examples: dataset.statistics.examples,
      tokens,
      epochs: settings.steps / batches,
      steps: settings.steps,
      truncated,
    };
  }

  /**
   * Loads the weights, unless they are loaded.
   *
   * @throws {Error} when they do not fit the config or the memory; nothing stays loaded.
   */
  async load({ signal, onProgress }: LoadOptions = {}): Promise<void> {
    if (this.#lm !== null) return;
    const { folder, dtype } = this.#known();
    this.#lm = await CausalLM.fromPreset(folder, {
      backend: this.#backend,
      dtype,
      ...(signal === undefined ? {} : { signal }),
      onProgress: ({ done, total }) => onProgress?.(done, total),
    });
  }

  /**
   * The model's answer to the last of some messages, streamed; the likeliest token each time, so that answers
   * can be compared. Without chat, the model sees nothing but that last message.
   *
   * @throws {RangeError} when the messages leave no room for an answer.
   */
  async *ask(
    messages: readonly ChatMessage[],
    { chat, maxNewTokens, signal }: AskOptions,
  ): AsyncGenerator<string, void> {
    const lm = this.#loaded();
    const options = { maxNewTokens, sampler: "greedy", ...(signal === undefined ? {} : { signal }) } as const;
    if (chat) yield* lm.streamChat(messages, options);
    else yield* lm.stream(messages.at(-1)!.content, options);
  }

  /** Takes off the adapters of an earlier training. */
  reset(): void {
    if (this.#lm?.denses.some(({ adapter }) => adapter !== null)) this.#lm.unloadLora();
  }

  /**
   * Fine-tunes new adapters; ends after the step under way when it is ended.
   *
   * @throws {Error} when the loss stops being a number, or the device fails.
   */
  async train(
    examples: readonly Example[],
    settings: Settings,
    { signal, onStep }: { readonly signal?: AbortSignal; readonly onStep?: (facts: StepFacts) => void } = {},
  ): Promise<void> {
    const lm = this.#loaded();
    this.reset();
    lm.enableLora({ ...loraOptions(settings), seed: settings.seed });
    const { steps, seed } = settings;
    lm.compile({ optimizer: optimizerOf(settings) });
    const { dataset } = await this.#dataset(examples, settings);
    await lm.fit(dataset, {
      epochs: Math.ceil(steps / dataset.statistics.batches),
      maxSteps: steps,
      seed,
      ...(signal === undefined ? {} : { signal }),
      onStep: ({ step, steps, loss, tokens }) => onStep?.({ step, steps, loss, tokens }),
    });
  }

  /** Saves the adapters as the files of a PEFT adapter folder. */
  async save(): Promise<ReadonlyMap<string, Blob>> {
    const folder = blobFolder([], "the adapter");
    await this.#loaded().saveAdapter(folder);
    return folder.files;
  }

  /** Frees the model. */
  dispose(): void {
    this.#lm?.dispose();
    this.#lm = null;
    this.#outline = null;
  }

  #known(): Outline {
    if (this.#outline === null) throw new Error("Cannot continue without a model: choose one first");
    return this.#outline;
  }

  #loaded(): CausalLM {
    if (this.#lm === null) throw new Error("Cannot continue without weights: load the model first");
    return this.#lm;
  }

  async #dataset(examples: readonly Example[], { batchSize, maxLength, chat }: Settings) {
    const { tokenizer, build } = this.#known();
    const limit = Math.min(maxLength, build().text.contextLength);
    const { examples: encoded, truncated } = await encodeExamples(examples, tokenizer, {
      maxLength: limit,
      overflow: "truncate",
      chat,
    });
    return { dataset: createDataset(encoded, { batchSize, padId: tokenizer.padId ?? 0, maxLength: limit }), truncated };
  }
}

/** AdamW as the tiny model's recipe has it, with a shorter warm-up for fewer steps. */
function optimizerOf({ steps, learningRate: peak }: Settings): Optimizer {
  const warmupSteps = Math.min(finetuning.warmupSteps, Math.floor(steps / 5));
  return adamW({
    learningRate: { type: finetuning.schedule, peak, warmupSteps, totalSteps: steps },
    beta1: finetuning.beta1,
    beta2: finetuning.beta2,
    weightDecay: finetuning.weightDecay,
    globalClipNorm: finetuning.clipNorm,
  });
}

function loraOptions({ rank, alpha, targets }: Settings) {
  return { rank, alpha, targets, layout: "peft" } as const;
}
