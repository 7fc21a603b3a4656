import assert from "node:assert/strict";
import { hostTensor } from "./values/dtype.ts";
import { apply } from "./graph/tensor.ts";
import { assertAllClose, checkGradient, sampleOperands, samples } from "./testing.ts";

const exact = { absolute: 0, relative: 0 };

Deno.test("assertAllClose() takes numbers within the tolerance and equal ones that are not finite", () => {
  assertAllClose([1, 100], [1.05, 101], { absolute: 0.05, relative: 0.01 });
  assertAllClose([Infinity, NaN, -0], [Infinity, NaN, 0], exact);
});

Deno.test("assertAllClose() names the element that is furthest off", () => {
  const message = /^Element 1 of 3 is 5, expected 2 within 0\.1 \+ 0 · \|expected\|$/;
  assert.throws(() => assertAllClose([1.5, 5, 3], [1, 2, 3], { absolute: 0.1, relative: 0 }), { message });
  assert.throws(() => assertAllClose([1], [NaN], { absolute: 9, relative: 9 }), /Element 0/);
  assert.throws(() => assertAllClose([NaN], [1], { absolute: 9, relative: 9 }), /Element 0/);
  assert.throws(() => assertAllClose([-Infinity], [Infinity], { absolute: 9, relative: 9 }), /Element 0/);
  assert.throws(() => assertAllClose([1], [1, 2], exact), /Found 1 numbers, expected 2/);
  const [row, column] = [[1, 2], [2, 1]].map((shape) => hostTensor("float32", shape, new Float32Array(2)));
  assert.throws(() => assertAllClose(row!, column!, exact), /float32\[1,2\]/);
});

Deno.test("checkGradient() finds a gradient that is wrong", () => {
  const x = hostTensor("float32", [2], new Float32Array([0.5, 2]));
  // The true gradient needs that of floor, and a cast to integers hides it.
  assert.throws(
    () => checkGradient((x) => x.mul(x.div(1e-3).cast("int32").cast("float32")), [x], { step: 0.01 }),
    /^AssertionError.*Gradient of input 0: Element \d of 2/,
  );
  checkGradient((x) => x.mul(apply("gelu", [x], {})), [x]);
});

Deno.test("sampleOperands() gives the same elements for the same seed", () => {
  const sample = samples.add[0];
  assert.deepEqual(sampleOperands(sample, 1), sampleOperands(sample, 1));
  assert.notDeepEqual(sampleOperands(sample, 1), sampleOperands(sample, 2));
});
