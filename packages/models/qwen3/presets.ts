/** The published dense models of Qwen 3. */
import type { PresetSpec } from "../architecture/architecture.ts";
import type { Qwen3Config } from "./qwen3.ts";

const shared = {
  vocabularySize: 151_936,
  numKeyValueHeads: 8,
  headDim: 128,
  ropeMaxWavelength: 1_000_000,
} as const satisfies Partial<Qwen3Config>;
const small = { ...shared, tieWordEmbeddings: true } as const;
const large = { ...shared, tieWordEmbeddings: false } as const;

/** The published number of parameters of each size, and its dimensions. */
const sizes = {
  "0.6B": [596_049_920, { ...small, numLayers: 28, numQueryHeads: 16, hiddenDim: 1024, intermediateDim: 3072 }],
  "1.7B": [1_720_574_976, { ...small, numLayers: 28, numQueryHeads: 16, hiddenDim: 2048, intermediateDim: 6144 }],
  "4B": [4_022_468_096, { ...small, numLayers: 36, numQueryHeads: 32, hiddenDim: 2560, intermediateDim: 9728 }],
  "8B": [8_190_735_360, { ...large, numLayers: 36, numQueryHeads: 32, hiddenDim: 4096, intermediateDim: 12_288 }],
  "14B": [14_768_307_200, { ...large, numLayers: 40, numQueryHeads: 40, hiddenDim: 5120, intermediateDim: 17_408 }],
  "32B": [32_762_123_264, { ...large, numLayers: 64, numQueryHeads: 64, hiddenDim: 5120, intermediateDim: 25_600 }],
} as const satisfies Record<string, readonly [parameters: number, config: Qwen3Config]>;
type Size = keyof typeof sizes;

/** A model that converses, and reasons before it answers. */
function chat(size: Size): PresetSpec<Qwen3Config> {
  const [parameters, config] = sizes[size];
  return { title: `Qwen 3 ${size}`, repository: `Qwen/Qwen3-${size}`, parameters, config };
}

function base(size: Size): PresetSpec<Qwen3Config> {
  const text = { contextLength: 32_768, eosTokenIds: [151_643] };
  return { ...chat(size), title: `Qwen 3 ${size}, base`, repository: `Qwen/Qwen3-${size}-Base`, text };
}

const of2507: Qwen3Config = { ...sizes["4B"][1], ropeMaxWavelength: 5_000_000 };

/** The models of July 2025 either reason or do not, and read longer texts. */
function later(kind: "Instruct" | "Thinking", what: string): PresetSpec<Qwen3Config> {
  const found = { ...chat("4B"), config: of2507, text: { contextLength: 262_144 } };
  return { ...found, title: `Qwen 3 4B of July 2025, ${what}`, repository: `Qwen/Qwen3-4B-${kind}-2507` };
}

/** The presets of Qwen 3, under KerasHub's names, and under those of the repositories where it has none. */
export const qwen3Presets = {
  "qwen3_0.6b_en": chat("0.6B"),
  "qwen3_1.7b_en": chat("1.7B"),
  "qwen3_4b_en": chat("4B"),
  "qwen3_8b_en": chat("8B"),
  "qwen3_14b_en": chat("14B"),
  "qwen3_32b_en": chat("32B"),
  "Qwen3-0.6B-Base": base("0.6B"),
  "Qwen3-1.7B-Base": base("1.7B"),
  "Qwen3-4B-Base": base("4B"),
  "Qwen3-8B-Base": base("8B"),
  "Qwen3-14B-Base": base("14B"),
  "Qwen3-4B-Instruct-2507": later("Instruct", "instruction-tuned"),
  "Qwen3-4B-Thinking-2507": later("Thinking", "which reasons before it answers"),
} as const satisfies Readonly<Record<string, PresetSpec<Qwen3Config>>>;
