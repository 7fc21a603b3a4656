/**
 * The task that people use: a backbone, its tokenizer, and what can be done with them.
 *
 * A task exists without values, so `summary()` needs no weights; `fromPreset` gives it those of a checkpoint.
 */
import type { HostTensor, Tensor } from "@tessera/core";
import type { SaveOptions } from "@tessera/convert";
import { type Folder, folderOf } from "@tessera/files";
import { parseHandle } from "@tessera/hub";
import {
  loadAdapter,
  type LoadAdapterOptions,
  type LoraOptions,
  mergeLora,
  saveAdapter,
  unloadLora,
} from "@tessera/lora";
import { disposeValues, type EinsumDense, formatSummary, type Variable } from "@tessera/nn";
import type { Backend } from "@tessera/runtime";
import { checkOptions } from "@tessera/text";
import type { ChatMessage, Tokenizer } from "@tessera/tokenizer";
import {
  adamW,
  type CompileSettings,
  type Dataset,
  type Evaluation,
  Evaluator,
  type FitOptions,
  type ForwardBatch,
  type TrainableModel,
  Trainer,
  type TrainingHistory,
} from "@tessera/train";
import type { Backbone, ImageInputs } from "../architecture/backbone.ts";
import type { TextConfig } from "../architecture/text_config.ts";
import { generationDefaults } from "../generation/generation_defaults.ts";
import { TextGenerator } from "../generation/text_generation.ts";
import { folderOfRepository } from "../presets/repository_folder.ts";
import { addAdapters, describeAdapters, moduleNames } from "./adapters.ts";
import type {
  CausalLMParts,
  ChatGenerateOptions,
  DataOptions,
  FromPresetOptions,
  GenerateOptions,
  HubOptions,
} from "./causal_lm_options.ts";
import { type DataSource, encodeDataset } from "./encode_dataset.ts";
import { hiddenStates, trainingStates } from "./forward.ts";
import { generateOptionNames, loadAdapterOptionNames } from "./option_names.ts";
import type { PresetSource } from "./open_preset.ts";
import { Placement } from "./placement.ts";
import { type EncodedPrompts, encodePrompts, type Prompt } from "./prompts.ts";
import { savePreset } from "./save_preset.ts";
import { checkedTexts, type ScoreInputs, type ScoreMode, Scorer } from "./scoring.ts";

/** A causal language model: generates, scores, and is fine-tuned. */
export class CausalLM<B extends Backbone = Backbone> implements TrainableModel {
  /** The name that messages and tables use. */
  readonly name: string;
  /** The architecture, without the head that predicts tokens. */
  readonly backbone: B;
  /** What the model runs on. */
  readonly backend: Backend;
  /** What the checkpoint's config says of texts. */
  readonly text: TextConfig;
  readonly #parts: CausalLMParts;
  readonly #generator: TextGenerator;
  readonly #scorer: Scorer;
  readonly #placement: Placement;
  #trainer: Trainer | null = null;
  #evaluator: Evaluator | null = null;

  /** Makes a task from its parts; variables may still be without values. */
  constructor(parts: CausalLMParts & { readonly model: { readonly backbone: B } }) {
    this.backbone = parts.model.backbone;
    this.name = this.backbone.name.replace(/_backbone$/, "_causal_lm");
    this.backend = parts.backend;
    this.text = parts.model.text;
    this.#parts = parts;
    const { backbone, backend, name, text } = this;
    const defaults = parts.generation ?? generationDefaults(null);
    const { tokenizer, model: { endOfTurn } } = parts;
    this.#generator = new TextGenerator({ name, backbone, backend, text, tokenizer, defaults, endOfTurn });
    const logits = (hidden: Tensor) => backbone.logits(hidden);
    this.#placement = new Placement(this, backend, parts.distribution);
    this.#scorer = new Scorer({ hidden: (inputs) => hiddenStates(this.backbone, inputs), logits }, backend);
  }

