/** What the causal language model task takes: how it is made, how it loads, encodes and generates. */
import type { Folder, Tokenizer } from "@tessera/hub";
import type { Backend } from "@tessera/runtime";
import type { DatasetOptions, EncodeOptions } from "@tessera/train";
import type { BuildOptions, BuiltModel } from "./architectures.ts";
import type { SamplingOptions } from "./sampling.ts";

/** How a checkpoint is loaded. */
export interface FromPresetOptions extends BuildOptions {
  /** What the model runs on. */
  readonly backend: Backend;
  /** Whether to load the weights; if not, they are initialised from `seed`. True unless given. */
  readonly loadWeights?: boolean;
  /** The seed of weights that are not loaded; 0 unless given. */
  readonly seed?: number;
  /** Called after each tensor with the number loaded so far and the number in all. */
  readonly onProgress?: (loaded: number, total: number) => void;
}

/** What a task is made from. */
export interface CausalLMParts {
  /** The architecture, and its correspondence to checkpoints. */
  readonly model: BuiltModel;
  /** What the model runs on. */
  readonly backend: Backend;
  /** Turns text into tokens; `null` when the checkpoint has none, so that only tokens can be given. */
  readonly tokenizer: Tokenizer | null;
  /** Tokens that end a text by default, beside the config's. */
  readonly stopTokenIds?: readonly number[];
  /** The folder that it was loaded from. */
  readonly preset?: Folder;
}

/** How text is generated. */
export interface GenerateOptions extends SamplingOptions {
  /** The most tokens to add to each prompt; what the context has room for, but at most 256, unless given. */
  readonly maxNewTokens?: number;
  /** The most tokens of prompt and answer together; the model's context unless given. */
  readonly maxLength?: number;
  /** Tokens that end a text; the checkpoint's unless given, none when empty. */
  readonly stopTokenIds?: readonly number[];
  /** Whether to leave the prompt out of the result; false unless given, as in Keras. */
  readonly stripPrompt?: boolean;
  /** Ends generation after the token under way. */
  readonly signal?: AbortSignal;
  /** Called after each token with the number of tokens so far and the most that there can be. */
  readonly onToken?: (done: number, total: number) => void;
}

/** How records become a data set. */
export type DataOptions = Partial<EncodeOptions> & DatasetOptions;
