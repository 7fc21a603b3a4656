/**
 * Opening a model: found or downloaded, read and checked, all but its weights. What is opened can be described, planned and
 * adapted; `load` gives it its weights, on a backend and on a mesh.
 */
import type { WorkListener } from "@tessera/text";
import { defaultBackend } from "@tessera/backends";
import { loadWeights } from "@tessera/convert";
import { type Folder, folderOf, isFolder, openCheckpoint } from "@tessera/files";
import type { DownloadOptions, DownloadReporter } from "@tessera/hub";
import { enableLora, type LoraOptions } from "@tessera/lora";
import { distribution as currentDistribution } from "@tessera/mesh";
import { disposeValues, initialize, quantizeVariables } from "@tessera/nn";
import { checkOptions, pickOptions } from "@tessera/text";
import type { Tokenizer } from "@tessera/tokenizer";
import type { BuildOptions, BuiltModel } from "../architecture/architecture.ts";
import type { Backbone } from "../architecture/backbone.ts";
import { readHfConfig } from "../architecture/hf_config.ts";
import type { TextConfig } from "../architecture/text_config.ts";
import { readGenerationConfig } from "../generation/generation_config.ts";
import { type GenerationDefaults, generationDefaults } from "../generation/generation_defaults.ts";
import { findPreset, folderOfPreset } from "../presets/find_folder.ts";
import { handleOf, isBuiltIn, presetOf } from "../presets/presets.ts";
import { buildModel, type PresetName } from "../registry.ts";
import { moduleNames } from "./adapters.ts";
import { CausalLM } from "./causal_lm.ts";
import type { CausalLMParts, FromPresetOptions, HubOptions, LoadOptions, OpenOptions } from "./causal_lm_options.ts";
import { checkDistribution, checkWeights } from "./distribute.ts";
import { warnOfLeftOut } from "./left_out.ts";
import { fromPresetOptionNames, loadOptionNames, openOptionNames } from "./option_names.ts";
import { tokenizerOf } from "./preset_files.ts";

/** A preset's name, a handle such as `hf://google/gemma-2-9b`, or a folder, which a browser has of picked files. */
export type PresetSource = PresetName | (string & NonNullable<unknown>) | Folder;

/** What was read of a preset's files. */
interface Opened {
  /** Where they are; `null` for a preset that is described without any. */
  readonly folder: Folder | null;
  readonly tokenizer: Tokenizer | null;
  readonly generation: GenerationDefaults;
  readonly build: (options: BuildOptions) => BuiltModel;
}

/** A model without its weights. */
export class OpenedPreset {
  /** What was opened: the name, the handle or the path. */
  readonly name: string;
  /** The backbone, and its correspondence to checkpoints. */
  readonly model: BuiltModel;
  readonly #source: PresetSource;
  readonly #opened: Opened;
  readonly #options: OpenOptions;
  #isTaken = false;

  /** Describes what was opened; `openPreset` does. */
  constructor(source: PresetSource, opened: Opened, options: OpenOptions) {
    this.#source = source;
    this.#opened = opened;
    this.#options = options;
    this.name = nameOf(source);
    this.model = opened.build(options);
  }

  /** The folder of its files; `null` for a preset that is described without any. */
  get folder(): Folder | null {
    return this.#opened.folder;
  }

  /** The architecture with its variables, which have no values yet. */
  get backbone(): Backbone {
    return this.model.backbone;
  }

  /** What its config says of texts. */
  get text(): TextConfig {
    return this.model.text;
  }

  /** Turns text into tokens; `null` when there are no files of one. */
  get tokenizer(): Tokenizer | null {
    return this.#opened.tokenizer;
  }

  /** The table of variables and parameter counts. */
  summary(options: { readonly width?: number } = {}): string {
    return this.backbone.summary(options);
  }

  /**
   * Attaches a trainable low-rank adapter to each targeted layer of the model that the first `load` gives.
   *
   * @throws what `enableLora` throws.
   */
  enableLora(options: LoraOptions): void {
    enableLora(this.backbone, options, moduleNames(this.model));
  }

