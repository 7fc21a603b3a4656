import assert from "node:assert/strict";
import fc from "fast-check";
import { resize } from "./resize.ts";

const side = fc.integer({ min: 1, max: 40 });

Deno.test("resize() keeps an image of one color, whatever the sizes", () => {
  fc.assert(
    fc.property(
      side,
      side,
      side,
      side,
      fc.uint8Array({ minLength: 3, maxLength: 3 }),
      (w, h, width, height, color) => {
        const flat = (count: number) => Uint8Array.from({ length: 3 * count }, (_, i) => color[i % 3]!);
        const resized = resize({ width: w, height: h, pixels: flat(w * h) }, { width, height });
        assert.deepEqual(resized, { width, height, pixels: flat(width * height) });
      },
    ),
    { numRuns: 60 },
  );
});

Deno.test("resize() commutes with mirroring", () => {
  fc.assert(
    fc.property(side, side, side, fc.infiniteStream(fc.integer({ min: 0, max: 255 })), (w, h, size, bytes) => {
      const pixels = Uint8Array.from(bytes.take(3 * w * h));
      const mirror = (data: Uint8Array, width: number) =>
        Uint8Array.from(data, (_, i) => {
          const [pixel, channel] = [Math.floor(i / 3), i % 3];
          const [x, y] = [pixel % width, Math.floor(pixel / width)];
          return data[3 * (y * width + width - 1 - x) + channel]!;
        });
      const straight = resize({ width: w, height: h, pixels }, { width: size, height: size }).pixels;
      const mirrored = resize({ width: w, height: h, pixels: mirror(pixels, w) }, { width: size, height: size }).pixels;
      assert.deepEqual(mirror(mirrored, size), straight);
    }),
    { numRuns: 40 },
  );
});

Deno.test("resize() rejects sizes that are none", () => {
  const image = { width: 1, height: 1, pixels: new Uint8Array(3) };
  for (const size of [0, -1, 1.5, NaN]) {
    assert.throws(() => resize(image, { width: size, height: 4 }), { name: "RangeError" });
  }
});
