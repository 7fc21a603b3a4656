import assert from "node:assert/strict";
import { randomKey } from "@tessera/core";
import fc from "fast-check";
import { type Batch, batches, createDataset } from "./batches.ts";
import { chooseBuckets } from "./buckets.ts";
import type { EncodedExample } from "./encode.ts";
import { randomOrder } from "./order.ts";

/** Examples of the given lengths; the tokens of example `i` are all `i + 1`, and all but the first count. */
function examplesOf(lengths: readonly number[]): EncodedExample[] {
  return lengths.map((length, i) => ({
    tokenIds: new Int32Array(length).fill(i + 1),
    lossMask: Uint8Array.from({ length }, (_, position) => position > 0 ? (i + position) % 2 : 0),
    at: `data.jsonl:${i + 1}`,
  }));
}

/** The rows of a batch without padding, as [token, mask] pairs. */
function rowsOf({ tokenIds, lossMask, paddingMask, examples }: Batch) {
  const [batch, time] = tokenIds.shape as [number, number];
  return Array.from({ length: batch }, (_, row) => {
    const real = [...paddingMask.data.subarray(row * time, (row + 1) * time)];
    const length = real.lastIndexOf(1) + 1;
    assert.ok(real.every((value, i) => value === (i < length ? 1 : 0)), "padding is on the right");
    assert.equal(length === 0, row >= examples, "empty rows come last");
    return {
      tokens: [...tokenIds.data.subarray(row * time, row * time + length)],
      mask: [...lossMask.data.subarray(row * time, (row + 1) * time)],
    };
  });
}

const lengthsOf = fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 80 });
const batchSizes = fc.integer({ min: 1, max: 9 });

Deno.test("batches() yields every example once per epoch, with its mask", () => {
  fc.assert(
    fc.property(
      lengthsOf,
      batchSizes,
      fc.option(fc.nat(), { nil: undefined }),
      fc.nat(5),
      (lengths, batchSize, seed, epoch) => {
        const examples = examplesOf(lengths);
        const dataset = createDataset(examples, { batchSize, padId: 0 });
        const seen: number[] = [];
        let padded = 0;
        for (const batch of batches(dataset, seed === undefined ? { epoch } : { seed, epoch })) {
          const { shape } = batch.tokenIds;
          assert.deepEqual([batch.lossMask.shape, batch.paddingMask.shape], [shape, shape]);
          assert.ok(dataset.statistics.shapes.some(({ time }) => time === shape[1]) && shape[0] === batchSize);
          padded += shape[0]! * shape[1]!;
          let targets = 0;
          for (const { tokens, mask } of rowsOf(batch)) {
            targets += mask.reduce((sum, value) => sum + value, 0);
            if (tokens.length === 0) continue;
            const example = examples[tokens[0]! - 1]!;
            assert.deepEqual(tokens, [...example.tokenIds]);
            assert.deepEqual(mask.slice(0, tokens.length), [...example.lossMask]);
            seen.push(tokens[0]! - 1);
          }
          assert.equal(batch.tokens, targets);
        }
        assert.deepEqual(seen.toSorted((a, b) => a - b), [...examples.keys()]);
        const { padding, tokens } = dataset.statistics;
        assert.ok(Math.abs(padding - (1 - tokens / padded)) < 1e-12, "the padding is as the statistics say");
      },
    ),
    { seed: 1 },
  );
});

Deno.test("batches() repeats an epoch exactly and resumes after any number of batches", () => {
  fc.assert(
    fc.property(lengthsOf, batchSizes, fc.nat(), fc.nat(30), (lengths, batchSize, seed, skip) => {
      const dataset = createDataset(examplesOf(lengths), { batchSize });
      const all = [...batches(dataset, { seed, epoch: 3 })];
      assert.equal(all.length, dataset.statistics.batches);
      assert.deepEqual([...batches(dataset, { seed, epoch: 3, skip })], all.slice(skip));
    }),
    { seed: 2, numRuns: 50 },
  );
});

Deno.test("batches() orders epochs and seeds differently", () => {
  const dataset = createDataset(examplesOf(Array.from({ length: 64 }, (_, i) => 1 + (i % 16))), { batchSize: 4 });
  const order = (options: { seed?: number; epoch?: number }) =>
    [...batches(dataset, options)].flatMap((batch) => rowsOf(batch).map((row) => row.tokens[0])).join(",");
  const orders = [{}, { seed: 1 }, { seed: 1, epoch: 1 }, { seed: 2 }, { seed: 2, epoch: 1 }, { seed: 2 ** 32 + 1 }]
    .map(order);
  assert.equal(new Set(orders).size, orders.length);
});

Deno.test("batches() keeps the order of the data without a seed", () => {
  const dataset = createDataset(examplesOf([3, 3, 3, 3, 3]), { batchSize: 2, buckets: [4] });
  const [first, , last] = [...batches(dataset)];
  assert.deepEqual([...first!.tokenIds.data], [1, 1, 1, 0, 2, 2, 2, 0]);
  assert.deepEqual([...last!.tokenIds.data], [5, 5, 5, 0, 0, 0, 0, 0]);
  assert.deepEqual([...last!.paddingMask.data], [1, 1, 1, 0, 0, 0, 0, 0]);
  assert.equal(last!.examples, 1);
});

