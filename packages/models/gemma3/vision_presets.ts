/** The published Gemma 3 models that take images, and what Google made of them. */
import type { PresetSpec } from "../architecture/architecture.ts";
import type { Gemma3Config } from "./gemma3.ts";
import type { Gemma3VisionConfig } from "./gemma3_vision.ts";
import { gemma3Sizes } from "./presets.ts";

/** SigLIP So400m/14 at 896 pixels. */
const vision = {
  imageSize: 896,
  patchSize: 14,
  numLayers: 27,
  numHeads: 16,
  hiddenDim: 1152,
  intermediateDim: 4304,
} as const;

/** What the decoders have in common; the vocabulary has 64 tokens more than the tokenizer. */
const common = {
  vocabularySize: 262_208,
  headDim: 256,
  slidingWindowSize: 1024,
  globalRopeScaling: { type: "linear", factor: 8 },
} as const satisfies Partial<Gemma3Config>;

/** The decoders by size. */
const decoders = {
  "4b": {
    ...common,
    numLayers: 34,
    numQueryHeads: 8,
    numKeyValueHeads: 4,
    hiddenDim: 2560,
    intermediateDim: 10_240,
  },
  "12b": {
    ...common,
    numLayers: 48,
    numQueryHeads: 16,
    numKeyValueHeads: 8,
    hiddenDim: 3840,
    intermediateDim: 15_360,
  },
  "27b": { ...gemma3Sizes["27b"], vocabularySize: common.vocabularySize },
} as const satisfies Record<string, Gemma3Config>;

/** The published number of parameters of each size. */
const parameters = {
  "4b": 4_300_079_472,
  "12b": 12_187_325_040,
  "27b": 27_432_406_640,
} as const satisfies Record<keyof typeof decoders, number>;

const configs = {
  "4b": { text: decoders["4b"], vision },
  "12b": { text: decoders["12b"], vision },
  "27b": { text: decoders["27b"], vision },
} as const satisfies Record<keyof typeof decoders, Gemma3VisionConfig>;

/** The token that ends a turn is an end of texts, too, where a model was tuned to take turns. */
const tuned = { eosTokenIds: [1, 106] };

function gemma3(
  title: string,
  repository: string,
  size: keyof typeof decoders,
  text: PresetSpec<Gemma3VisionConfig>["text"] = {},
): PresetSpec<Gemma3VisionConfig> {
  return { title, repository, parameters: parameters[size], config: configs[size], text };
}

/** The presets of Gemma 3 with images, under KerasHub's names. */
export const gemma3VisionPresets = {
  gemma3_4b: gemma3("Gemma 3 4B", "google/gemma-3-4b-pt", "4b"),
  gemma3_instruct_4b: gemma3("Gemma 3 4B, instruction-tuned", "google/gemma-3-4b-it", "4b", tuned),
  gemma3_12b: gemma3("Gemma 3 12B", "google/gemma-3-12b-pt", "12b"),
  gemma3_instruct_12b: gemma3("Gemma 3 12B, instruction-tuned", "google/gemma-3-12b-it", "12b", tuned),
  gemma3_27b: gemma3("Gemma 3 27B", "google/gemma-3-27b-pt", "27b"),
  gemma3_instruct_27b: gemma3("Gemma 3 27B, instruction-tuned", "google/gemma-3-27b-it", "27b", tuned),
  medgemma_4b: gemma3("MedGemma 4B", "google/medgemma-4b-pt", "4b"),
  medgemma_instruct_4b: gemma3("MedGemma 4B, instruction-tuned", "google/medgemma-4b-it", "4b", tuned),
  "medgemma_1.5_instruct_4b": gemma3("MedGemma 1.5 4B, instruction-tuned", "google/medgemma-1.5-4b-it", "4b", tuned),
  medgemma_instruct_27b: gemma3("MedGemma 27B with images, instruction-tuned", "google/medgemma-27b-it", "27b", tuned),
} as const satisfies Readonly<Record<string, PresetSpec<Gemma3VisionConfig>>>;