  /**
   * Opens and loads a preset of that name, a handle such as `hf://google/gemma-2-9b`, which is downloaded where it is not on this
   * machine, or a checkpoint folder in Hugging Face's format, whatever its architecture: `openPreset` and its `load` in one.
   *
   * With `loadWeights: false` no weights are downloaded, and nothing at all of a preset, which then has no tokenizer.
   *
   * @throws what `openPreset` and `OpenedPreset.load` throw. Nothing stays loaded.
   */
  static async fromPreset(preset: PresetSource, options: FromPresetOptions = {}): Promise<CausalLM> {
    // Loaded when it is asked for: presets know their architectures, and these know their tasks.
    const { fromPreset } = await import("./open_preset.ts");
    return await fromPreset(preset, options);
  }

  /** All variables, those of adapters included. */
  get variables(): readonly Variable[] {
    return this.backbone.variables;
  }

  /** The layers that an adapter can be attached to. */
  get denses(): readonly EinsumDense[] {
    return this.backbone.denses;
  }

  /** The number of tokens in the vocabulary. */
  get vocabularySize(): number {
    return this.backbone.vocabularySize;
  }

  /** The images that the model takes with each prompt; `undefined` when it takes none. */
  get images(): ImageInputs | undefined {
    return this.backbone.images;
  }

  /** What tells checkpoints of its training apart, beside its variables: what it computes in, and its adapters. */
  get identity(): Readonly<Record<string, unknown>> {
    return { compute: this.backbone.compute, adapters: describeAdapters(this) };
  }

  /** The longest text, in tokens. */
  get contextLength(): number {
    return this.text.contextLength;
  }

  /**
   * Turns text into tokens.
   *
   * @throws {Error} when the checkpoint has no tokenizer.
   */
  get tokenizer(): Tokenizer {
    return this.#generator.tokenizer;
  }

  /** The trainer that `compile` made; `null` before. */
  get trainer(): Trainer | null {
    return this.#trainer;
  }

  /**
   * The final hidden states [batch, time, hidden] of tokens [batch, time], within a program that is being traced. A model that
   * takes images reads what stands before the first token that counts as a prefix.
   */
  hidden(batch: ForwardBatch): Tensor {
    return trainingStates(this.backbone, batch);
  }

  /** The logits [batch, time, vocabulary] of hidden states, within a program that is being traced. */
  logits(hidden: Tensor): Tensor {
    return this.backbone.logits(hidden);
  }

  /** The table of variables and parameter counts. */
  summary(options: { readonly width?: number } = {}): string {
    checkOptions(`summarize "${this.name}"`, options, { width: true });
    return formatSummary(this.name, this.variables, options);
  }

  /**
   * Where the variables lie, a line each: those of the model, or of one layer, and, once it is compiled, those of the optimizer.
   *
   * @throws {Error} when no distribution is set.
   */
  printSharding(options: { readonly layer?: string } = {}): string {
    checkOptions(`print how "${this.name}" is sharded`, options, { layer: true });
    return this.#placement.print(options.layer ?? null, this.#trainer?.settings.optimizer ?? null);
  }

