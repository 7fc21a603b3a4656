/**
 * Which lengths to pad examples to.
 *
 * A program is compiled for each shape of batch, so there should be few, and every padded token costs as much as a real
 * one. The lengths here are the best that there are for the data at hand: for each number of buckets, dynamic programming
 * over the sorted lengths finds the boundaries with the fewest tokens, empty rows of partial batches included.
 */

/** How buckets are chosen. */
export interface BucketOptions {
  /** The rows of a batch. */
  readonly batchSize: number;
  /** The most buckets; 8 when absent. */
  readonly maxBuckets?: number;
  /** The share of padding that is small enough to stop adding buckets; 0.15 when absent. */
  readonly targetPadding?: number;
  /** The length above which nothing is rounded, such as the model's context; unlimited when absent. */
  readonly maxLength?: number;
}

/** A length rounded up by at most a sixteenth, to a multiple of a power of two: 17, 36, 264, 1024. */
function roundUp(length: number): number {
  const step = Math.max(1, 2 ** Math.floor(Math.log2(length / 16)));
  return Math.ceil(length / step) * step;
}

/** The cost of every run of candidates as one bucket, in tokens after padding; `ends[j]` examples fit `candidates[j]`. */
function bucketCost(candidates: readonly number[], ends: readonly number[], batchSize: number) {
  return (first: number, last: number) => {
    const count = ends[last]! - (first === 0 ? 0 : ends[first - 1]!);
    return Math.ceil(count / batchSize) * batchSize * candidates[last]!;
  };
}

/**
 * The lengths to pad to, ascending, the last of which holds the longest example.
 *
 * @throws {RangeError} when there are no lengths.
 */
export function chooseBuckets(lengths: readonly number[], options: BucketOptions): number[] {
  const { batchSize, maxBuckets = 8, targetPadding = 0.15, maxLength = Infinity } = options;
  if (lengths.length === 0) throw new RangeError("Cannot choose buckets: there are no examples");
  const counts = new Map<number, number>();
  for (const length of lengths) {
    const rounded = Math.min(Math.max(length, maxLength), roundUp(Math.max(1, length)));
    counts.set(rounded, (counts.get(rounded) ?? 0) + 1);
  }
  const candidates = [...counts.keys()].sort((a, b) => a - b);
  let sum = 0;
  const ends = candidates.map((length) => sum += counts.get(length)!);
  const cost = bucketCost(candidates, ends, batchSize);
  const tokens = lengths.reduce((total, length) => total + length, 0);

  // best[k][j]: the fewest tokens with which k + 1 buckets hold the candidates up to j, and where the last one begins.
  const best = [candidates.map((_, j) => ({ cost: cost(0, j), from: 0 }))];
  let chosen = 0;
  const total = (k: number) => best[k]![candidates.length - 1]!.cost;
  while (best.length < Math.min(maxBuckets, candidates.length) && 1 - tokens / total(chosen) > targetPadding) {
    const previous = best.at(-1)!;
    best.push(candidates.map((_, j) => {
      let least = previous[j]!;
      for (let from = 1; from <= j; from++) {
        const candidate = previous[from - 1]!.cost + cost(from, j);
        if (candidate < least.cost) least = { cost: candidate, from };
      }
      return least;
    }));
    // One more shape must save at least a fiftieth, else compiling its program costs more than it saves.
    if (total(best.length - 1) < 0.98 * total(chosen)) chosen = best.length - 1;
  }
  const buckets: number[] = [];
  let end = candidates.length - 1;
  for (let k = chosen; k >= 0 && end >= 0; k--) {
    buckets.unshift(candidates[end]!);
    end = best[k]![end]!.from - 1;
  }
  return buckets;
}
