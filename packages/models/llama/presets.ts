/** The published models of Llama 3, 3.1, 3.2 and 3.3, and the guards made of them. */
import type { PresetSpec } from "../architecture/architecture.ts";
import type { LlamaConfig } from "./llama.ts";
import { smolLMPresets } from "./smollm_presets.ts";

const shared = {
  vocabularySize: 128_256,
  numKeyValueHeads: 8,
  ropeMaxWavelength: 500_000,
  layerNormEpsilon: 1e-5,
} as const satisfies Partial<LlamaConfig>;

/** From 3.1 on the context of 8192 tokens is stretched. */
function stretched(factor: number) {
  return {
    ropeFrequencyAdjustmentFactor: factor,
    ropeLowFreqFactor: 1,
    ropeHighFreqFactor: 4,
    ropePretrainingSequenceLength: 8192,
  } as const satisfies Partial<LlamaConfig>;
}

const llama3_8b = {
  ...shared,
  numLayers: 32,
  numQueryHeads: 32,
  hiddenDim: 4096,
  intermediateDim: 14_336,
  headDim: 128,
} as const satisfies LlamaConfig;

const llama31_8b = { ...llama3_8b, ...stretched(8) } as const satisfies LlamaConfig;

/** The heads of the two small models are their token embeddings; KerasHub's copies of them hold the same values twice. */
const llama32_1b = {
  ...shared,
  ...stretched(32),
  numLayers: 16,
  numQueryHeads: 32,
  hiddenDim: 2048,
  intermediateDim: 8192,
  headDim: 64,
  tieWordEmbeddings: true,
} as const satisfies LlamaConfig;

const llama32_3b = {
  ...llama32_1b,
  numLayers: 28,
  numQueryHeads: 24,
  hiddenDim: 3072,
  headDim: 128,
} as const satisfies LlamaConfig;

const llama33_70b = {
  ...shared,
  ...stretched(8),
  numLayers: 80,
  numQueryHeads: 64,
  hiddenDim: 8192,
  intermediateDim: 28_672,
  headDim: 128,
} as const satisfies LlamaConfig;

/** `<|end_of_text|>` ends a text, and in a conversation `<|eom_id|>` a message and `<|eot_id|>` a turn. */
const ends = { base: [128_001], chat3: [128_001, 128_009], chat: [128_001, 128_008, 128_009] } as const;

/** The published number of parameters of each size, without the copies of the embedding that KerasHub's files hold beside it. */
const sizes = {
  "8b": [8_030_261_248, llama3_8b],
  "3.1 8b": [8_030_261_248, llama31_8b],
  "3.2 1b": [1_235_814_400, llama32_1b],
  "3.2 3b": [3_212_749_824, llama32_3b],
  "3.3 70b": [70_553_706_496, llama33_70b],
} as const satisfies Record<string, readonly [parameters: number, config: LlamaConfig]>;

function llama(
  title: string,
  name: string,
  size: keyof typeof sizes,
  end: keyof typeof ends = "base",
): PresetSpec<LlamaConfig> {
  const [parameters, config] = sizes[size];
  return { title, repository: `meta-llama/${name}`, parameters, config, text: { eosTokenIds: ends[end] } };
}

/** The presets of Llama 3, under KerasHub's names, and of SmolLM. */
export const llamaPresets = {
  llama3_8b_en: llama("Llama 3 8B", "Meta-Llama-3-8B", "8b"),
  llama3_instruct_8b_en: llama("Llama 3 8B, instruction-tuned", "Meta-Llama-3-8B-Instruct", "8b", "chat3"),
  "llama3.1_8b": llama("Llama 3.1 8B", "Llama-3.1-8B", "3.1 8b"),
  "llama3.1_instruct_8b": llama("Llama 3.1 8B, instruction-tuned", "Llama-3.1-8B-Instruct", "3.1 8b", "chat"),
  "llama3.1_guard_8b": llama("Llama Guard 3 8B", "Llama-Guard-3-8B", "3.1 8b", "chat"),
  "llama3.2_1b": llama("Llama 3.2 1B", "Llama-3.2-1B", "3.2 1b"),
  "llama3.2_instruct_1b": llama("Llama 3.2 1B, instruction-tuned", "Llama-3.2-1B-Instruct", "3.2 1b", "chat"),
  "llama3.2_guard_1b": llama("Llama Guard 3 1B", "Llama-Guard-3-1B", "3.2 1b", "chat"),
  "llama3.2_3b": llama("Llama 3.2 3B", "Llama-3.2-3B", "3.2 3b"),
  "llama3.2_instruct_3b": llama("Llama 3.2 3B, instruction-tuned", "Llama-3.2-3B-Instruct", "3.2 3b", "chat"),
  "llama3.3_instruct_70b": llama("Llama 3.3 70B, instruction-tuned", "Llama-3.3-70B-Instruct", "3.3 70b", "chat"),
  ...smolLMPresets,
} as const satisfies Readonly<Record<string, PresetSpec<LlamaConfig>>>;