Deno.test("createDataset() reports what an epoch consists of", () => {
  const dataset = createDataset(examplesOf([2, 3, 8, 8, 8]), { batchSize: 2, buckets: [4, 6, 8] });
  assert.deepEqual(dataset.statistics, {
    examples: 5,
    tokens: 29,
    targetTokens: 13,
    longest: 8,
    batches: 3,
    padding: 1 - 29 / 40,
    shapes: [{ batch: 2, time: 4, examples: 2, batches: 1 }, { batch: 2, time: 8, examples: 3, batches: 2 }],
  });
});

Deno.test("createDataset() rejects sizes and lengths that cannot be", () => {
  const examples = examplesOf([3, 9]);
  const cases: [() => unknown, string][] = [
    [
      () => createDataset(examples, { batchSize: 0 }),
      "Cannot make batches of 0 examples: expected a whole number of at least 1",
    ],
    [() => createDataset([], { batchSize: 1 }), "Cannot make batches of an empty data set"],
    [
      () => createDataset(examples, { batchSize: 1, buckets: [8, 4] }),
      "Cannot pad to the lengths [8, 4]: expected whole numbers in ascending order",
    ],
    [
      () => createDataset(examples, { batchSize: 1, buckets: [4, 8] }),
      "Cannot pad data.jsonl:2 to the lengths [4, 8]: it has 9 tokens; add a longer bucket or lower maxLength",
    ],
    [
      () => [...batches(createDataset(examples, { batchSize: 1 }), { epoch: -1 })],
      "Cannot make batches with epoch -1: expected a whole number of at least 0",
    ],
  ];
  for (const [run, message] of cases) assert.throws(run, { name: "RangeError", message });
});

Deno.test("chooseBuckets() keeps padding low with few lengths, even when most examples are short", () => {
  // Lengths of a heavy-tailed data set: the i-th of n quantiles of a log-normal-like curve, from 16 to 2048.
  const lengths = Array.from({ length: 2000 }, (_, i) => Math.round(16 * 2 ** (7 * (i / 1999) ** 2.5)));
  const buckets = chooseBuckets(lengths, { batchSize: 8 });
  const { padding } = createDataset(examplesOf(lengths), { batchSize: 8, buckets }).statistics;
  assert.ok(buckets.length <= 8, `${buckets}`);
  assert.ok(padding < 0.25, `${padding}`);
  assert.equal(buckets.at(-1), 2048);
});

Deno.test("chooseBuckets() makes one bucket of examples that are alike, and counts empty rows", () => {
  assert.deepEqual(chooseBuckets([30, 31, 32, 32], { batchSize: 4 }), [32]);
  // A bucket of their own for the short ones would need a second batch of eight rows.
  assert.deepEqual(chooseBuckets([10, 10, 64, 64, 64, 64], { batchSize: 8 }), [64]);
  assert.deepEqual(chooseBuckets([...Array(8).fill(10), ...Array(8).fill(64)], { batchSize: 8 }), [10, 64]);
});

Deno.test("chooseBuckets() never rounds above the longest that is allowed", () => {
  assert.deepEqual(chooseBuckets([1000, 1000], { batchSize: 2, maxLength: 1000 }), [1000]);
  assert.deepEqual(chooseBuckets([1000, 1000], { batchSize: 2 }), [1024]);
});

Deno.test("chooseBuckets() finds the cheapest boundaries there are", () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 12 }),
      fc.integer({ min: 1, max: 3 }),
      (lengths, batchSize) => {
        // Lengths below 32 are not rounded, so every set of lengths can be tried.
        const padded = (buckets: readonly number[]) => {
          const { tokens, padding } = createDataset(examplesOf(lengths), { batchSize, buckets }).statistics;
          return Math.round(tokens / (1 - padding));
        };
        const unique = [...new Set(lengths)].sort((a, b) => a - b);
        let least = Infinity;
        for (let set = 0; set < 2 ** (unique.length - 1); set++) {
          const buckets = unique.filter((_, i) => i === unique.length - 1 || set & (1 << i));
          if (buckets.length <= 3) least = Math.min(least, padded(buckets));
        }
        const chosen = padded(chooseBuckets(lengths, { batchSize, maxBuckets: 3, targetPadding: 0 }));
        // A bucket that saves less than a fiftieth is not worth its program.
        assert.ok(chosen <= least * 1.05, `${chosen} for ${least}`);
      },
    ),
    { seed: 3 },
  );
});

Deno.test("randomOrder() puts every number in every place about equally often", () => {
  const counts = Array.from({ length: 5 }, () => new Array<number>(5).fill(0));
  for (let seed = 0; seed < 5000; seed++) {
    for (const [place, value] of randomOrder(5, randomKey(seed)).entries()) counts[place]![value]!++;
  }
  // 1000 expected in each cell; the standard deviation is 28.
  for (const row of counts) for (const count of row) assert.ok(Math.abs(count - 1000) < 140, `${counts.join(" | ")}`);
});
