import assert from "node:assert/strict";
import { foldIn, normal, randomKey, threefry, uniform } from "./random.ts";

Deno.test("threefry() gives the known answers of its authors' library", () => {
  const cases = [
    [[0, 0], [0, 0], [0x6b200159, 0x99ba4efe]],
    [[0xffffffff, 0xffffffff], [0xffffffff, 0xffffffff], [0x1cb996fc, 0xbb002be7]],
    [[0x13198a2e, 0x03707344], [0x243f6a88, 0x85a308d3], [0xc4923a9c, 0x483df7a0]],
  ] as const;
  for (const [key, [c0, c1], expected] of cases) assert.deepEqual(threefry(key, c0, c1), [...expected]);
});

Deno.test("foldIn() gives the same key for the same label and another for another", () => {
  const key = randomKey(2 ** 40 + 3);
  const keys = ["kernel", "kernel_b", "", 0, 1, 2 ** 32].map((label) => foldIn(key, label).join());
  assert.equal(new Set(keys).size, keys.length);
  assert.deepEqual(foldIn(key, "kernel"), foldIn(randomKey(2 ** 40 + 3), "kernel"));
  assert.notDeepEqual(randomKey(3), key);
});

Deno.test("uniform() and normal() have the moments that they should, and longer lists start like shorter ones", () => {
  const count = 20_001;
  for (
    const [draw, mean, variance] of [[uniform, 1 / 2, 1 / 12], [normal, 0, 1]] as const
  ) {
    const list = draw(randomKey(1), count);
    const average = list.reduce((sum, x) => sum + x, 0) / count;
    const spread = list.reduce((sum, x) => sum + (x - average) ** 2, 0) / count;
    assert.ok(Math.abs(average - mean) < 0.02, `mean ${average}`);
    assert.ok(Math.abs(spread - variance) < 0.03, `variance ${spread}`);
    assert.deepEqual(draw(randomKey(1), 5), list.slice(0, 5));
    assert.notDeepEqual(draw(randomKey(2), 5), list.slice(0, 5));
  }
  assert.ok(uniform(randomKey(1), count).every((x) => x >= 0 && x < 1));
});
