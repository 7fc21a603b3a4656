/** The published models of Qwen 2.5, with those for code and mathematics. */
import type { PresetSpec } from "../architecture/architecture.ts";
import type { Qwen2Config } from "./qwen2.ts";

/** The large models' vocabulary is padded further, and their heads are their own. */
const small = { vocabularySize: 151_936, tieWordEmbeddings: true, ropeMaxWavelength: 1_000_000 } as const;
const large = { vocabularySize: 152_064, tieWordEmbeddings: false, ropeMaxWavelength: 1_000_000 } as const;

/** The published number of parameters of each size, and its dimensions. */
const sizes = {
  "0.5B": [494_032_768, {
    ...small,
    numLayers: 24,
    numQueryHeads: 14,
    numKeyValueHeads: 2,
    hiddenDim: 896,
    intermediateDim: 4864,
  }],
  "1.5B": [1_543_714_304, {
    ...small,
    numLayers: 28,
    numQueryHeads: 12,
    numKeyValueHeads: 2,
    hiddenDim: 1536,
    intermediateDim: 8960,
  }],
  "3B": [3_085_938_688, {
    ...small,
    numLayers: 36,
    numQueryHeads: 16,
    numKeyValueHeads: 2,
    hiddenDim: 2048,
    intermediateDim: 11_008,
  }],
  "7B": [7_615_616_512, {
    ...large,
    numLayers: 28,
    numQueryHeads: 28,
    numKeyValueHeads: 4,
    hiddenDim: 3584,
    intermediateDim: 18_944,
  }],
  "14B": [14_770_033_664, {
    ...large,
    numLayers: 48,
    numQueryHeads: 40,
    numKeyValueHeads: 8,
    hiddenDim: 5120,
    intermediateDim: 13_824,
  }],
  "32B": [32_763_876_352, {
    ...large,
    numLayers: 64,
    numQueryHeads: 40,
    numKeyValueHeads: 8,
    hiddenDim: 5120,
    intermediateDim: 27_648,
  }],
  "72B": [72_706_203_648, {
    ...large,
    numLayers: 80,
    numQueryHeads: 64,
    numKeyValueHeads: 8,
    hiddenDim: 8192,
    intermediateDim: 29_568,
  }],
} as const satisfies Record<string, readonly [parameters: number, config: Qwen2Config]>;
type Size = keyof typeof sizes;

/** Where a release differs: in its context, its dimensions, and whether it is tuned to follow instructions. */
interface Release {
  readonly isInstruct?: boolean;
  readonly contextLength?: number;
  readonly config?: Partial<Qwen2Config>;
}

const long: Release = { contextLength: 131_072 };
/** The large base models were trained with another epsilon. */
const large131k: Release = { ...long, config: { layerNormEpsilon: 1e-5 } };
const instruct: Release = { isInstruct: true };
const math: Release = { contextLength: 4096, config: { ropeMaxWavelength: 10_000 } };

/** `<|endoftext|>` ends a text, and `<|im_end|>` a turn of a conversation. */
function qwen(line: "" | "Coder " | "Math ", size: Size, release: Release = {}): PresetSpec<Qwen2Config> {
  const { isInstruct = false, contextLength = 32_768, config = {} } = release;
  const [parameters, dimensions] = sizes[size];
  return {
    title: `Qwen 2.5 ${line}${size}${isInstruct ? ", instruction-tuned" : ""}`,
    repository: `Qwen/Qwen2.5-${line.replace(" ", "-")}${size}${isInstruct ? "-Instruct" : ""}`,
    parameters,
    config: { ...dimensions, ...config },
    text: { contextLength, eosTokenIds: isInstruct ? [151_645, 151_643] : [151_643] },
  };
}

/** The presets of Qwen 2.5, under KerasHub's names, and under those of the repositories where it has none. */
export const qwen2Presets = {
  "qwen2.5_0.5b_en": qwen("", "0.5B"),
  "Qwen2.5-1.5B": qwen("", "1.5B", long),
  "qwen2.5_3b_en": qwen("", "3B"),
  "qwen2.5_7b_en": qwen("", "7B", long),
  "Qwen2.5-14B": qwen("", "14B", large131k),
  "Qwen2.5-32B": qwen("", "32B", large131k),
  "Qwen2.5-72B": qwen("", "72B", large131k),
  "qwen2.5_instruct_0.5b_en": qwen("", "0.5B", instruct),
  "Qwen2.5-1.5B-Instruct": qwen("", "1.5B", instruct),
  "Qwen2.5-3B-Instruct": qwen("", "3B", instruct),
  "Qwen2.5-7B-Instruct": qwen("", "7B", instruct),
  "Qwen2.5-14B-Instruct": qwen("", "14B", instruct),
  "qwen2.5_instruct_32b_en": qwen("", "32B", instruct),
  "qwen2.5_instruct_72b_en": qwen("", "72B", instruct),
  "qwen2.5_coder_0.5b": qwen("Coder ", "0.5B"),
  "qwen2.5_coder_1.5b": qwen("Coder ", "1.5B"),
  "qwen2.5_coder_3b": qwen("Coder ", "3B"),
  "qwen2.5_coder_7b": qwen("Coder ", "7B"),
  "qwen2.5_coder_14b": qwen("Coder ", "14B"),
  "qwen2.5_coder_32b": qwen("Coder ", "32B"),
  "qwen2.5_coder_instruct_0.5b": qwen("Coder ", "0.5B", instruct),
  "qwen2.5_coder_instruct_1.5b": qwen("Coder ", "1.5B", instruct),
  "qwen2.5_coder_instruct_3b": qwen("Coder ", "3B", instruct),
  "qwen2.5_coder_instruct_7b": qwen("Coder ", "7B", instruct),
  "qwen2.5_coder_instruct_14b": qwen("Coder ", "14B", instruct),
  "qwen2.5_coder_instruct_32b": qwen("Coder ", "32B", instruct),
  "qwen2.5_math_1.5b_en": qwen("Math ", "1.5B", math),
  "qwen2.5_math_instruct_1.5b_en": qwen("Math ", "1.5B", { ...math, isInstruct: true }),
  "qwen2.5_math_7b_en": qwen("Math ", "7B", math),
  "qwen2.5_math_instruct_7b_en": qwen("Math ", "7B", { ...math, isInstruct: true }),
} as const satisfies Readonly<Record<string, PresetSpec<Qwen2Config>>>;
