/** The published models of SmolLM and SmolLM 2, which are small Llamas whose heads are their token embeddings. */
import type { PresetSpec } from "../architecture/architecture.ts";
import type { LlamaConfig } from "./llama.ts";

const small = {
  vocabularySize: 49_152,
  numLayers: 30,
  numQueryHeads: 9,
  numKeyValueHeads: 3,
  hiddenDim: 576,
  intermediateDim: 1536,
  headDim: 64,
  ropeMaxWavelength: 10_000,
  layerNormEpsilon: 1e-5,
  tieWordEmbeddings: true,
} as const satisfies LlamaConfig;

const medium = {
  ...small,
  numLayers: 32,
  numQueryHeads: 15,
  numKeyValueHeads: 5,
  hiddenDim: 960,
  intermediateDim: 2560,
} as const satisfies LlamaConfig;

const large = {
  ...small,
  numLayers: 24,
  numQueryHeads: 32,
  numKeyValueHeads: 32,
  hiddenDim: 2048,
  intermediateDim: 8192,
} as const satisfies LlamaConfig;

/** Each model: its context in tokens, its published number of parameters, its dimensions. */
const models = {
  "SmolLM-135M": [2048, 134_515_008, small],
  "SmolLM-360M": [2048, 361_821_120, medium],
  "SmolLM-1.7B": [2048, 1_711_376_384, large],
  "SmolLM2-135M": [8192, 134_515_008, { ...small, ropeMaxWavelength: 100_000 }],
  "SmolLM2-360M": [8192, 361_821_120, { ...medium, ropeMaxWavelength: 100_000 }],
  "SmolLM2-1.7B": [8192, 1_711_376_384, { ...large, ropeMaxWavelength: 130_000 }],
} as const satisfies Record<string, readonly [context: number, parameters: number, config: LlamaConfig]>;

function base(name: keyof typeof models): PresetSpec<LlamaConfig> {
  const [contextLength, parameters, config] = models[name];
  const text = { contextLength, bosTokenId: 0, eosTokenIds: [0], padTokenId: null };
  return { title: name.replace("-", " "), repository: `HuggingFaceTB/${name}`, parameters, config, text };
}

/** `<|im_end|>` ends a turn, and fills a batch. */
function instruct(name: keyof typeof models): PresetSpec<LlamaConfig> {
  const { title, repository, text, ...rest } = base(name);
  return {
    title: `${title}, instruction-tuned`,
    repository: `${repository}-Instruct`,
    text: { ...text, bosTokenId: 1, eosTokenIds: [2], padTokenId: 2 },
    ...rest,
  };
}

/** The presets of SmolLM and SmolLM 2, under their repositories' names. */
export const smolLMPresets = {
  "SmolLM-135M": base("SmolLM-135M"),
  "SmolLM-135M-Instruct": instruct("SmolLM-135M"),
  "SmolLM-360M": base("SmolLM-360M"),
  "SmolLM-360M-Instruct": instruct("SmolLM-360M"),
  "SmolLM-1.7B": base("SmolLM-1.7B"),
  "SmolLM-1.7B-Instruct": instruct("SmolLM-1.7B"),
  "SmolLM2-135M": base("SmolLM2-135M"),
  "SmolLM2-135M-Instruct": instruct("SmolLM2-135M"),
  "SmolLM2-360M": base("SmolLM2-360M"),
  "SmolLM2-360M-Instruct": instruct("SmolLM2-360M"),
  "SmolLM2-1.7B": base("SmolLM2-1.7B"),
  "SmolLM2-1.7B-Instruct": instruct("SmolLM2-1.7B"),
} as const satisfies Readonly<Record<string, PresetSpec<LlamaConfig>>>;