  /**
   * Freezes the model and attaches a trainable low-rank adapter to each targeted layer.
   *
   * @throws {TypeError} when an option has an unknown name.
   * @throws {RangeError} when the rank or alpha is out of range.
   * @throws {Error} when the targets match no layer, or when there are adapters already.
   */
  enableLora(options: LoraOptions & { readonly seed?: number }): void {
    addAdapters(this, this.backend, options, moduleNames(this.#parts.model));
    this.#dropPrograms();
  }

  /** Folds the adapters into the weights. Throws when there are none. */
  async mergeLora(): Promise<void> {
    await this.#distribute();
    await mergeLora(this, this.backend);
    this.#dropPrograms();
  }

  /** Takes the adapters off; the model is as it was before `enableLora`. */
  unloadLora(): void {
    unloadLora(this);
    this.#dropPrograms();
  }

  /** Saves the adapters as a PEFT adapter folder. Throws when there are none, or when their layout is Keras's. */
  async saveAdapter(folder: string | Folder): Promise<void> {
    const { preset, baseModel = preset?.path } = this.#parts;
    await saveAdapter(folder, this, moduleNames(this.#parts.model), baseModel === undefined ? {} : { baseModel });
  }

  /**
   * Loads a PEFT adapter folder in place of the adapters that there are, or an adapter of the Hub, such as `hf://owner/adapter`,
   * which is downloaded where it is not on this machine. Throws when it does not fit the model.
   */
  async loadAdapter(from: string | Folder, options: HubOptions & LoadAdapterOptions = {}): Promise<void> {
    checkOptions("load an adapter", options, loadAdapterOptionNames);
    const { onWarning, ...hub } = options;
    const handle = typeof from === "string" ? parseHandle(from) : null;
    const folder = handle === null ? from : await folderOfRepository(handle, [], { ...hub, part: "adapter" });
    await this.#distribute();
    await loadAdapter(
      folder,
      this,
      moduleNames(this.#parts.model),
      this.backend,
      onWarning === undefined ? {} : { onWarning },
    );
    this.#dropPrograms();
  }

  /**
   * Writes a checkpoint folder that Transformers loads: `config.json`, weights, and the tokenizer's files.
   *
   * @throws {Error} when there are adapters, which a checkpoint does not hold: merge them or save them as an adapter.
   */
  async saveToPreset(to: string | Folder, options: SaveOptions = {}): Promise<void> {
    await savePreset(folderOf(to), this, this.#parts, options);
  }

  /** Says how the model is to be trained, by AdamW unless given, and forgets how it was before. */
  compile(settings: Partial<CompileSettings> = {}): void {
    const trainer = new Trainer(this, this.backend, { optimizer: adamW(), ...settings });
    this.#trainer?.dispose();
    this.#trainer = trainer;
  }

  /** Reads and encodes records, or a JSONL file of them, and sorts them into batches. */
  async dataset(source: DataSource, options: DataOptions = {}): Promise<Dataset> {
    return await encodeDataset(this, source, options);
  }

  /**
   * Trains on a data set; with `checkpoint` it is saved now and then, and resumes after it was stopped.
   *
   * @throws {Error} when `compile` was not called, when nothing is trainable, when there is a checkpoint that training cannot
   * resume from, or when the loss stops being a number.
   */
  async fit(dataset: Dataset, options: FitOptions = {}): Promise<TrainingHistory> {
    const trainer = this.#compiled("fit");
    await this.#distribute();
    return await trainer.fit(dataset, options);
  }

  /** The loss and accuracy over a data set. Works before `compile`, too. */
  async evaluate(dataset: Dataset, options: Parameters<Evaluator["evaluate"]>[1] = {}): Promise<Evaluation> {
    await this.#distribute();
    this.#evaluator ??= new Evaluator(this, this.backend);
    return await this.#evaluator.evaluate(dataset, options);
  }

  /**
   * Continues prompts: one text for one prompt, a list for a list. A model that takes images takes `{ image, prompt }`.
   *
   * @throws {TypeError} when an option has an unknown name.
   * @throws {RangeError} when a prompt leaves no room in the context, or an option is out of range.
   */
  async generate(prompt: Prompt, options?: GenerateOptions): Promise<string>;
  async generate(prompts: readonly Prompt[], options?: GenerateOptions): Promise<string[]>;
  async generate(prompts: Prompt | readonly Prompt[], options: GenerateOptions = {}): Promise<string | string[]> {
    checkOptions("generate", options, generateOptionNames);
    const isList = Array.isArray(prompts);
    const encoded = await encodePrompts(isList ? prompts as readonly Prompt[] : [prompts as Prompt], this);
    await this.#distribute();
    const texts = await this.#generator.generate(encoded.prompts, { ...options, ...imagesOf(encoded) });
    return isList ? texts : texts[0]!;
  }

  /**
   * Continues prompts given as tokens; gives the new tokens only, without the one that ended them, but with those of a stop string.
   *
   * @throws {TypeError} when an option has an unknown name.
   * @throws {RangeError} when a prompt is empty or leaves no room in the context, or an option is out of range.
   */
  async generateTokens(prompts: readonly (readonly number[])[], options: GenerateOptions = {}): Promise<number[][]> {
    checkOptions("generate", options, generateOptionNames);
    await this.#distribute();
    return await this.#generator.generateTokens(prompts, options);
  }

  /**
   * Continues a prompt and gives the text as it comes, in pieces that never break a character and that together are what
   * `generate` gives. To end the loop ends generation. A search that settles its answer at the end gives it then.
   *
   * @throws what `generate` throws, when the first piece is asked for.
   */
  async *stream(prompt: Prompt, options: GenerateOptions = {}): AsyncGenerator<string, void> {
    checkOptions("generate", options, generateOptionNames);
    const encoded = await encodePrompts([prompt], this);
    await this.#distribute();
    yield* this.#generator.stream(encoded.prompts[0]!, { ...options, ...imagesOf(encoded) });
  }

  /**
   * Answers a conversation, or a text, which stands for a user's message; the checkpoint's own template makes it the prompt.
   *
   * @throws {Error} when the checkpoint has no chat template, or its template refuses the messages.
   * @throws what `generate` throws.
   */
  async chat(messages: readonly ChatMessage[] | string, options: ChatGenerateOptions = {}): Promise<string> {
    const prompt = this.#generator.encodeChat(messages, options);
    await this.#distribute();
    const [answer] = await this.#generator.generate([prompt], options);
    return answer!;
  }

  /**
   * Answers a conversation and gives the text as it comes, as `stream` does.
   *
   * @throws what `chat` throws, when the first piece is asked for.
   */
  async *streamChat(
    messages: readonly ChatMessage[] | string,
    options: ChatGenerateOptions = {},
  ): AsyncGenerator<string, void> {
    const prompt = this.#generator.encodeChat(messages, options);
    await this.#distribute();
    yield* this.#generator.stream(prompt, options);
  }

  /**
   * The logits of every token, float32 [batch, time, vocabulary], or, by `mode: "loss"`, the negative log-probability of every
   * token given those before it, float32 [batch, time]: 0 for the first token and for padding.
   *
   * @throws {RangeError} when a token is not in the vocabulary, a row is longer than the context, or a row's image tokens are not
   * those of its images, at its beginning.
   * @throws {TypeError} when there are images and the model takes none, or they are of another size.
   */
  async score(inputs: ScoreInputs & { readonly mode?: ScoreMode }): Promise<HostTensor<"float32">> {
    const { mode = "logits" } = inputs;
    const texts = checkedTexts(inputs, this);
    await this.#distribute();
    return await this.#scorer.score(texts, mode);
  }

  /** Frees weights, slots, caches and programs at the end of a block: `using lm = await CausalLM.fromPreset(…)`. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  /** The same for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    this.dispose();
    return Promise.resolve();
  }

  /** Frees weights, slots, caches and programs. */
  dispose(): void {
    this.#dropPrograms();
    this.#trainer?.dispose();
    this.#evaluator?.dispose();
    disposeValues(this.variables);
  }

  /** Puts the model where the distribution wants it, because that may have been set after the model was loaded. */
  async #distribute(): Promise<void> {
    if (await this.#placement.move()) this.#dropPrograms();
  }

  #compiled(what: string): Trainer {
    if (this.#trainer === null) {
      throw new Error(
        `Cannot ${what} "${this.name}": call compile() first`,
      );
    }
    return this.#trainer;
  }

  /** Programs were compiled for the variables of before; the next call compiles new ones. */
  #dropPrograms(): void {
    this.#generator.dispose();
    this.#scorer.dispose();
    this.#evaluator?.dispose();
    this.#evaluator = null;
    this.#trainer?.dropPrograms();
  }
}

/** The images of prompts as an option of generation. */
function imagesOf({ images }: EncodedPrompts): Pick<GenerateOptions, "images"> {
  return images === undefined ? {} : { images };
}
