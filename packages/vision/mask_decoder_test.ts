import assert from "node:assert/strict";
import { drawDetections } from "./drawing.ts";
import { loadMaskDecoder, maskOf } from "./mask_decoder.ts";

const folder = new URL("./testdata/masks/", import.meta.url);
const npz = await Deno.readFile(new URL("decoder.npz", folder));
const golden = JSON.parse(await Deno.readTextFile(new URL("golden.json", folder))) as {
  codes: number[];
  mask: number[];
};

Deno.test("loadMaskDecoder() decodes outlines as PyTorch does", () => {
  const mask = loadMaskDecoder(npz).decode(golden.codes);
  assert.deepEqual([mask.width, mask.height, mask.values.length], [64, 64, 64 * 64]);
  const largest = mask.values.reduce((most, value, i) => Math.max(most, Math.abs(value - golden.mask[i]! / 1000)), 0);
  assert(largest <= 6e-4, `a value is off by ${largest}`);
});

Deno.test("maskOf() lays a mask into its box, and nowhere else", () => {
  const decoder = { decode: () => ({ width: 2, height: 2, values: Float32Array.of(1, 0, 0, 1) }) };
  const box = { left: 2, top: 1, right: 6, bottom: 5 };
  const mask = maskOf({ label: "cat", box, codes: golden.codes }, decoder, { width: 8, height: 6 })!;
  const rows = Array.from({ length: 6 }, (_, y) => [...mask.values.subarray(8 * y, 8 * y + 8)]);
  assert.deepEqual(rows, [
    [0, 0, 0, 0, 0, 0, 0, 0],
    [0, 0, 1, 0.75, 0.25, 0, 0, 0],
    [0, 0, 0.75, 0.625, 0.375, 0.25, 0, 0],
    [0, 0, 0.25, 0.375, 0.625, 0.75, 0, 0],
    [0, 0, 0, 0.25, 0.75, 1, 0, 0],
    [0, 0, 0, 0, 0, 0, 0, 0],
  ]);
  assert.equal(maskOf({ label: "cat", box }, decoder, { width: 8, height: 6 }), null);
});

Deno.test("loadMaskDecoder() rejects what are not its weights, and codes that are none", () => {
  assert.throws(() => loadMaskDecoder(new Uint8Array(100)), {
    name: "SyntaxError",
    message: "Cannot read an .npz file of 100 bytes: it is no ZIP archive",
  });
  const decoder = loadMaskDecoder(npz);
  for (const codes of [[], golden.codes.slice(1), [...golden.codes.slice(1), 128]]) {
    assert.throws(() => decoder.decode(codes), { name: "RangeError", message: /expected 16 codes from 0 to 127$/ });
  }
});

Deno.test("drawDetections() draws boxes, labels and masks, and escapes what models write", () => {
  const box = { left: 1, top: 20, right: 5, bottom: 24 };
  const mask = { width: 4, height: 2, values: Float32Array.of(0, 0.9, 0.6, 0, 0, 0, 0, 1) };
  const svg = drawDetections("data:,", { width: 40, height: 30 }, [{ label: "<cat> & dog", box }], { masks: [mask] });
  assert.match(svg, /^<svg [^>]*viewBox="0 0 40 30"[^>]*aria-label="&lt;cat&gt; &amp; dog">/);
  assert.match(svg, /<rect x="1" y="20" width="4" height="4"/);
  assert.match(svg, /<path d="M1 0h2v1h-2zM3 1h1v1h-1z"/);
  assert(!svg.includes("<cat>"));
});
