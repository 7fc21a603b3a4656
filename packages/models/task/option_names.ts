/** The names of what the task takes, so that a slip is an error. */
import type { SaveOptions } from "@tessera/convert";
import { type LoadAdapterOptions, loraOptionNames, type LoraOptions } from "@tessera/lora";
import type { OptionNames } from "@tessera/text";
import { datasetOptionNames } from "@tessera/train";
import { buildOptionNames } from "../architecture/architecture.ts";
import type { SamplingOptions } from "../generation/sampling.ts";
import type {
  ChatGenerateOptions,
  DataOptions,
  FromPresetOptions,
  GenerateOptions,
  HubOptions,
  LoadOptions,
  OpenOptions,
} from "./causal_lm_options.ts";
import type { ScoreInputs, ScoreMode } from "./scoring.ts";

/** The names of `HubOptions`. */
export const hubOptionNames: OptionNames<HubOptions> = { onProgress: true, reporter: true, signal: true };

/** The names of the options of `CausalLM.loadAdapter`. */
export const loadAdapterOptionNames: OptionNames<HubOptions & LoadAdapterOptions> = {
  ...hubOptionNames,
  onWarning: true,
};

/** The names of `OpenOptions`. */
export const openOptionNames: OptionNames<OpenOptions> = { ...hubOptionNames, ...buildOptionNames, part: true };

/** The names of `LoadOptions`. */
export const loadOptionNames: OptionNames<LoadOptions> = {
  ...hubOptionNames,
  backend: true,
  distribution: true,
  quantize: true,
  loadWeights: true,
  seed: true,
  onWarning: true,
};

/** The names of `FromPresetOptions`. */
export const fromPresetOptionNames: OptionNames<FromPresetOptions> = { ...loadOptionNames, ...buildOptionNames };

const samplingOptionNames: OptionNames<SamplingOptions> = {
  sampler: true,
  temperature: true,
  topK: true,
  topP: true,
  minP: true,
  repetitionPenalty: true,
  seed: true,
  numBeams: true,
  lengthPenalty: true,
  earlyStopping: true,
  penaltyAlpha: true,
};

const answered: OptionNames<Omit<GenerateOptions, "keepPrompt">> = {
  ...samplingOptionNames,
  maxNewTokens: true,
  maxLength: true,
  stopTokenIds: true,
  stopStrings: true,
  keepStopString: true,
  images: true,
  signal: true,
  onProgress: true,
};

/** The names of `GenerateOptions`. */
export const generateOptionNames: OptionNames<GenerateOptions> = { ...answered, keepPrompt: true };

/** The names of `ChatGenerateOptions`. */
export const chatOptionNames: OptionNames<ChatGenerateOptions> = { ...answered, tools: true, templateVariables: true };

/** The names of `DataOptions`. */
export const dataOptionNames: OptionNames<DataOptions> = { ...datasetOptionNames, overflow: true, chat: true };

/** The names of what `enableLora` of a task takes. */
export const taskLoraOptionNames: OptionNames<LoraOptions & { readonly seed?: number }> = {
  ...loraOptionNames,
  seed: true,
};

/** The names of `SaveOptions`. */
export const saveOptionNames: OptionNames<SaveOptions> = { dtype: true, maxShardBytes: true };

/** The names of what `score` takes. */
export const scoreInputNames: OptionNames<ScoreInputs & { readonly mode?: ScoreMode }> = {
  tokenIds: true,
  paddingMask: true,
  images: true,
  promptLengths: true,
  mode: true,
};
