import assert from "node:assert/strict";
import { cacheBucket, promptBucket } from "./length_buckets.ts";

Deno.test("promptBucket() holds the prompt, wastes at most a fifth, and takes few values", () => {
  const buckets = new Set<number>();
  for (let length = 1; length <= 8192; length++) {
    const bucket = promptBucket(length);
    buckets.add(bucket);
    assert(bucket >= length, `${length}: ${bucket}`);
    if (length >= 32) assert((bucket - length) / bucket <= 0.2, `${length}: ${bucket}`);
    assert.equal(promptBucket(bucket), bucket);
  }
  assert.equal(buckets.size, 33);
  assert.deepEqual([1, 32, 33, 64, 65, 80, 81, 257, 1000].map(promptBucket), [32, 32, 40, 64, 80, 80, 96, 320, 1024]);
});

Deno.test("cacheBucket() is a power of two", () => {
  assert.deepEqual([1, 32, 33, 256, 257, 5000].map(cacheBucket), [32, 32, 64, 256, 512, 8192]);
});
