/** The published models of Mistral 7B, Nemo, Small, Large and Ministral, and some that were made of them. */
import type { PresetSpec } from "../architecture/architecture.ts";
import type { MistralConfig } from "./mistral.ts";

const first_7b = {
  vocabularySize: 32_000,
  numLayers: 32,
  numQueryHeads: 32,
  numKeyValueHeads: 8,
  hiddenDim: 4096,
  intermediateDim: 14_336,
  slidingWindow: 4096,
  ropeMaxWavelength: 10_000,
  layerNormEpsilon: 1e-5,
} as const satisfies MistralConfig;

const second_7b = { ...first_7b, slidingWindow: null, ropeMaxWavelength: 1_000_000 } as const satisfies MistralConfig;

const third_7b = { ...second_7b, vocabularySize: 32_768 } as const satisfies MistralConfig;

const nemo_12b = {
  ...second_7b,
  vocabularySize: 131_072,
  numLayers: 40,
  hiddenDim: 5120,
  headDim: 128,
} as const satisfies MistralConfig;

const small_22b = {
  ...third_7b,
  numLayers: 56,
  numQueryHeads: 48,
  hiddenDim: 6144,
  intermediateDim: 16_384,
  headDim: 128,
} as const satisfies MistralConfig;

const small_24b = {
  ...nemo_12b,
  intermediateDim: 32_768,
  ropeMaxWavelength: 100_000_000,
} as const satisfies MistralConfig;

const magistral_24b = { ...small_24b, ropeMaxWavelength: 1_000_000_000 } as const satisfies MistralConfig;

const large_123b = {
  ...third_7b,
  numLayers: 88,
  numQueryHeads: 96,
  hiddenDim: 12_288,
  intermediateDim: 28_672,
  headDim: 128,
} as const satisfies MistralConfig;

/** As its config says, which has one window for all layers. Its card speaks of one layer in four without: `layerTypes`. */
const ministral_8b = {
  ...first_7b,
  vocabularySize: 131_072,
  numLayers: 36,
  intermediateDim: 12_288,
  headDim: 128,
  slidingWindow: 32_768,
  ropeMaxWavelength: 100_000_000,
} as const satisfies MistralConfig;

/** The published number of parameters of each size. */
const sizes = {
  "7B v0.1": [7_241_732_096, first_7b],
  "7B v0.2": [7_241_732_096, second_7b],
  "7B v0.3": [7_248_023_552, third_7b],
  "Nemo 12B": [12_247_782_400, nemo_12b],
  "Small 22B": [22_247_282_688, small_22b],
  "Small 24B": [23_572_403_200, small_24b],
  "Magistral 24B": [23_572_403_200, magistral_24b],
  "Large 123B": [122_610_069_504, large_123b],
  "Ministral 8B": [8_019_808_256, ministral_8b],
} as const satisfies Record<string, readonly [parameters: number, config: MistralConfig]>;

function mistral(
  title: string,
  repository: string,
  size: keyof typeof sizes,
  text: PresetSpec<MistralConfig>["text"] = {},
): PresetSpec<MistralConfig> {
  const [parameters, config] = sizes[size];
  return { title, repository, parameters, config, text };
}

const long = { contextLength: 131_072 };

/** The presets of Mistral, under KerasHub's names; under their repositories' where it has none. */
export const mistralPresets = {
  mistral_7b_en: mistral("Mistral 7B v0.1", "mistralai/Mistral-7B-v0.1", "7B v0.1"),
  mistral_instruct_7b_en: mistral(
    "Mistral 7B v0.1, instruction-tuned",
    "mistralai/Mistral-7B-Instruct-v0.1",
    "7B v0.1",
  ),
  "mistral_0.2_instruct_7b_en": mistral(
    "Mistral 7B v0.2, instruction-tuned",
    "mistralai/Mistral-7B-Instruct-v0.2",
    "7B v0.2",
  ),
  "mistral_0.3_7b_en": mistral("Mistral 7B v0.3", "mistralai/Mistral-7B-v0.3", "7B v0.3"),
  "mistral_0.3_instruct_7b_en": mistral(
    "Mistral 7B v0.3, instruction-tuned",
    "mistralai/Mistral-7B-Instruct-v0.3",
    "7B v0.3",
  ),
  magistral_small_2506_en: mistral(
    "Magistral Small 24B of June 2025",
    "mistralai/Magistral-Small-2506",
    "Magistral 24B",
    { contextLength: 40_960 },
  ),
  magistral_small_2507_en: mistral(
    "Magistral Small 24B of July 2025",
    "mistralai/Magistral-Small-2507",
    "Magistral 24B",
    { contextLength: 40_960 },
  ),
  "zephyr-7b-beta": mistral("Zephyr 7B", "HuggingFaceH4/zephyr-7b-beta", "7B v0.1", { padTokenId: 2 }),
  "Mathstral-7B-v0.1": mistral("Mathstral 7B", "mistralai/Mathstral-7B-v0.1", "7B v0.3"),
  "Ministral-8B-Instruct-2410": mistral(
    "Ministral 8B, instruction-tuned",
    "mistralai/Ministral-8B-Instruct-2410",
    "Ministral 8B",
  ),
  "Mistral-Nemo-Base-2407": mistral("Mistral Nemo 12B", "mistralai/Mistral-Nemo-Base-2407", "Nemo 12B", long),
  "Mistral-Nemo-Instruct-2407": mistral(
    "Mistral Nemo 12B, instruction-tuned",
    "mistralai/Mistral-Nemo-Instruct-2407",
    "Nemo 12B",
    long,
  ),
  "Codestral-22B-v0.1": mistral("Codestral 22B", "mistralai/Codestral-22B-v0.1", "Small 22B"),
  "Mistral-Small-Instruct-2409": mistral(
    "Mistral Small 22B, instruction-tuned",
    "mistralai/Mistral-Small-Instruct-2409",
    "Small 22B",
  ),
  "Mistral-Small-24B-Base-2501": mistral("Mistral Small 24B", "mistralai/Mistral-Small-24B-Base-2501", "Small 24B"),
  "Mistral-Small-24B-Instruct-2501": mistral(
    "Mistral Small 24B, instruction-tuned",
    "mistralai/Mistral-Small-24B-Instruct-2501",
    "Small 24B",
  ),
  "Mistral-Large-Instruct-2411": mistral(
    "Mistral Large 123B, instruction-tuned",
    "mistralai/Mistral-Large-Instruct-2411",
    "Large 123B",
    long,
  ),
} as const satisfies Readonly<Record<string, PresetSpec<MistralConfig>>>;
