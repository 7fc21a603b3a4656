import assert from "node:assert/strict";
import { einsum, hostTensor, trace } from "@tessera/core";
import { runOnce } from "@tessera/runtime/testing";
import { onnxBackend } from "../backend.ts";
import { elementTypes } from "../ffi/element_type.ts";
import { assertClose, float, sample } from "../testing/run.ts";
import { gemmInParts } from "./parts.ts";
import { newWriter } from "./writer.ts";

/** The nodes of a product of float32 matrices of these shapes. */
function nodesOf(a: readonly number[], b: readonly number[], attributes: { transA?: 1; transB?: 1 } = {}): string[] {
  const writer = newWriter(elementTypes, new Set(), { Gemm: gemmInParts });
  const [x, y] = [{ name: "x", ...float(...a) }, { name: "y", ...float(...b) }];
  const shape = [a[attributes.transA ?? 0]!, b[1 - (attributes.transB ?? 0)]!];
  const result = writer.node("Gemm", [x, y], { dtype: "float32", shape }, { attributes });
  const model = writer.finish("product", [x, y], [result]);
  return model.nodes.map(({ op, outputs }) => `${op} ${outputs[0]!.shape.join("x")}`);
}

Deno.test("gemmInParts() cuts rows that are a multiple of 4096 bytes apart", () => {
  assert.deepEqual(nodesOf([64, 1024], [512, 1024], { transB: 1 }), [
    "Reshape 64x2x512",
    "Transpose 2x64x512",
    "Reshape 512x2x512",
    "FusedMatMul 2x64x512",
    "Reshape 2x32768",
    "MatMul 1x32768",
    "Reshape 64x512",
  ]);
  // 14336 floats are 14 times 4096 bytes: four slices of 3.5 times.
  assert.ok(nodesOf([64, 14336], [14336, 512]).includes("FusedMatMul 4x64x512"));
});

Deno.test("gemmInParts() leaves products alone that gain nothing, or whose parts take too much", () => {
  assert.deepEqual(nodesOf([64, 2304], [2304, 512]), ["Gemm 64x512"], "rows of 9216 bytes");
  assert.deepEqual(nodesOf([8, 1024], [1024, 512]), ["Gemm 8x512"], "few rows");
  assert.deepEqual(nodesOf([64, 1024], [1024, 8]), ["Gemm 64x8"], "few columns");
  assert.deepEqual(nodesOf([1024, 64], [1024, 512], { transA: 1 }), ["Gemm 64x512"], "rows that are copied anyway");
  assert.deepEqual(nodesOf([512, 1024], [1024, 32000]), ["Gemm 512x32000"], "131 MB of parts");
});

Deno.test("a product in parts is that of the whole, scaled or not, either way round", async () => {
  const [rows, inner, columns] = [64, 1024, 512];
  const backend = onnxBackend({ threads: 2 });
  const x = hostTensor("float32", [rows, inner], sample(rows * inner, 1));
  try {
    for (
      const [spec, shape, scale] of [["ti,oi->to", [columns, inner], 1], ["ti,io->to", [inner, columns], 2]] as const
    ) {
      const w = hostTensor("float32", shape, sample(inner * columns, 2));
      const graph = trace("product", { x, w }, (given) => ({ y: einsum(spec, given.x, given.w, { scale }) }));
      const [found] = await runOnce(backend, graph, [x, w]);
      const [along, across] = spec === "ti,oi->to" ? [1, inner] : [columns, 1];
      const expected = Float32Array.from({ length: rows * columns }, (_, at) => {
        const [row, column] = [Math.floor(at / columns), at % columns];
        let sum = 0;
        for (let i = 0; i < inner; i++) sum += x.data[row * inner + i]! * w.data[i * along + column * across]!;
        return scale * sum;
      });
      assertClose(found!, hostTensor("float32", [rows, columns], expected), 1e-5, spec);
    }
  } finally {
    backend.dispose();
  }
});