  /**
   * Gives the model its weights, which are downloaded where they are not on this machine. What the first load gives is the model
   * that was opened, with adapters that it was given meanwhile; each later one makes another.
   *
   * @throws {TypeError} when an option has an unknown name.
   * @throws {RangeError} when the backend's devices cannot take a weight, or the distribution does not divide one.
   * @throws {Error} when the weights cannot be downloaded, a file is missing or damaged, or config and weights do not fit together.
   * Nothing stays loaded.
   */
  async load(options: LoadOptions = {}): Promise<CausalLM> {
    checkOptions(`load "${this.name}"`, options, loadOptionNames);
    const { seed = 0, loadWeights: wantsWeights = true, quantize, signal } = options;
    signal?.throwIfAborted();
    const backend = options.backend ?? await defaultBackend();
    const model = this.#take(quantize);
    const chosen = options.distribution === undefined ? currentDistribution() : options.distribution;
    const where = chosen ?? backend.devices[0]!;
    const lm = new CausalLM({ ...this.#parts(options), model, backend });
    // What is refused is refused before weights are downloaded.
    if (chosen !== null) checkDistribution(lm, chosen);
    await checkWeights(lm, backend, chosen);
    const rows = new Set(model.rows.map(({ variable }) => variable));
    const own = lm.variables.filter(({ path }) => rows.has(path));
    const added = lm.variables.filter(({ path }) => !rows.has(path));
    try {
      if (wantsWeights) {
        const checkpoint = await openCheckpoint(await this.#weightsFolder(options));
        try {
          const { redundant, copies, names } = model;
          const { onProgress, onWarning = console.warn } = options;
          warnOfLeftOut(model, checkpoint, onWarning);
          await loadWeights(checkpoint, model.rows, own, backend, {
            redundant,
            copies,
            names,
            where,
            ...(signal === undefined ? {} : { signal }),
            onProgress: (done, total) => onProgress?.({ phase: "load", done, total, unit: "tensors" }),
          });
        } finally {
          checkpoint.close();
        }
      } else initialize(own, backend, { seed, where });
      initialize(added, backend, { seed, where });
    } catch (error) {
      disposeValues(lm.variables);
      throw error;
    }
    return lm;
  }

  /** The model that was opened, once; then others like it. */
  #take(quantize: LoadOptions["quantize"]): BuiltModel {
    const isFirst = !this.#isTaken;
    this.#isTaken = true;
    const asked = quantize === undefined || quantize === this.#options.quantize ? {} : { quantize };
    if (!isFirst) return this.#opened.build({ ...this.#options, ...asked });
    if (asked.quantize !== undefined) quantizeVariables(this.backbone.declared.quantizable, asked.quantize);
    return this.model;
  }

  #parts({ distribution }: LoadOptions): Omit<CausalLMParts, "model" | "backend"> {
    const { folder, tokenizer, generation } = this.#opened;
    const handle = typeof this.#source === "string" && folder?.path !== this.#source ? handleOf(this.#source) : null;
    return {
      tokenizer,
      generation,
      ...(folder === null ? {} : { preset: folder }),
      ...(handle === null ? {} : { baseModel: handle.repository }),
      ...(distribution === undefined ? {} : { distribution }),
    };
  }

  /** The folder with the weights, of the same commit as what was read before. */
  async #weightsFolder(options: HubOptions): Promise<Folder> {
    if (typeof this.#source !== "string") return this.#source;
    const folder = await folderOfPreset(this.#source, {
      ...hubOptions({ ...this.#options, ...options }),
      part: "model",
    });
    const read = this.#opened.folder?.path;
    if (read === undefined || read === folder) return folderOf(folder);
    throw new Error(
      `Cannot load "${this.name}": its repository has changed since it was opened ("${read}" then, "${folder}" now); open it again`,
    );
  }
}

function hubOptions({ onProgress, reporter = reporterOf(onProgress), signal }: HubOptions): DownloadOptions {
  return { ...(reporter === undefined ? {} : { reporter }), ...(signal === undefined ? {} : { signal }) };
}

/** Opens a preset and loads it: what `CausalLM.fromPreset` does, which documents it. */
export async function fromPreset(source: PresetSource, options: FromPresetOptions): Promise<CausalLM> {
  checkOptions(`load "${nameOf(source)}"`, options, fromPresetOptionNames);
  const part = options.loadWeights === false && await isDescribed(source) ? "config" : "text";
  const opened = await openPreset(source, { ...pickOptions<OpenOptions>(options, openOptionNames), part });
  return await opened.load(pickOptions<LoadOptions>(options, loadOptionNames));
}

function nameOf(source: PresetSource): string {
  return typeof source === "string" ? source : source.path;
}

/** Whether a preset's dimensions are built in and its files are not on this machine. */
async function isDescribed(source: PresetSource): Promise<boolean> {
  return typeof source === "string" && isBuiltIn(source) && (await findPreset(source)).folder === null;
}

/** Tells a listener of downloads. */
function reporterOf(onProgress: WorkListener | undefined): DownloadReporter | undefined {
  if (onProgress === undefined) return undefined;
  const progress = (done: number, total: number) => onProgress({ phase: "download", done, total, unit: "bytes" });
  return { begin: () => {}, progress, end: () => {} };
}

/** What describes a preset whose dimensions are built in and whose files are not here. */
function describePreset(name: string): Opened {
  const build = (options: BuildOptions) => presetOf(name).build(options);
  return { folder: null, tokenizer: null, generation: generationDefaults(null), build };
}

/**
 * Opens a preset of that name, a handle such as `hf://google/gemma-2-9b`, or a checkpoint folder in Hugging Face's format, whatever
 * its architecture: its config and its tokenizer, which are downloaded where they are not on this machine.
 *
 * With `part: "config"` it has no tokenizer, and presets are described without any file.
 *
 * @throws {RangeError} when it is neither the name of a preset nor a folder.
 * @throws {TypeError} when its architecture is not known, its config asks for what is not computed, or an option has an unknown name.
 * @throws {Error} when a file is missing or damaged, or cannot be downloaded.
 */
export async function openPreset(source: PresetSource, options: OpenOptions = {}): Promise<OpenedPreset> {
  checkOptions(`open "${nameOf(source)}"`, options, openOptionNames);
  const { part = "text" } = options;
  options.signal?.throwIfAborted();
  if (part === "config" && typeof source === "string" && await isDescribed(source)) {
    return new OpenedPreset(source, describePreset(source), options);
  }
  const folder = typeof source === "string"
    ? folderOf(await folderOfPreset(source, { ...hubOptions(options), part }))
    : source;
  if (typeof source === "string" && !(await isFolder(folder.path))) {
    const hint = /^[\w.-]+\/[\w.-]+$/.test(source) ? `, did you mean "hf://${source}"?` : "";
    throw new Error(
      `Cannot open "${source}": there is no such folder${hint}; expected the name of a preset, a handle such as ` +
        "hf://google/gemma-2-9b, or a folder with config.json, tokenizer.json and safetensors files",
    );
  }
  const config = await readHfConfig(folder);
  const opened: Opened = {
    folder,
    tokenizer: part === "config" ? null : await tokenizerOf(folder),
    generation: generationDefaults(await readGenerationConfig(folder)),
    build: (build) => buildModel(config, build),
  };
  return new OpenedPreset(source, opened, options);
}
