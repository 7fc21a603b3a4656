/** The published dense Gemma 4 models. Their repositories hold towers for images and sound as well, which are left out. */
import type { PresetSpec } from "../architecture/architecture.ts";
import type { LayerType } from "../architecture/hf_config.ts";
import type { Gemma4Config } from "./config.ts";

/** Some blocks with a window and a global one, again and again. */
function pattern(windows: number, repeats: number): LayerType[] {
  const unit: LayerType[] = [...Array.from({ length: windows }, () => "sliding_attention" as const), "full_attention"];
  return Array.from({ length: repeats }, () => unit).flat();
}

const all = {
  vocabularySize: 262_144,
  headDim: 256,
  globalHeadDim: 512,
  finalLogitSoftCap: 30,
  localRopeWavelength: 10_000,
  globalRopeWavelength: 1_000_000,
  globalRopePartialRotaryFactor: 0.25,
} as const satisfies Partial<Gemma4Config>;

/** Small models, "effective" by what is not in the tables of their layers' inputs. */
const effective = {
  ...all,
  modelType: "gemma4",
  numQueryHeads: 8,
  hiddenSizePerLayerInput: 256,
  vocabSizePerLayerInput: 262_144,
  slidingWindowSize: 512,
} as const satisfies Partial<Gemma4Config>;

const large = { ...all, attentionKeyEqualsValue: true, slidingWindowSize: 1024 } as const satisfies Partial<
  Gemma4Config
>;

/** The dimensions by size. */
export const gemma4Sizes = {
  e2b: {
    ...effective,
    numLayers: 35,
    layerTypes: pattern(4, 7),
    numKeyValueHeads: 1,
    hiddenDim: 1536,
    intermediateDim: 6144,
    numKvSharedLayers: 20,
    useDoubleWideMlp: true,
  },
  e4b: {
    ...effective,
    numLayers: 42,
    layerTypes: pattern(5, 7),
    numKeyValueHeads: 2,
    hiddenDim: 2560,
    intermediateDim: 10_240,
    numKvSharedLayers: 18,
  },
  "12b": {
    ...large,
    modelType: "gemma4_unified",
    numLayers: 48,
    layerTypes: pattern(5, 8),
    numQueryHeads: 16,
    numKeyValueHeads: 8,
    numGlobalKeyValueHeads: 1,
    hiddenDim: 3840,
    intermediateDim: 15_360,
  },
  "31b": {
    ...large,
    modelType: "gemma4",
    numLayers: 60,
    layerTypes: pattern(5, 10),
    numQueryHeads: 32,
    numKeyValueHeads: 16,
    numGlobalKeyValueHeads: 4,
    hiddenDim: 5376,
    intermediateDim: 21_504,
  },
} as const satisfies Record<string, Gemma4Config>;

/** The number of parameters of each text decoder in Transformers, its layers' scalars included. */
const parameters = {
  e2b: 4_628_569_379,
  e4b: 7_463_013_418,
  "12b": 11_907_350_320,
  "31b": 30_697_345_340,
} as const satisfies Record<keyof typeof gemma4Sizes, number>;

const contexts = { e2b: 131_072, e4b: 131_072, "12b": 262_144, "31b": 262_144 } as const;

function preset(title: string, repository: string, size: keyof typeof gemma4Sizes): PresetSpec<Gemma4Config> {
  const isTuned = repository.endsWith("-it");
  // <turn|> ends a turn, and in the tuned models' files a text, too.
  const text = { contextLength: contexts[size], eosTokenIds: isTuned ? [1, 106] : [1] };
  return { title, repository, parameters: parameters[size], config: gemma4Sizes[size], text };
}

/** The presets of Gemma 4, under KerasHub's names; it has none of the 12B. */
export const gemma4Presets = {
  gemma4_2b: preset("Gemma 4 E2B", "google/gemma-4-E2B", "e2b"),
  gemma4_instruct_2b: preset("Gemma 4 E2B, instruction-tuned", "google/gemma-4-E2B-it", "e2b"),
  gemma4_4b: preset("Gemma 4 E4B", "google/gemma-4-E4B", "e4b"),
  gemma4_instruct_4b: preset("Gemma 4 E4B, instruction-tuned", "google/gemma-4-E4B-it", "e4b"),
  gemma4_12b: preset("Gemma 4 12B", "google/gemma-4-12B", "12b"),
  gemma4_instruct_12b: preset("Gemma 4 12B, instruction-tuned", "google/gemma-4-12B-it", "12b"),
  gemma4_31b: preset("Gemma 4 31B", "google/gemma-4-31B", "31b"),
  gemma4_instruct_31b: preset("Gemma 4 31B, instruction-tuned", "google/gemma-4-31B-it", "31b"),
} as const satisfies Readonly<Record<string, PresetSpec<Gemma4Config>>>;
