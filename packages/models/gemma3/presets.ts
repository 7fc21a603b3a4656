/** The published Gemma 3 models that take no images, and what Google made of them. */
import type { PresetSpec } from "../architecture/architecture.ts";
import type { Gemma3Config } from "./gemma3.ts";

/** The dimensions by size. */
export const gemma3Sizes = {
  "270m": {
    vocabularySize: 262_144,
    numLayers: 18,
    numQueryHeads: 4,
    numKeyValueHeads: 1,
    hiddenDim: 640,
    intermediateDim: 2048,
    headDim: 256,
    slidingWindowSize: 512,
  },
  "1b": {
    vocabularySize: 262_144,
    numLayers: 26,
    numQueryHeads: 4,
    numKeyValueHeads: 1,
    hiddenDim: 1152,
    intermediateDim: 6912,
    headDim: 256,
    slidingWindowSize: 512,
  },
  "27b": {
    vocabularySize: 262_144,
    numLayers: 62,
    numQueryHeads: 32,
    numKeyValueHeads: 16,
    hiddenDim: 5376,
    intermediateDim: 21_504,
    headDim: 128,
    // 1/√168, the hidden size per head.
    queryHeadDimNormalize: false,
    slidingWindowSize: 1024,
    globalRopeScaling: { type: "linear", factor: 8 },
  },
} as const satisfies Record<string, Gemma3Config>;

/** The published number of parameters of each size. */
const parameters = {
  "270m": 268_098_176,
  "1b": 999_885_952,
  "27b": 27_009_002_240,
} as const satisfies Record<keyof typeof gemma3Sizes, number>;

/** The token that ends a turn is an end of texts, too, where a model was tuned to take turns. */
const tuned = { eosTokenIds: [1, 106] };

function gemma3(
  title: string,
  repository: string,
  size: keyof typeof gemma3Sizes,
  text: PresetSpec<Gemma3Config>["text"] = {},
): PresetSpec<Gemma3Config> {
  const context = size === "27b" ? {} : { contextLength: 32_768 };
  return {
    title,
    repository,
    parameters: parameters[size],
    config: gemma3Sizes[size],
    text: { ...context, ...text },
  };
}

/** The presets of Gemma 3 without images, under KerasHub's names. */
export const gemma3Presets = {
  gemma3_270m: gemma3("Gemma 3 270M", "google/gemma-3-270m", "270m"),
  gemma3_instruct_270m: gemma3("Gemma 3 270M, instruction-tuned", "google/gemma-3-270m-it", "270m", tuned),
  function_gemma_instruct_270m: gemma3("FunctionGemma 270M", "google/functiongemma-270m-it", "270m", tuned),
  gemma3_1b: gemma3("Gemma 3 1B", "google/gemma-3-1b-pt", "1b"),
  gemma3_instruct_1b: gemma3("Gemma 3 1B, instruction-tuned", "google/gemma-3-1b-it", "1b", tuned),
  medgemma_instruct_27b_text: gemma3("MedGemma 27B, instruction-tuned", "google/medgemma-27b-text-it", "27b", tuned),
} as const satisfies Readonly<Record<string, PresetSpec<Gemma3Config>>>;
