/** The examples of a job: read, divided, encoded, and as questions to the model. */
import { randomKey, uniform } from "@tessera/core";
import { imageEncoding, type ImageInputs } from "@tessera/models";
import { type EncodedExample, encodeExamples, type Example, loadExamples } from "@tessera/train";
import { createDataset, type Dataset, type Tokenizer } from "tessera";
import type { Config } from "../job/config.ts";
import type { DataFacts } from "../run/record.ts";

/** Examples and where they come from. */
export interface Examples {
  /** Where they come from, for people. */
  readonly source: string;
  /** The examples. */
  readonly list: readonly Example[];
}

/** The image of a prompt. */
export interface QuestionImage {
  /** The file. */
  readonly path: string;
  /** What the model sees of it, RGB. */
  readonly pixels: Uint8Array;
}

/** A held-out prompt as tokens, and its right answer. */
export interface Question {
  /** The tokens of the prompt. */
  readonly tokenIds: readonly number[];
  /** The prompt, as people read it. */
  readonly prompt: string;
  /** The image that the prompt begins with; `null` for text alone. */
  readonly image: QuestionImage | null;
  /** The right answer. */
  readonly expected: string;
}

/** Examples as the trainer takes them. */
export interface Prepared {
  /** The batches. */
  readonly dataset: Dataset;
  /** What they consist of. */
  readonly facts: DataFacts;
  /** The prompts that have one right answer. */
  readonly questions: readonly Question[];
}

/** Sets a share of the examples aside, chosen by a seed; both sets keep their order. */
export function splitExamples<T>(examples: readonly T[], share: number, seed: number): { rest: T[]; aside: T[] } {
  if (examples.length < 2) {
    throw new RangeError(
      `Cannot set ${share} of the training examples aside: there is only one; name a file in data.heldOut, or null for none`,
    );
  }
  const count = Math.min(examples.length - 1, Math.max(1, Math.round(examples.length * share)));
  const draws = uniform(randomKey(seed), examples.length);
  const chosen = new Set([...examples.keys()].sort((a, b) => draws[a]! - draws[b]! || a - b).slice(0, count));
  return { rest: examples.filter((_, i) => !chosen.has(i)), aside: examples.filter((_, i) => chosen.has(i)) };
}

/**
 * Reads the training examples and the held-out ones.
 *
 * @throws {Error} when a file is missing, malformed or empty.
 */
export async function readExamplesOf(
  { data, training }: Config,
): Promise<{ train: Examples; heldOut: Examples | null }> {
  const train = { source: data.train, list: await loadExamples(data.train) };
  if (data.heldOut === null) return { train, heldOut: null };
  if (typeof data.heldOut === "string") {
    return { train, heldOut: { source: data.heldOut, list: await loadExamples(data.heldOut) } };
  }
  const { rest, aside } = splitExamples(train.list, data.heldOut, training.seed);
  const source = `${Number((data.heldOut * 100).toFixed(2))} % of ${data.train}`;
  return { train: { ...train, list: rest }, heldOut: { source, list: aside } };
}

/** The question that an example asks: what comes before its last answer; null for a plain text, which asks none. */
function questionOf(example: Example, encoded: EncodedExample, tokenizer: Tokenizer): Question | null {
  if (example.kind === "text") return null;
  const { tokenIds, lossMask } = encoded;
  const end = lossMask.lastIndexOf(1) + 1;
  const start = lossMask.lastIndexOf(0, end - 1) + 1;
  const prompt = example.kind === "prompt"
    ? example.prompt
    : example.messages.filter(({ role }) => role !== "assistant").at(-1)?.content ?? "";
  return {
    tokenIds: [...tokenIds.subarray(0, start)],
    prompt,
    image: example.kind === "prompt" && typeof example.image === "string" && encoded.image !== undefined
      ? { path: example.image, pixels: encoded.image }
      : null,
    expected: tokenizer.decode([...tokenIds.subarray(start, end)], { skipSpecialTokens: true }),
  };
}

/**
 * Encodes examples and sorts them into batches.
 *
 * @throws {RangeError} when an example is too long and may not be cut.
 */
export async function prepareExamples(
  { source, list }: Examples,
  tokenizer: Tokenizer,
  config: Config,
  { contextLength, images }: { readonly contextLength: number; readonly images: ImageInputs | undefined },
): Promise<Prepared> {
  const { overflow, chat } = config.data;
  const maxLength = config.data.maxLength ?? contextLength;
  if (maxLength > contextLength) {
    throw new RangeError(
      `Cannot use data.maxLength ${maxLength}: the context of the model holds ${contextLength} tokens; lower it, or use null`,
    );
  }
  const { examples, truncated, dropped } = await encodeExamples(list, tokenizer, {
    maxLength,
    overflow,
    chat,
    ...(images === undefined ? {} : { images: imageEncoding(images) }),
  });
  const dataset = createDataset(examples, {
    batchSize: config.training.batchSize,
    padId: tokenizer.padId ?? 0,
    maxLength,
  });
  const { statistics } = dataset;
  const byPlace = new Map(list.map((example) => [example.at, example]));
  return {
    dataset,
    facts: {
      source,
      examples: statistics.examples,
      tokens: statistics.tokens,
      targetTokens: statistics.targetTokens,
      longest: statistics.longest,
      padding: statistics.padding,
      shapes: statistics.shapes.map(({ batch, time, batches }) => ({ shape: [batch, time], batches })),
      truncated,
      dropped: dropped.length,
    },
    // An answer that was cut off is no longer the right one, so such examples ask nothing.
    questions: examples.flatMap((encoded) => {
      if (encoded.tokenIds.length === maxLength && truncated > 0) return [];
      const question = questionOf(byPlace.get(encoded.at)!, encoded, tokenizer);
      return question === null ? [] : [question];
    }),
  };
}
