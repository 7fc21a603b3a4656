/** The published models of Phi-3, Phi-3.5 and Phi-4. */
import type { PresetSpec } from "../architecture/architecture.ts";
import type { TextConfig } from "../architecture/text_config.ts";
import { attentionFactorOf, type LongRope } from "./longrope.ts";
import type { Phi3Config } from "./phi3.ts";

/** A context of 131072 tokens, stretched from 4096 by factors for 48 pairs; the files hold them as float32. */
function stretched(short: string, long: string): LongRope {
  const [shortFactors, longFactors] = [short, long].map((factors) => factors.split(" ").map(Number));
  const pretrainingSequenceLength = 4096;
  return {
    shortFactors: shortFactors!,
    longFactors: longFactors!,
    attentionFactor: attentionFactorOf(32, pretrainingSequenceLength),
    pretrainingSequenceLength,
  };
}

const mini128k = stretched(
  "1.1 1.1 1.1 1.3 1.35 1.35 1.4 1.55 2 2 2 2 2 2 2 2 2 2 2 2 2 2 2 2 2 2.05 2.05 2.05 2.05 2.05 2.05 2.1 2.1 2.15 " +
    "2.25 2.25 2.25 2.25 2.25 2.4 2.45 2.5 2.7 2.7 2.75 2.8 2.9 3.05",
  "1.07 1.12 1.15 1.42 1.5699999 1.8 2.1299999 2.1299999 3.01 5.9100003 6.9500003 9.070001 9.93 10.71 11.13 14.61 " +
    "15.409999 19.81 37.28 38.28 38.6 40.120003 46.200005 50.940006 53.660007 54.93739 56.89739 57.287388 59.987385 " +
    "60.867386 60.887386 61.717392 62.917393 62.957394 63.417393 63.817394 63.837395 63.897396 63.937397 64.0674 " +
    "64.11435 64.12435 64.15435 64.19435 64.244354 64.574356 64.69 64.76",
);

const mini35 = stretched(
  "1 1.02 1.03 1.03 1.05 1.05 1.05 1.05 1.05 1.0699999 1.0999999 1.1099999 1.1599998 1.1599998 1.1699998 1.2899998 " +
    "1.3399998 1.6799998 1.7899998 1.8199998 1.8499998 1.8799998 1.9099997 1.9399997 1.9899997 2.0199997 2.0199997 " +
    "2.0199997 2.0199997 2.0199997 2.0199997 2.0299997 2.0299997 2.0299997 2.0299997 2.0299997 2.0299997 2.0299997 " +
    "2.0299997 2.0299997 2.0799997 2.0899997 2.1899996 2.2199996 2.5899994 2.7299995 2.7499995 2.8399994",
  "1.08 1.11 1.14 1.34 1.5899999 1.6 1.62 2.6200001 3.23 3.23 4.79 7.4 7.7000003 9.09 12.2 17.67 24.460001 28.570002 " +
    "30.420002 30.840002 32.590004 32.930004 42.320004 44.960003 50.340004 50.450005 57.550003 57.930004 58.210003 " +
    "60.140003 62.610004 62.620003 62.710003 63.140003 63.140003 63.770004 63.930004 63.960003 63.97 64.03 64.07 " +
    "64.08 64.12 64.41 64.48 64.51 64.53 64.84",
);

const mini4 = stretched(
  new Array(48).fill(1).join(" "),
  "1 1.118320672 1.250641126 1.398617824 1.564103225 1.74916897 1.956131817 2.187582649 2.446418898 2.735880826 " +
    "3.059592084 3.421605075 3.826451687 4.279200023 4.785517845 5.351743533 5.984965424 6.693110555 7.485043894 " +
    "8.370679318 9.36110372 10.4687158 11.70738129 13.09260651 14.64173252 16.37415215 18.31155283 20.47818807 " +
    "22.90118105 25.61086418 28.64115884 32.03 32.1 32.13 32.23 32.6 32.61 32.64 32.66 32.7 32.71 32.93 32.97 33.28 " +
    "33.49 33.5 44.16 47.77",
);

