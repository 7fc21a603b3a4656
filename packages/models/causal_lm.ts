/**
 * The task that people use: a backbone, its tokenizer, and what can be done with them.
 *
 * A task exists without values, so `summary()` needs no weights; `fromPreset` gives it those of a checkpoint.
 */
import { type HostTensor, hostTensor, iota, type Tensor } from "@tessera/core";
import { layerOf, loadWeights, moduleOf, type SaveOptions, saveWeights } from "@tessera/convert";
import {
  type Folder,
  folderOf,
  openCheckpoint,
  readGenerationConfig,
  readHfConfig,
  type Tokenizer,
} from "@tessera/hub";
import {
  enableLora,
  loadAdapter,
  loraAdapters,
  type LoraOptions,
  mergeLora,
  saveAdapter,
  unloadLora,
} from "@tessera/lora";
import {
  compileProgram,
  disposeValues,
  type EinsumDense,
  formatSummary,
  initialize,
  type Program,
  traceProgram,
  type Variable,
} from "@tessera/nn";
import type { Backend } from "@tessera/runtime";
import {
  type CompileSettings,
  createDataset,
  type Dataset,
  encodeExamples,
  type Evaluation,
  Evaluator,
  type FitOptions,
  type History,
  loadExamples,
  type TrainableModel,
  Trainer,
} from "@tessera/train";
import { buildModel, type TextConfig } from "./architectures.ts";
import type { Backbone } from "./backbone.ts";
import { shownPositions } from "./cache.ts";
import type { CausalLMParts, DataOptions, FromPresetOptions, GenerateOptions } from "./causal_lm_options.ts";
import { Generator } from "./generate.ts";
import { copyTextFiles, tokenizerOf, writeConfig } from "./preset_files.ts";
import { findPreset, folderOfPreset } from "./presets/find_folder.ts";
import { buildPreset, type PresetName } from "./presets/presets.ts";
import { samplingOf } from "./sampling.ts";

/** The token that ends a turn in a chat, by the names that checkpoints give it. */
const endsOfTurn = ["<end_of_turn>", "<|eot_id|>", "<|im_end|>"];

