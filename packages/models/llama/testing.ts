/** The configs that tests of Llama start from. */
import type { LlamaConfig } from "./llama.ts";

/** Llama 3 8B. */
export const llama8b: LlamaConfig = {
  vocabularySize: 128_256,
  numLayers: 32,
  numQueryHeads: 32,
  numKeyValueHeads: 8,
  hiddenDim: 4096,
  intermediateDim: 14_336,
  ropeMaxWavelength: 500_000,
  layerNormEpsilon: 1e-5,
};

/** What Llama 3.1 adds: rotary embeddings stretched from 8,192 tokens. */
export const stretched = {
  ropeFrequencyAdjustmentFactor: 8,
  ropeLowFreqFactor: 1,
  ropeHighFreqFactor: 4,
  ropePretrainingSequenceLength: 8192,
};
