import assert from "node:assert/strict";
import fc from "fast-check";
import { bfloat16Bits, bfloat16Value, bytesOf, dtypes, float16Bits, float16Value, formatType } from "./dtype.ts";
import { fromFloat32, hostTensor, hostZeros, toFloat32 } from "./dtype.ts";

const settings = { seed: 5 };

/** The nearest of two neighbors, the even pattern on a tie, which is what rounding has to give. */
function isNearest(value: number, bits: number, valueOf: (bits: number) => number): boolean {
  const error = Math.abs(valueOf(bits) - value);
  return [bits - 1, bits + 1].every((other) => {
    const distance = Math.abs(valueOf(other) - value);
    return Number.isNaN(distance) || error < distance || (error === distance && bits % 2 === 0);
  });
}

Deno.test("bfloat16Bits() rounds to nearest, ties to even", () => {
  fc.assert(
    fc.property(fc.float({ noNaN: true, min: Math.fround(1e-30), max: Math.fround(1e30) }), (value) => {
      return isNearest(value, bfloat16Bits(value), bfloat16Value) &&
        bfloat16Bits(-value) === bfloat16Bits(value) + 0x8000;
    }),
    settings,
  );
});

Deno.test("float16Bits() rounds to nearest, ties to even", () => {
  fc.assert(
    fc.property(
      fc.double({ noNaN: true, min: 1e-4, max: 6e4 }),
      (value) => isNearest(value, float16Bits(value), float16Value),
    ),
    settings,
  );
});

Deno.test("bfloat16 and float16 keep infinities, NaN and the sign of zero", () => {
  for (const [bits, value] of [[bfloat16Bits, bfloat16Value], [float16Bits, float16Value]] as const) {
    for (const special of [Infinity, -Infinity, NaN, 0, -0]) assert.ok(Object.is(value(bits(special)), special));
  }
  assert.equal(bfloat16Value(bfloat16Bits(3.4e38)), Infinity);
  assert.equal(float16Value(float16Bits(65520)), Infinity);
});

Deno.test("every bit pattern of bfloat16 and float16 survives the way through float32", () => {
  const data = Uint16Array.from({ length: 65536 }, (_, i) => i);
  for (const dtype of ["bfloat16", "float16"] as const) {
    const wide = toFloat32(hostTensor(dtype, [65536], data));
    const back = fromFloat32(dtype, [65536], wide).data;
    wide.forEach((value, i) => Number.isNaN(value) || assert.equal(back[i], data[i]));
  }
});

Deno.test("hostTensor() refuses another number of elements than the shape has", () => {
  assert.throws(() => hostTensor("float32", [2, 3], new Float32Array(5)), {
    name: "RangeError",
    message: "Cannot make float32[2,3]: it needs 6 elements, found 5",
  });
});

Deno.test("types have a size and a text", () => {
  assert.deepEqual(dtypes.map((dtype) => bytesOf({ dtype, shape: [3] })), [12, 6, 6, 12, 3, 3]);
  assert.equal(formatType(hostZeros("int32", [])), "int32[]");
  assert.equal(hostZeros("bool", [2, 2]).data.length, 4);
});
