/** The published Gemma 1, Gemma 1.1, CodeGemma, Gemma 2 and ShieldGemma models. */
import type { PresetSpec } from "../architecture/architecture.ts";
import type { GemmaConfig } from "./gemma.ts";

const first = {
  vocabularySize: 256_000,
  headDim: 256,
  queryHeadDimNormalize: true,
} as const satisfies Partial<GemmaConfig>;

const second = {
  ...first,
  usePostFfwNorm: true,
  usePostAttentionNorm: true,
  attentionLogitSoftCap: 50,
  finalLogitSoftCap: 30,
  useSlidingWindowAttention: true,
  slidingWindowSize: 4096,
} as const satisfies Partial<GemmaConfig>;

/** The dimensions by size; `intermediateDim` is twice Hugging Face's `intermediate_size`. */
export const gemmaSizes = {
  gemma2b: {
    ...first,
    numLayers: 18,
    numQueryHeads: 8,
    numKeyValueHeads: 1,
    hiddenDim: 2048,
    intermediateDim: 32_768,
  },
  gemma7b: {
    ...first,
    numLayers: 28,
    numQueryHeads: 16,
    numKeyValueHeads: 16,
    hiddenDim: 3072,
    intermediateDim: 49_152,
  },
  gemma2_2b: {
    ...second,
    numLayers: 26,
    numQueryHeads: 8,
    numKeyValueHeads: 4,
    hiddenDim: 2304,
    intermediateDim: 18_432,
  },
  gemma2_9b: {
    ...second,
    numLayers: 42,
    numQueryHeads: 16,
    numKeyValueHeads: 8,
    hiddenDim: 3584,
    intermediateDim: 28_672,
  },
  gemma2_27b: {
    ...second,
    numLayers: 46,
    numQueryHeads: 32,
    numKeyValueHeads: 16,
    hiddenDim: 4608,
    intermediateDim: 73_728,
    headDim: 128,
    // 1/√144, the hidden size per head; 1/√128 gives other logits than the published ones.
    queryHeadDimNormalize: false,
  },
} as const satisfies Record<string, GemmaConfig>;

/** The published number of parameters of each size. */
const parameters = {
  gemma2b: 2_506_172_416,
  gemma7b: 8_537_680_896,
  gemma2_2b: 2_614_341_888,
  gemma2_9b: 9_241_705_984,
  gemma2_27b: 27_227_128_320,
} as const satisfies Record<keyof typeof gemmaSizes, number>;

function gemma(title: string, repository: string, size: keyof typeof gemmaSizes): PresetSpec<GemmaConfig> {
  return { title, repository, parameters: parameters[size], config: gemmaSizes[size] };
}

/** The presets of Gemma, under KerasHub's names. */
export const gemmaPresets = {
  gemma_2b_en: gemma("Gemma 2B", "google/gemma-2b", "gemma2b"),
  gemma_instruct_2b_en: gemma("Gemma 2B, instruction-tuned", "google/gemma-2b-it", "gemma2b"),
  "gemma_1.1_instruct_2b_en": gemma("Gemma 1.1 2B, instruction-tuned", "google/gemma-1.1-2b-it", "gemma2b"),
  code_gemma_2b_en: gemma("CodeGemma 2B", "google/codegemma-2b", "gemma2b"),
  "code_gemma_1.1_2b_en": gemma("CodeGemma 1.1 2B", "google/codegemma-1.1-2b", "gemma2b"),
  gemma_7b_en: gemma("Gemma 7B", "google/gemma-7b", "gemma7b"),
  gemma_instruct_7b_en: gemma("Gemma 7B, instruction-tuned", "google/gemma-7b-it", "gemma7b"),
  "gemma_1.1_instruct_7b_en": gemma("Gemma 1.1 7B, instruction-tuned", "google/gemma-1.1-7b-it", "gemma7b"),
  code_gemma_7b_en: gemma("CodeGemma 7B", "google/codegemma-7b", "gemma7b"),
  code_gemma_instruct_7b_en: gemma("CodeGemma 7B, instruction-tuned", "google/codegemma-7b-it", "gemma7b"),
  "code_gemma_1.1_instruct_7b_en": gemma(
    "CodeGemma 1.1 7B, instruction-tuned",
    "google/codegemma-1.1-7b-it",
    "gemma7b",
  ),
  gemma2_2b_en: gemma("Gemma 2 2B", "google/gemma-2-2b", "gemma2_2b"),
  gemma2_instruct_2b_en: gemma("Gemma 2 2B, instruction-tuned", "google/gemma-2-2b-it", "gemma2_2b"),
  gemma2_9b_en: gemma("Gemma 2 9B", "google/gemma-2-9b", "gemma2_9b"),
  gemma2_instruct_9b_en: gemma("Gemma 2 9B, instruction-tuned", "google/gemma-2-9b-it", "gemma2_9b"),
  gemma2_27b_en: gemma("Gemma 2 27B", "google/gemma-2-27b", "gemma2_27b"),
  gemma2_instruct_27b_en: gemma("Gemma 2 27B, instruction-tuned", "google/gemma-2-27b-it", "gemma2_27b"),
  shieldgemma_2b_en: gemma("ShieldGemma 2B", "google/shieldgemma-2b", "gemma2_2b"),
  shieldgemma_9b_en: gemma("ShieldGemma 9B", "google/shieldgemma-9b", "gemma2_9b"),
  shieldgemma_27b_en: gemma("ShieldGemma 27B", "google/shieldgemma-27b", "gemma2_27b"),
  c2s_scale_gemma_2_2b_en: gemma("C2S-Scale on Gemma 2 2B", "vandijklab/C2S-Scale-Gemma-2-2B", "gemma2_2b"),
  c2s_scale_gemma_2_27b_en: gemma("C2S-Scale on Gemma 2 27B", "vandijklab/C2S-Scale-Gemma-2-27B", "gemma2_27b"),
} as const satisfies Readonly<Record<string, PresetSpec<GemmaConfig>>>;