const defaultNewTokens = 256;

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
  readonly #generator: Generator;
  readonly #scorers = new Map<string, Promise<Program>>();
  #trainer: Trainer | null = null;
  #evaluator: Evaluator | null = null;

  /** Makes a task from its parts; variables may still be without values. */
  constructor(parts: CausalLMParts & { readonly model: { readonly backbone: B } }) {
    this.backbone = parts.model.backbone;
    this.name = this.backbone.name.replace(/_backbone$/, "_causal_lm");
    this.backend = parts.backend;
    this.text = parts.model.text;
    this.#parts = parts;
    this.#generator = new Generator(this.backbone, this.backend);
  }

  /**
   * Loads a preset of that name, or a checkpoint folder in Hugging Face's format, whatever its architecture; a browser has folders
   * of picked files, `blobFolder(files)`.
   *
   * A preset whose files are not on this machine can still be made with `loadWeights: false`; it then has no tokenizer.
   *
   * @throws {RangeError} when it is neither the name of a preset nor a folder.
   * @throws {Error} when a preset's files are nowhere, saying where they were looked for; when a file is missing or damaged,
   * or when config and weights do not fit together. Nothing stays loaded.
   */
  static async fromPreset(
    preset: PresetName | (string & NonNullable<unknown>) | Folder,
    options: FromPresetOptions,
  ): Promise<CausalLM> {
    const { backend, seed = 0, loadWeights: load = true } = options;
    if (typeof preset === "string" && !load && (await findPreset(preset)).folder === null) {
      const model = buildPreset(preset, options);
      initialize(model.backbone.variables, backend, { seed });
      return new CausalLM({ model, backend, tokenizer: null });
    }
    const folder = folderOf(typeof preset === "string" ? await folderOfPreset(preset) : preset);
    const model = buildModel(await readHfConfig(folder), options);
    const tokenizer = await tokenizerOf(folder);
    const generation = await readGenerationConfig(folder);
    const { variables } = model.backbone;
    if (load) {
      const checkpoint = await openCheckpoint(folder);
      try {
        const { redundant, copies, rows } = model;
        const progress = options.onProgress === undefined ? {} : { onProgress: options.onProgress };
        await loadWeights(checkpoint, rows, variables, backend, { redundant, copies, ...progress });
      } catch (error) {
        disposeValues(variables);
        throw error;
      } finally {
        checkpoint.close();
      }
    } else {
      initialize(variables, backend, { seed });
    }
    const stopTokenIds = generation?.eosTokenIds ?? [];
    return new CausalLM({ model, backend, tokenizer, stopTokenIds, preset: folder });
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
    if (this.#parts.tokenizer === null) {
      throw new Error(`Cannot read or write text with "${this.name}": its checkpoint has no tokenizer.json`);
    }
    return this.#parts.tokenizer;
  }

  /** The trainer that `compile` made; `null` before. */
  get trainer(): Trainer | null {
    return this.#trainer;
  }

  /** The logits [batch, time, vocabulary] of tokens [batch, time], within a program that is being traced. */
  forward({ tokenIds, paddingMask }: { readonly tokenIds: Tensor; readonly paddingMask: Tensor }): Tensor {
    const positions = iota(tokenIds.shape, 1);
    const keyPositions = shownPositions(paddingMask);
    return this.backbone.logits(this.backbone.hidden({ tokenIds, positions, keyPositions, cache: null }));
  }

  /** The table of variables and parameter counts. */
  summary(options: { readonly width?: number } = {}): string {
    return formatSummary(this.name, this.variables, options);
  }

  /**
   * Freezes the model and attaches a trainable low-rank adapter to each targeted layer.
   *
   * @throws {RangeError} when the rank or alpha is out of range.
   * @throws {Error} when the targets match no layer, or when there are adapters already.
   */
  enableLora(options: LoraOptions & { readonly seed?: number }): void {
    enableLora(this, options);
    // A model that has no values yet gets those of its adapters together with its own.
    const loaded = loraAdapters(this).filter(({ layer }) => layer.kernel.value !== null);
    try {
      initialize(loaded.flatMap(({ adapter }) => adapter.variables), this.backend, { seed: options.seed ?? 0 });
    } catch (error) {
      unloadLora(this);
      throw error;
    }
    this.#dropPrograms();
  }

  /** Folds the adapters into the weights. Throws when there are none. */
  async mergeLora(): Promise<void> {
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
    await saveAdapter(
      folder,
      this,
      this.#moduleNames(),
      this.#parts.preset === undefined ? {} : { baseModel: this.#parts.preset.path },
    );
  }

  /** Loads a PEFT adapter folder in place of the adapters that there are. Throws when it does not fit the model. */
  async loadAdapter(folder: string | Folder): Promise<void> {
    await loadAdapter(folder, this, this.#moduleNames(), this.backend);
    this.#dropPrograms();
  }

  /**
   * Writes a checkpoint folder that Transformers loads: `config.json`, weights, and the tokenizer's files.
   *
   * @throws {Error} when there are adapters, which a checkpoint does not hold: merge them or save them as an adapter.
   */
  async saveToPreset(to: string | Folder, options: SaveOptions = {}): Promise<void> {
    const folder = folderOf(to);
    if (loraAdapters(this).length > 0) {
      throw new Error(
        `Cannot save "${this.name}" to "${folder.path}": it has LoRA adapters; call mergeLora() first, or saveAdapter() to save them alone`,
      );
    }
    const { model, preset } = this.#parts;
    const config = model.toHf(options.dtype ?? this.backbone.variableDType);
    await saveWeights(folder, model.rows, this.variables, options);
    await writeConfig(folder, config);
    if (preset !== undefined) await copyTextFiles(preset, folder);
  }

  /** Says how the model is to be trained, and forgets how it was before. */
  compile(settings: CompileSettings): void {
    this.#trainer?.dispose();
    this.#trainer = new Trainer(this, this.backend, settings);
  }

  /** Reads and encodes records, or a JSONL file of them, and sorts them into batches. */
  async dataset(source: Parameters<typeof loadExamples>[0], options: DataOptions): Promise<Dataset> {
    const { maxLength = this.contextLength, overflow, chat, ...rest } = options;
    if (maxLength > this.contextLength) {
      throw new RangeError(
        `Cannot encode examples of ${maxLength} tokens for "${this.name}": its context holds ${this.contextLength}; lower maxLength`,
      );
    }
    const encoded = await encodeExamples(await loadExamples(source), this.tokenizer, {
      maxLength,
      ...(overflow === undefined ? {} : { overflow }),
      ...(chat === undefined ? {} : { chat }),
    });
    return createDataset(encoded.examples, { padId: this.tokenizer.padId ?? 0, maxLength, ...rest });
  }

  /**
   * Trains on a data set.
   *
   * @throws {Error} when `compile` was not called, when nothing is trainable, or when the loss stops being a number.
   */
  async fit(dataset: Dataset, options: FitOptions = {}): Promise<History> {
    return await this.#compiled("fit").fit(dataset, options);
  }

  /** The loss and accuracy over a data set. Works before `compile`, too. */
  async evaluate(dataset: Dataset, options: Parameters<Evaluator["evaluate"]>[1] = {}): Promise<Evaluation> {
    this.#evaluator ??= new Evaluator(this, this.backend);
    return await this.#evaluator.evaluate(dataset, options);
  }

  /**
   * Continues prompts: one text for one prompt, a list for a list.
   *
   * @throws {RangeError} when a prompt leaves no room in the context, or a sampling option is out of range.
   */
  async generate(prompt: string, options?: GenerateOptions): Promise<string>;
  async generate(prompts: readonly string[], options?: GenerateOptions): Promise<string[]>;
  async generate(prompts: string | readonly string[], options: GenerateOptions = {}): Promise<string | string[]> {
    const list = typeof prompts === "string" ? [prompts] : prompts;
    const { tokenizer } = this;
    const start = tokenizer.bosId === null ? [] : [tokenizer.bosId];
    const encoded = list.map((text) => [...start, ...tokenizer.encode(text)]);
    const answers = await this.generateTokens(encoded, options);
    const texts = answers.map((answer, row) =>
      tokenizer.decode((options.stripPrompt ?? false) ? answer : [...encoded[row]!, ...answer], {
        skipSpecialTokens: true,
      })
    );
    return typeof prompts === "string" ? texts[0]! : texts;
  }

  /**
   * Continues prompts given as tokens; gives the new tokens only, without the one that ended them.
   *
   * @throws {RangeError} when a prompt is empty or leaves no room in the context, or a sampling option is out of range.
   */
  async generateTokens(prompts: readonly (readonly number[])[], options: GenerateOptions = {}): Promise<number[][]> {
    const { maxLength = this.contextLength } = options;
    if (!Number.isInteger(maxLength) || maxLength < 2) {
      throw new RangeError(`Cannot generate: maxLength must be a whole number of at least 2, found ${maxLength}`);
    }
    const limit = Math.min(maxLength, this.contextLength);
    const sampling = samplingOf(options);
    prompts.forEach((prompt, row) => this.#checkPrompt(prompt, row, limit));
    this.#checkTokens(options.stopTokenIds ?? []);
    const { maxNewTokens = defaultNewTokens } = options;
    if (!Number.isInteger(maxNewTokens) || maxNewTokens < 1) {
      throw new RangeError(`Cannot generate: maxNewTokens must be a whole number of at least 1, found ${maxNewTokens}`);
    }
    if (prompts.length === 0) return [];
    const request = {
      prompts,
      maxNewTokens,
      maxLength: limit,
      stopTokenIds: new Set(options.stopTokenIds ?? this.#defaultStops()),
      sampling,
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    };
    return await this.#generator.generate(request, ({ done, total }) => options.onToken?.(done, total));
  }

  /**
   * The logits of every token, float32 [batch, time, vocabulary]. Rows may be padded on the right; say where by a padding mask.
   *
   * @throws {RangeError} when a token is not in the vocabulary or a row is longer than the context.
   */
  async score(
    { tokenIds, paddingMask }: {
      readonly tokenIds: HostTensor<"int32"> | readonly (readonly number[])[];
      readonly paddingMask?: HostTensor<"bool">;
    },
  ): Promise<HostTensor<"float32">> {
    const tokens = "data" in tokenIds ? tokenIds : tokenTensor(tokenIds);
    const [batch, time] = tokens.shape as [number, number];
    if (time > this.contextLength) {
      throw new RangeError(`Cannot score ${time} tokens with "${this.name}": its context holds ${this.contextLength}`);
    }
    this.#checkTokens(tokens.data);
    const key = `${batch}x${time}`;
    const type = { shape: [batch, time] };
    const program = this.#scorers.get(key) ?? compileProgram(
      traceProgram(
        "score",
        { tokenIds: { ...type, dtype: "int32" }, paddingMask: { ...type, dtype: "bool" } },
        (inputs) => ({ logits: this.forward(inputs).cast("float32") }),
      ),
      this.backend,
    );
    this.#scorers.set(key, program);
    const mask = paddingMask ?? hostTensor("bool", [batch, time], new Uint8Array(batch * time).fill(1));
    const { logits } = await (await program).run({ tokenIds: tokens, paddingMask: mask }) as {
      logits: Awaited<ReturnType<Backend["upload"]>>;
    };
    try {
      return await logits.read() as HostTensor<"float32">;
    } finally {
      logits.dispose();
    }
  }

  /** Frees weights, slots, caches and programs. */
  dispose(): void {
    this.#dropPrograms();
    this.#trainer?.dispose();
    this.#evaluator?.dispose();
    disposeValues(this.variables);
  }

  #compiled(what: string): Trainer {
    if (this.#trainer === null) {
      throw new Error(
        `Cannot ${what} "${this.name}": call compile({ optimizer: adamW({ learningRate: 1e-4 }) }) first`,
      );
    }
    return this.#trainer;
  }

  #moduleNames() {
    const { rows } = this.#parts.model;
    return { moduleOf: (path: string) => moduleOf(rows, path), layerOf: (module: string) => layerOf(rows, module) };
  }

  #defaultStops(): number[] {
    const { tokenizer, stopTokenIds = [] } = this.#parts;
    const turns = endsOfTurn.flatMap((token) => tokenizer?.tokenToId(token) ?? []);
    const eos = tokenizer?.eosId ?? null;
    return [...this.text.eosTokenIds, ...stopTokenIds, ...(eos === null ? [] : [eos]), ...turns];
  }

  #checkPrompt(prompt: readonly number[], row: number, limit: number): void {
    if (prompt.length === 0) throw new RangeError(`Cannot generate: prompt ${row} has no tokens; give at least one`);
    if (prompt.length >= limit) {
      throw new RangeError(
        `Cannot generate: prompt ${row} has ${prompt.length} tokens, which leaves no room in a context of ${limit}; ` +
          "shorten the prompt" + (limit < this.contextLength ? " or raise maxLength" : ""),
      );
    }
    this.#checkTokens(prompt);
  }

  #checkTokens(tokens: Iterable<number>): void {
    const size = this.vocabularySize;
    for (const token of tokens) {
      if (!Number.isInteger(token) || token < 0 || token >= size) {
        throw new RangeError(
          `Cannot use token ${token} with "${this.name}": its vocabulary has the tokens 0 to ${size - 1}`,
        );
      }
    }
  }

  /** Programs were compiled for the variables of before; the next call compiles new ones. */
  #dropPrograms(): void {
    this.#generator.dispose();
    // A program that failed to compile has told its caller so already.
    for (const program of this.#scorers.values()) void program.then((compiled) => compiled.dispose(), () => {});
    this.#scorers.clear();
    this.#evaluator?.dispose();
    this.#evaluator = null;
    this.#trainer?.dropPrograms();
  }
}

/** Rows of tokens of one length as a tensor. */
function tokenTensor(rows: readonly (readonly number[])[]): HostTensor<"int32"> {
  const time = rows[0]?.length ?? 0;
  if (time === 0 || rows.some((row) => row.length !== time)) {
    throw new RangeError(
      `Cannot score rows of ${rows.map((row) => row.length).join(", ") || "no"} tokens: ` +
        "give at least one token, and pad rows to one length, with a padding mask",
    );
  }
  return hostTensor("int32", [rows.length, time], Int32Array.from(rows.flat()));
}
