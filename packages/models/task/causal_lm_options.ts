/** What the causal language model task takes: how it is made, how it loads, encodes and generates. */
import type { WorkListener } from "@tessera/text";
import type { HostTensor } from "@tessera/core";
import type { Folder } from "@tessera/files";
import type { DownloadReporter } from "@tessera/hub";
import type { Tokenizer } from "@tessera/tokenizer";
import type { Distribution } from "@tessera/mesh";
import type { QuantizationName } from "@tessera/nn";
import type { Backend } from "@tessera/runtime";
import type { DatasetOptions, EncodeOptions } from "@tessera/train";
import type { BuildOptions, BuiltModel } from "../architecture/architecture.ts";
import type { GenerationDefaults } from "../generation/generation_defaults.ts";
import type { SamplingOptions } from "../generation/sampling.ts";

/** How what is not on this machine is downloaded from the Hugging Face Hub. */
export interface HubOptions {
  /** Told of the bytes that are downloaded and the tensors that are loaded. */
  readonly onProgress?: WorkListener;
  /** Who is told of downloads in full; `onProgress` unless given, else standard error, nobody when `null`. */
  readonly reporter?: DownloadReporter | null;
  /** Ends the work: at once between files, and after the tensor under way; a download is resumed by the next one. */
  readonly signal?: AbortSignal;
}

/** How a preset is opened. */
export interface OpenOptions extends BuildOptions, HubOptions {
  /** What to have of its files: `"text"`, its tokenizer too, unless given; `"config"`, only what describes the model. */
  readonly part?: "text" | "config";
}

/** How weights are loaded. */
export interface LoadOptions extends HubOptions {
  /** What the model runs on; the one that `TESSERA_BACKEND` names, else the processor, unless given. */
  readonly backend?: Backend;
  /** The mesh that the model lies on and how; the one that `setDistribution` sets unless given, `null` for one device. */
  readonly distribution?: Distribution | null;
  /** Stores dense kernels and token embeddings in 8 or 4 bits, frozen; as it was opened unless given. */
  readonly quantize?: QuantizationName;
  /** Whether to load the weights; if not, they are initialized from `seed`. True unless given. */
  readonly loadWeights?: boolean;
  /** The seed of weights that no checkpoint gives; 0 unless given. */
  readonly seed?: number;
  /** Called with what a user should know of the checkpoint, such as towers that are left out; `console.warn` unless given. */
  readonly onWarning?: (message: string) => void;
}

/** How a model is opened and loaded. */
export interface FromPresetOptions extends Omit<OpenOptions, "part">, LoadOptions {}

/** What a task is made from. */
export interface CausalLMParts {
  /** The architecture, and its correspondence to checkpoints. */
  readonly model: BuiltModel;
  /** What the model runs on. */
  readonly backend: Backend;
  /** Turns text into tokens; `null` when the checkpoint has none, so that only tokens can be given. */
  readonly tokenizer: Tokenizer | null;
  /** How it generates unless it is told otherwise. */
  readonly generation?: GenerationDefaults;
  /** The mesh that the model lies on and how; the one that is set when it is used unless given, `null` for one device. */
  readonly distribution?: Distribution | null;
  /** The folder that it was loaded from. */
  readonly preset?: Folder;
  /** What its adapters name as their base model: a repository of the Hub; the folder's path unless given. */
  readonly baseModel?: string;
}

/** How text is generated. What is left out is as the checkpoint's `generation_config.json` says, and otherwise as said here. */
export interface GenerateOptions extends SamplingOptions {
  /** The most tokens to add to each prompt; what the context has room for, but at most 256, unless given. */
  readonly maxNewTokens?: number;
  /** The most tokens of prompt and answer together; the model's context unless given. */
  readonly maxLength?: number;
  /** Tokens that end a text; those that end texts and turns by the checkpoint unless given, none when empty. */
  readonly stopTokenIds?: readonly number[];
  /** Strings that end a text, wherever tokens begin and end; the text is cut before them. */
  readonly stopStrings?: readonly string[];
  /** Whether to cut after the stop string instead; false unless given. */
  readonly keepStopString?: boolean;
  /** The images that prompts given as tokens begin with, values from -1 to 1, [images, size, size, 3]; none when left out. */
  readonly images?: HostTensor<"float32">;
  /** Whether the text begins with the prompt, as it does in Keras; false unless given. */
  readonly keepPrompt?: boolean;
  /**
   * Ends generation. Aborted before the first step, the call throws the signal's reason; aborted later, also while the prompt is
   * read, it ends after the token under way and gives what there is so far.
   */
  readonly signal?: AbortSignal;
  /** Told after each token of the number of tokens so far and the most that there can be. */
  readonly onProgress?: WorkListener;
}

/** How a chat is answered. */
export interface ChatGenerateOptions extends Omit<GenerateOptions, "keepPrompt"> {
  /** The tools that the model may call, in the form that its template wants, mostly JSON schemas of functions. */
  readonly tools?: readonly object[];
  /** What else the template asks for, by name, such as `date_string`. */
  readonly templateVariables?: Readonly<Record<string, unknown>>;
}

/** How records become a data set. */
export type DataOptions = Partial<Omit<EncodeOptions, "images">> & DatasetOptions;
