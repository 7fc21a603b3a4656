/** The published models of SmolLM 3. */
import type { PresetSpec } from "../architecture/architecture.ts";
import type { SmolLM3Config } from "./smollm3.ts";

const smolLM3_3b = {
  vocabularySize: 128_256,
  hiddenDim: 2048,
  intermediateDim: 11_008,
  numLayers: 36,
  numAttentionHeads: 16,
  numKeyValueHeads: 4,
  ropeTheta: 5_000_000,
} as const satisfies SmolLM3Config;

/** Keras counts 2,304 more: the rotary frequencies of each layer. */
const parameters = 3_075_098_624;

/** The presets of SmolLM 3, under KerasHub's name; under its repository's where it has none. */
export const smolLM3Presets = {
  smollm3_3b_en: {
    title: "SmolLM3 3B, instruction-tuned",
    repository: "HuggingFaceTB/SmolLM3-3B",
    parameters,
    config: smolLM3_3b,
    text: { eosTokenIds: [128_012] },
  },
  "SmolLM3-3B-Base": {
    title: "SmolLM3 3B",
    repository: "HuggingFaceTB/SmolLM3-3B-Base",
    parameters,
    config: smolLM3_3b,
  },
} as const satisfies Readonly<Record<string, PresetSpec<SmolLM3Config>>>;
