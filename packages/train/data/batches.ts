/**
 * Batches of a few fixed shapes from examples of all lengths.
 *
 * Examples are padded on the right to the length of their bucket, and the last batch of a bucket is filled up with empty
 * rows, so that each bucket has one shape and one compiled program. The order of an epoch follows from the seed and the
 * number of the epoch alone: a run that was killed resumes where it stopped by skipping the batches that it had seen.
 */

import { checkOptions, type OptionNames } from "@tessera/text";
import { defaults } from "../defaults.ts";
import { foldIn, type HostTensor, hostTensor, randomKey } from "@tessera/core";
import { type BucketOptions, chooseBuckets } from "./buckets.ts";
import type { EncodedExample } from "./encode.ts";
import { randomOrder } from "./order.ts";

/** Some examples, padded to one length. */
export interface Batch {
  /** The tokens, padding included: `[batch, time]`. */
  readonly tokenIds: HostTensor<"int32">;
  /** 1 where the token at that place is one to learn, else 0; the first of each row is 0: `[batch, time]`. */
  readonly lossMask: HostTensor<"float32">;
  /** 1 where a token is real, 0 where it is padding: `[batch, time]`. */
  readonly paddingMask: HostTensor<"bool">;
  /** The image of each row, values from -1 to 1, `[batch, size, size, 3]`; only of examples that have one. */
  readonly images?: HostTensor<"float32">;
  /** The number of tokens to learn, which is the sum of `lossMask`. */
  readonly tokens: number;
  /** The number of rows that hold an example; they come first. */
  readonly examples: number;
}

/** One shape of batch. */
export interface BatchShape {
  /** The rows. */
  readonly batch: number;
  /** The tokens of a row. */
  readonly time: number;
  /** The number of examples of this length. */
  readonly examples: number;
  /** The number of batches in an epoch. */
  readonly batches: number;
}

/** What an epoch consists of. */
export interface DatasetStatistics {
  /** The number of examples. */
  readonly examples: number;
  /** The number of real tokens. */
  readonly tokens: number;
  /** The number of tokens to learn. */
  readonly targetTokens: number;
  /** The tokens of the longest example. */
  readonly longest: number;
  /** The number of batches in an epoch, the same in every epoch. */
  readonly batches: number;
  /** The share of all tokens in batches that is padding, empty rows included. */
  readonly padding: number;
  /** The shapes of batches that occur, the shortest first. */
  readonly shapes: readonly BatchShape[];
}

/** Examples sorted into buckets, ready for any number of epochs. */
export interface Dataset {
  /** The examples, in their original order. */
  readonly examples: readonly EncodedExample[];
  /** The rows of a batch. */
  readonly batchSize: number;
  /** The token that fills up rows. */
  readonly padId: number;
  /** What an epoch consists of. */
  readonly statistics: DatasetStatistics;
  /** The bucket of each example, as an index into `statistics.shapes`. */
  readonly bucketOf: Uint32Array;
}

/** How examples are sorted into buckets. */
export interface DatasetOptions extends Omit<BucketOptions, "batchSize"> {
  /** The rows of a batch; 8 unless given. */
  readonly batchSize?: number;
  /** The token that fills up rows; 0 when absent. Any will do, since nothing that is masked counts. */
  readonly padId?: number;
  /** The lengths to pad to; chosen for the data when absent. */
  readonly buckets?: readonly number[];
}

function checkBuckets(buckets: readonly number[], examples: readonly EncodedExample[]): void {
  if (
    buckets.length === 0 || !buckets.every((length, i) => Number.isInteger(length) && length > (buckets[i - 1] ?? 0))
  ) {
    throw new RangeError(
      `Cannot pad to the lengths [${buckets.join(", ")}]: expected whole numbers in ascending order`,
    );
  }
  const longest = buckets.at(-1)!;
  const misfit = examples.find((example) => example.tokenIds.length > longest);
  if (misfit) {
    throw new RangeError(
      `Cannot pad ${misfit.at} to the lengths [${buckets.join(", ")}]: it has ${misfit.tokenIds.length} tokens; ` +
        `add a longer bucket or lower maxLength`,
    );
  }
}

/** The names of `DatasetOptions`. */
export const datasetOptionNames: OptionNames<DatasetOptions> = {
  batchSize: true,
  padId: true,
  buckets: true,
  maxBuckets: true,
  targetPadding: true,
  maxLength: true,
};

/**
 * Sorts examples into buckets of few lengths.
 *
 * @throws {TypeError} when an option has an unknown name.
 * @throws {RangeError} when there are no examples, the batch size is not a positive whole number, or the lengths given
 * are not ascending or too short.
 */
