/** What programs can bind and count at the sizes of real models, without any of their data. */
import assert from "node:assert/strict";
import { fitsBinding, rowsPerPart } from "./engine/engine.ts";
import { piecesOf } from "./wgsl/program.ts";

/** What a GPU binds at most by WebGPU's numbers: 4 GiB. */
const everything = 2 ** 32 - 4;

Deno.test("Tensors are kept whole as long as a program can bind and count them", () => {
  assert.ok(fitsBinding({ dtype: "float32", shape: [256_000, 3584] }, everything));
  assert.ok(fitsBinding({ dtype: "bfloat16", shape: [256_000, 4608] }, everything));
  assert.ok(!fitsBinding({ dtype: "float32", shape: [256_000, 2304] }, 2 ** 31 - 4));
  assert.equal(rowsPerPart({ dtype: "float32", shape: [256_000, 2304] }, 2 ** 31 - 1), 233_016);
});

Deno.test("Tensors whose elements an i32 cannot count are kept in pieces, or do not fit", () => {
  // 2.4 · 10^9 elements of two bytes, and as many codes of half a byte.
  for (
    const type of [{ dtype: "bfloat16", shape: [600_000, 4000] }, { dtype: "uint8", shape: [600_000, 2000] }] as const
  ) {
    assert.ok(!fitsBinding(type, everything), type.dtype);
    const rows = rowsPerPart(type, everything)!;
    assert.ok(rows * 4000 < 2 ** 31 && rows >= 500_000, `${type.dtype}: ${rows} rows`);
  }
  assert.equal(rowsPerPart({ dtype: "bfloat16", shape: [1, 2 ** 31] }, everything), null);
});

Deno.test("Long work is in pieces that have every group once", () => {
  const program = { name: "", code: "", inputs: [], output: { dtype: "float32", shape: [1] } } as const;
  for (const groups of [[10, 1, 1], [32768, 1, 1], [32768, 7, 1], [1, 1, 1]] as const) {
    for (const work of [1, 99, 100, 101, 950, 1e9]) {
      const pieces = piecesOf({ ...program, groups, work }, 100);
      let next = 0;
      for (const piece of pieces) {
        assert.equal(piece.firstGroup, next);
        next += piece.groups[0] * piece.groups[1] * piece.groups[2];
      }
      assert.equal(next, groups[0] * groups[1]);
      assert.ok(pieces.length <= Math.max(1, Math.ceil(work / 100)));
    }
  }
  // The logits of 512 tokens of Gemma 2 2B.
  assert.equal(piecesOf({ ...program, groups: [32768, 1, 1], work: 512 * 2304 * 256_000 }).length, 9);
});
