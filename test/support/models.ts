/** Small models and folders that the tests of this package share. */
import { foldIn, type HostTensor, hostTensor, randomKey } from "@tessera/core";
import type { BuildOptions, TextConfig } from "@tessera/models";
import { initialize, randomNormal } from "@tessera/nn";
import type { EncodedExample } from "@tessera/train";
import { type Backend, GemmaCausalLM, type GemmaConfig, Llama3CausalLM, type LlamaConfig } from "tessera";

/** A Gemma 2 small enough for a test, whose vocabulary holds that of the test tokenizer. */
export const tinyConfig: GemmaConfig = {
  vocabularySize: 480,
  numLayers: 2,
  numQueryHeads: 4,
  numKeyValueHeads: 2,
  hiddenDim: 32,
  intermediateDim: 96,
  headDim: 12,
  usePostFfwNorm: true,
  usePostAttentionNorm: true,
  attentionLogitSoftCap: 20,
  finalLogitSoftCap: 10,
  useSlidingWindowAttention: true,
  slidingWindowSize: 8,
};

/** A model with random weights that follow from a seed. */
export function tinyModel(
  backend: Backend,
  config: Partial<GemmaConfig> = {},
  options: BuildOptions & { readonly text?: Partial<TextConfig>; readonly seed?: number } = {},
): GemmaCausalLM {
  const { seed = 1, ...rest } = options;
  const lm = GemmaCausalLM.fromConfig({ ...tinyConfig, ...config }, { backend, ...rest });
  initialize(lm.variables, backend, { seed });
  return lm;
}

/** A Llama 3.1 as small, whose rotary embedding is stretched within a few tokens. */
export const tinyLlamaConfig: LlamaConfig = {
  vocabularySize: 480,
  numLayers: 2,
  numQueryHeads: 4,
  numKeyValueHeads: 2,
  hiddenDim: 32,
  intermediateDim: 48,
  headDim: 12,
  ropeMaxWavelength: 500,
  ropeFrequencyAdjustmentFactor: 8,
  ropeLowFreqFactor: 1,
  ropeHighFreqFactor: 4,
  ropePretrainingSequenceLength: 32,
};

/** A Llama with random weights that follow from a seed, large enough that attention matters. */
export function tinyLlama(
  backend: Backend,
  config: Partial<LlamaConfig> = {},
  options: BuildOptions & { readonly text?: Partial<TextConfig>; readonly seed?: number } = {},
): Llama3CausalLM {
  const { seed = 1, ...rest } = options;
  const lm = Llama3CausalLM.fromConfig({ ...tinyLlamaConfig, ...config }, { backend, ...rest });
  for (const variable of lm.variables.filter(({ shape }) => shape.length > 1)) {
    const elements = randomNormal(0.2)(variable.stored.shape, foldIn(randomKey(seed), variable.path));
    variable.value = backend.upload(hostTensor("float32", variable.stored.shape, elements));
  }
  initialize(lm.variables, backend, { seed });
  return lm;
}

/** Runs a test with an empty folder, and removes the folder. */
export async function withFolder(run: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "tessera-test-" });
  try {
    await run(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Runs a test with a folder that holds a checkpoint of `tinyModel`, without a tokenizer. */
export async function withSavedModel(
  backend: Backend,
  config: Parameters<typeof tinyModel>[1],
  run: (folder: string) => Promise<void>,
  options: Parameters<typeof tinyModel>[2] = {},
): Promise<void> {
  await withFolder(async (folder) => {
    const lm = tinyModel(backend, config, options);
    await lm.saveToPreset(folder);
    lm.dispose();
    await run(folder);
  });
}

const tokenizerFolder = new URL("../../packages/tokenizer/testdata/gemma/", import.meta.url);

/** Runs a test with a folder that holds a checkpoint of `tinyModel` and a tokenizer. */
export async function withCheckpoint(
  backend: Backend,
  run: (folder: string) => Promise<void>,
  options: Parameters<typeof tinyModel>[2] = {},
): Promise<void> {
  await withSavedModel(backend, {}, async (folder) => {
    for (const file of ["tokenizer.json", "tokenizer_config.json"]) {
      await Deno.copyFile(new URL(file, tokenizerFolder), `${folder}/${file}`);
    }
    await run(folder);
  }, options);
}

/** The folder of a golden, such as `gemma/gemma2_gqa`. */
export function golden(name: string): string {
  return new URL(`../goldens/${name}`, import.meta.url).pathname;
}

/** Examples from rows of tokens; the loss mask covers all but the first `context` tokens. */
export function examplesOf(rows: readonly (readonly number[])[], context = 1): EncodedExample[] {
  return rows.map((row, i) => ({
    tokenIds: Int32Array.from(row),
    lossMask: Uint8Array.from(row, (_, t) => t >= context ? 1 : 0),
    at: `row ${i}`,
  }));
}

/** Rows of tokens that follow a rule, as something to learn. */
export function countingRows(lengths: readonly number[], vocabulary = 40): number[][] {
  return lengths.map((length, row) => Array.from({ length }, (_, t) => 6 + (row * 7 + t * 3) % vocabulary));
}

/** The largest difference between the elements of two tensors of one type, where a mask of their last axis' rows is not 0. */
export function largestDifference(actual: HostTensor, expected: HostTensor, mask?: ArrayLike<number>): number {
  const [found, wanted] = [actual.shape.join("x"), expected.shape.join("x")];
  if (found !== wanted) throw new TypeError(`Cannot compare a tensor of shape ${found} to one of shape ${wanted}`);
  const width = expected.shape.at(-1) ?? 1;
  let largest = 0;
  for (let i = 0; i < expected.data.length; i++) {
    if (mask !== undefined && mask[Math.floor(i / width)] === 0) continue;
    const difference = Math.abs(actual.data[i]! - expected.data[i]!);
    // A NaN counts as the largest difference.
    if (!(difference <= largest)) largest = Number.isNaN(difference) ? Infinity : difference;
  }
  return largest;
}