export function createDataset(examples: readonly EncodedExample[], options: DatasetOptions): Dataset {
  checkOptions("make batches", options, datasetOptionNames);
  const { batchSize = defaults.batchSize, padId = 0 } = options;
  if (!Number.isInteger(batchSize) || batchSize < 1) {
    throw new RangeError(`Cannot make batches of ${batchSize} examples: expected a whole number of at least 1`);
  }
  if (examples.length === 0) throw new RangeError("Cannot make batches of an empty data set");
  const first = examples[0]!;
  const odd = examples.find(({ image }) => image?.length !== first.image?.length);
  if (odd !== undefined) {
    throw new RangeError(
      `Cannot make batches of ${first.at} and ${odd.at}: their images must be of one size, or both have none`,
    );
  }
  const lengths = examples.map((example) => example.tokenIds.length);
  const buckets = options.buckets ?? chooseBuckets(lengths, { ...options, batchSize });
  checkBuckets(buckets, examples);

  const slots = Uint32Array.from(lengths, (length) => buckets.findIndex((bucket) => length <= bucket));
  const all = buckets.map((time, bucket) => {
    const count = slots.reduce((sum, slot) => sum + (slot === bucket ? 1 : 0), 0);
    return { batch: batchSize, time, examples: count, batches: Math.ceil(count / batchSize) };
  });
  const shapes = all.filter((shape) => shape.examples > 0);
  const tokens = lengths.reduce((sum, length) => sum + length, 0);
  const padded = shapes.reduce((sum, { batch, time, batches }) => sum + batch * time * batches, 0);
  return {
    examples,
    batchSize,
    padId,
    bucketOf: slots.map((slot) => shapes.indexOf(all[slot]!)),
    statistics: {
      examples: examples.length,
      tokens,
      targetTokens: examples.reduce((sum, example) => sum + countTargets(example), 0),
      longest: lengths.reduce((most, length) => Math.max(most, length), 0),
      batches: shapes.reduce((sum, shape) => sum + shape.batches, 0),
      padding: 1 - tokens / padded,
      shapes,
    },
  };
}

function countTargets({ lossMask }: EncodedExample): number {
  return lossMask.reduce((sum, counts) => sum + counts, 0);
}

const epochOptionNames: OptionNames<EpochOptions> = { seed: true, epoch: true, skip: true };

/** The order of an epoch and where in it to begin. */
export interface EpochOptions {
  /** Shuffles by this whole number; the data's own order when absent. */
  readonly seed?: number;
  /** The number of the epoch, each of which has an order of its own; 0 when absent. */
  readonly epoch?: number;
  /** The number of batches to leave out at the beginning, such as those seen before a stop; 0 when absent. */
  readonly skip?: number;
}

function orderOf(length: number, options: EpochOptions, purpose: string): Uint32Array {
  const { seed, epoch = 0 } = options;
  if (seed === undefined) return Uint32Array.from({ length }, (_, index) => index);
  return randomOrder(length, foldIn(foldIn(randomKey(seed), epoch), purpose));
}

/** Which examples go together in an epoch, as indices. */
function arrange(dataset: Dataset, options: EpochOptions): number[][] {
  const open: number[][] = dataset.statistics.shapes.map(() => []);
  const groups: number[][] = [];
  for (const index of orderOf(dataset.examples.length, options, "examples")) {
    const bucket = dataset.bucketOf[index]!;
    open[bucket]!.push(index);
    if (open[bucket]!.length < dataset.batchSize) continue;
    groups.push(open[bucket]!);
    open[bucket] = [];
  }
  groups.push(...open.filter((rows) => rows.length > 0));
  // Shuffled once more, else the batches that are not full would always be the last.
  return Array.from(orderOf(groups.length, options, "batches"), (position) => groups[position]!);
}

function fill(dataset: Dataset, rows: readonly number[]): Batch {
  const { examples, batchSize, padId, bucketOf, statistics } = dataset;
  const { time } = statistics.shapes[bucketOf[rows[0]!]!]!;
  const shape = [batchSize, time];
  const tokenIds = new Int32Array(batchSize * time).fill(padId);
  const lossMask = new Float32Array(batchSize * time);
  const paddingMask = new Uint8Array(batchSize * time);
  let tokens = 0;
  for (const [row, index] of rows.entries()) {
    const example = examples[index]!;
    const start = row * time;
    tokenIds.set(example.tokenIds, start);
    lossMask.set(example.lossMask, start);
    paddingMask.fill(1, start, start + example.tokenIds.length);
    tokens += countTargets(example);
  }
  const images = rows.map((index) => examples[index]!.image).filter((image) => image !== undefined);
  return {
    ...(images.length === 0 ? {} : { images: imageTensor(images, batchSize) }),
    tokenIds: hostTensor("int32", shape, tokenIds),
    lossMask: hostTensor("float32", shape, lossMask),
    paddingMask: hostTensor("bool", shape, paddingMask),
    tokens,
    examples: rows.length,
  };
}

/** Images of RGB bytes as values from -1 to 1; rows without one are black. */
export function imageTensor(images: readonly Uint8Array[], rows: number = images.length): HostTensor<"float32"> {
  const length = images[0]!.length;
  const side = Math.sqrt(length / 3);
  const values = new Float32Array(rows * length).fill(-1);
  images.forEach((bytes, row) => values.set(Float32Array.from(bytes, (byte) => byte / 127.5 - 1), row * length));
  return hostTensor("float32", [rows, side, side, 3], values);
}

/**
 * The batches of one epoch, in which every example occurs once.
 *
 * @throws {TypeError} when an option has an unknown name.
 * @throws {RangeError} when the seed, the epoch or the number of batches to skip is not a whole number of at least 0.
 */
export function* batches(dataset: Dataset, options: EpochOptions = {}): Generator<Batch> {
  checkOptions("make batches", options, epochOptionNames);
  const { seed = 0, epoch = 0, skip = 0 } = options;
  for (const [name, value] of Object.entries({ seed, epoch, skip })) {
    if (!Number.isSafeInteger(value) || value < 0) {
      throw new RangeError(`Cannot make batches with ${name} ${value}: expected a whole number of at least 0`);
    }
  }
  for (const rows of arrange(dataset, options).slice(skip)) yield fill(dataset, rows);
}