const mini = {
  vocabularySize: 32_064,
  numLayers: 32,
  numQueryHeads: 32,
  numKeyValueHeads: 32,
  hiddenDim: 3072,
  intermediateDim: 8192,
  layerNormEpsilon: 1e-5,
} as const satisfies Phi3Config;

const medium = {
  ...mini,
  numLayers: 40,
  numQueryHeads: 40,
  numKeyValueHeads: 10,
  hiddenDim: 5120,
  intermediateDim: 17_920,
} as const satisfies Phi3Config;

const phi4 = { ...medium, vocabularySize: 100_352, ropeMaxWavelength: 250_000 } as const satisfies Phi3Config;

/** The published number of parameters of each size. */
const sizes = {
  "mini 4k": [3_821_079_552, { ...mini, slidingWindowSize: 2047 }],
  "mini 128k": [3_821_079_552, { ...mini, slidingWindowSize: 262_144, ropeScaling: mini128k }],
  "3.5 mini": [3_821_079_552, { ...mini, slidingWindowSize: 262_144, ropeScaling: mini35 }],
  "medium 4k": [13_960_238_080, { ...medium, slidingWindowSize: 2047 }],
  "4": [14_659_507_200, phi4],
  "4 reasoning": [14_659_507_200, { ...phi4, ropeMaxWavelength: 500_000 }],
  "4 mini": [3_836_021_760, {
    ...mini,
    vocabularySize: 200_064,
    numQueryHeads: 24,
    numKeyValueHeads: 8,
    partialRotaryFactor: 0.75,
    ropeScaling: mini4,
    slidingWindowSize: 262_144,
    tieWordEmbeddings: true,
  }],
} as const satisfies Record<string, readonly [parameters: number, config: Phi3Config]>;

/** `<|endoftext|>` ends a text, and a turn ends with `<|end|>`, in Phi-4 with `<|im_end|>`. Phi-3 stops at `<|assistant|>`, too. */
const texts = {
  3: { eosTokenIds: [32_000, 32_001, 32_007] },
  4: { contextLength: 16_384, bosTokenId: 100_257, eosTokenIds: [100_265], padTokenId: 100_349 },
  reasoning: { contextLength: 32_768, bosTokenId: 100_257, eosTokenIds: [100_265], padTokenId: 100_349 },
  mini: { bosTokenId: 199_999, eosTokenIds: [200_020, 199_999], padTokenId: 199_999 },
} as const satisfies Record<string, Partial<TextConfig>>;

function phi(name: string, size: keyof typeof sizes, text: keyof typeof texts): PresetSpec<Phi3Config> {
  const [parameters, config] = sizes[size];
  const title = `${name.replaceAll("-", " ").replace(/^[Pp]hi /, "Phi-").replace(" instruct", ", instruction-tuned")}`;
  return { title, repository: `microsoft/${name}`, parameters, config, text: texts[text] };
}

/** The presets of Phi-3, under KerasHub's names, and under those of the repositories where it has none. */
export const phi3Presets = {
  phi3_mini_4k_instruct_en: phi("Phi-3-mini-4k-instruct", "mini 4k", 3),
  phi3_mini_128k_instruct_en: phi("Phi-3-mini-128k-instruct", "mini 128k", 3),
  "Phi-3-medium-4k-instruct": phi("Phi-3-medium-4k-instruct", "medium 4k", 3),
  "Phi-3.5-mini-instruct": phi("Phi-3.5-mini-instruct", "3.5 mini", 3),
  "phi-4": phi("phi-4", "4", 4),
  "Phi-4-reasoning": phi("Phi-4-reasoning", "4 reasoning", "reasoning"),
  "Phi-4-reasoning-plus": phi("Phi-4-reasoning-plus", "4 reasoning", "reasoning"),
  "Phi-4-mini-instruct": phi("Phi-4-mini-instruct", "4 mini", "mini"),
  "Phi-4-mini-reasoning": phi("Phi-4-mini-reasoning", "4 mini", "mini"),
} as const satisfies Readonly<Record<string, PresetSpec<Phi3Config>>>;
