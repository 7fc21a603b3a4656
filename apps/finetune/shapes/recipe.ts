/** Everything that decides what `paligemma-tiny` becomes. */
import type { PaliGemmaConfig } from "tessera";
import { side } from "./scene.ts";

/** The tokens of words, before those of images, places and outlines. */
const words = 448;

/** The tokens that PaliGemma adds to Gemma's: the image's, 1024 places and 128 outline codes. */
export const imageTokens: readonly string[] = [
  "<image>",
  ...Array.from({ length: 1024 }, (_, i) => `<loc${String(i).padStart(4, "0")}>`),
  ...Array.from({ length: 128 }, (_, i) => `<seg${String(i).padStart(3, "0")}>`),
];

/** A PaliGemma 1 of about a million parameters. */
export const architecture: PaliGemmaConfig = {
  text: {
    vocabularySize: words + imageTokens.length,
    numLayers: 4,
    numQueryHeads: 4,
    numKeyValueHeads: 1,
    hiddenDim: 128,
    intermediateDim: 512,
    headDim: 32,
  },
  vision: { imageSize: side, patchSize: 8, numLayers: 3, numHeads: 4, hiddenDim: 96, intermediateDim: 256 },
  imageTokenId: words,
};

/** The tokens of a text, its image's included, at most. */
export const contextLength = 128;

/** The tokenizer: trained on the texts of this many scenes from this seed. */
export const tokenizerTraining = { seed: 30, scenes: 2000, vocabularySize: words };

/** Some steps of pretraining with one optimizer: the learning rate follows the beginning of a cosine of `totalSteps`. */
export interface Phase {
  /** The number of optimizer steps. */
  readonly steps: number;
  /** The highest learning rate. */
  readonly learningRate: number;
  /** The number of steps over which it rises from zero. */
  readonly warmupSteps: number;
  /** The number of steps after which it would be zero again. */
  readonly totalSteps: number;
}

/**
 * Pretraining from random weights: `scenesPerStep` new scenes a step, with a task of each kind about each. The first phase keeps
 * the learning rate high, the second takes it to zero.
 */
export const pretraining = {
  seed: 3,
  scenesPerStep: 12,
  phases: [
    { steps: 850, learningRate: 2e-3, warmupSteps: 150, totalSteps: 3000 },
    { steps: 700, learningRate: 1.5e-3, warmupSteps: 30, totalSteps: 700 },
  ] satisfies Phase[] as Phase[],
  beta2: 0.98,
  weightDecay: 0.01,
  clipNorm: 1,
};

/** The data of the fine-tuning task: scenes in each file, from this seed, with a caption and a detection each. */
export const finetuningData = { seed: 40, train: 400, heldOut: 40 };
