import assert from "node:assert/strict";
import fc from "fast-check";
import { einsum, trace } from "@tessera/core";
import { onnxBackend } from "../backend.ts";
import { assertAgrees, float, sampleTensor } from "../testing/run.ts";
import { lower } from "./lower.ts";

/** Any einsum spec with the lengths of its letters: each letter in two or three sides, each side in any order. */
const anyEinsum = fc.array(
  fc.record({ group: fc.constantFrom("batch", "contracted", "left", "right"), length: fc.integer({ min: 1, max: 3 }) }),
  { maxLength: 6 },
).chain((axes) => {
  const letters = axes.map(({ group, length }, i) => ({ letter: "abcdefgh"[i]!, group, length }));
  const side = (...groups: string[]) => {
    const own = letters.filter(({ group }) => groups.includes(group));
    return fc.shuffledSubarray(own, { minLength: own.length });
  };
  return fc.record({
    a: side("batch", "contracted", "left"),
    b: side("batch", "contracted", "right"),
    out: side("batch", "left", "right"),
  });
}).map((sides) => {
  const text = (side: readonly { readonly letter: string }[]) => side.map(({ letter }) => letter).join("");
  return {
    spec: `${text(sides.a)},${text(sides.b)}->${text(sides.out)}`,
    a: sides.a.map(({ length }) => length),
    b: sides.b.map(({ length }) => length),
  };
});

Deno.test("einsum of any spec computes what the reference evaluator does", async () => {
  const backend = onnxBackend({ threads: 2 });
  try {
    const property = fc.asyncProperty(anyEinsum, async ({ spec, a, b }) => {
      const graph = trace("einsum", { a: float(...a), b: float(...b) }, (x) => ({ y: einsum(spec, x.a, x.b) }));
      await assertAgrees(backend, graph, [sampleTensor(a, 1), sampleTensor(b, 2)]);
    });
    await fc.assert(property, { seed: 20, numRuns: 300 });
  } finally {
    backend.dispose();
  }
});

Deno.test("einsum of a plan without transposes is lowered to no Transpose node", () => {
  const graph = trace("projection", { x: float(2, 5, 8), w: float(4, 3, 8) }, ({ x, w }) => ({
    y: einsum("btd,nhd->btnh", x, w),
  }));
  assert.deepEqual(lower(graph).model.nodes.map((node) => node.op), ["Reshape", "Reshape", "Gemm", "Reshape"]);
});
