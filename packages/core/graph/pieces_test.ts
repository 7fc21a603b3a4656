import assert from "node:assert/strict";
import {
  einsum,
  evaluate,
  fromElements,
  gradients,
  hostTensor,
  normal,
  randomKey,
  sizeOf,
  type Tensor,
  toElements,
  trace,
} from "../mod.ts";
import { pieceBounds, sumOverPieces } from "./pieces.ts";
import { checkGradient } from "../testing.ts";

const random = (seed: number, ...shape: number[]) =>
  hostTensor("float32", shape, normal(randomKey(seed), sizeOf(shape)));

/** A sum over rows that reads each row of two tensors, and a table that all rows share. */
function rowsSum(most: number): (x: Tensor, weights: Tensor, table: Tensor) => Tensor {
  return (x, weights, table) =>
    sumOverPieces([x, weights], { axis: 0, most }, ([rows, own]) => {
      return einsum("td,vd->tv", rows!, table).tanh().square().sum(1).mul(own!).sum();
    });
}

const inputs = [random(1, 5, 3), random(2, 5), random(3, 4, 3)];

Deno.test("pieceBounds() cuts into pieces as equal as can be", () => {
  assert.deepEqual(pieceBounds(10, 4), [[0, 4], [4, 8], [8, 10]]);
  assert.deepEqual(pieceBounds(9, 4), [[0, 3], [3, 6], [6, 9]]);
  assert.deepEqual(pieceBounds(4, 4), [[0, 4]]);
  assert.deepEqual(pieceBounds(0, 4), []);
});

for (const most of [1, 2, 3, 5]) {
  Deno.test(`gradients() of sumOverPieces() with ${most} rows a piece are its central differences`, () => {
    checkGradient(rowsSum(most), inputs);
    // The sum may be used like any other value, more than once, and its operands may depend on what is trained.
    checkGradient(
      (x, weights, table) => {
        const sum = rowsSum(most)(x.sin(), weights.mul(table.sum()), table.square());
        return sum.mul(sum).add(sum.exp()).add(x.sum());
      },
      inputs,
      { tolerance: { absolute: 1e-5, relative: 1e-6 } },
    );
  });
}

Deno.test("gradients() of sumOverPieces() compute nothing twice, and nothing of a piece after the next one began", () => {
  const types = { x: { shape: [6, 3], dtype: "float32" }, table: { shape: [4, 3], dtype: "float32" } } as const;
  const graph = trace("pieces", types, ({ x, table }) => {
    const loss = sumOverPieces(
      [x],
      { axis: 0, most: 2 },
      ([rows]) => einsum("td,vd->tv", rows!, table).tanh().sum(),
    );
    return { loss, dx: gradients(loss, [x])[0]! };
  });
  const at = (shape: string) => graph.nodes.flatMap((node, i) => node.results.some((y) => `${y}` === shape) ? [i] : []);
  assert.equal(graph.nodes.filter(({ op }) => op === "tanh").length, 3);
  // A value as large as a piece's product is read before the next product is computed.
  const large = at("float32[2,4]");
  const tanh = graph.nodes.flatMap(({ op }, i) => op === "tanh" ? [i] : []);
  graph.nodes.forEach((node, i) => {
    for (const operand of node.operands) {
      const made = graph.nodes.findIndex(({ results }) => results.includes(operand));
      if (!large.includes(made)) continue;
      const pieceOf = (index: number) => tanh.filter((start) => start <= index + 1).length;
      assert.equal(pieceOf(i), pieceOf(made), `node ${i} reads what node ${made} made in another piece`);
    }
  });
});

Deno.test("sumOverPieces() in bfloat16 rounds a gradient once, not at every piece", () => {
  const types = { x: { shape: [64, 1], dtype: "bfloat16" }, w: { shape: [1], dtype: "bfloat16" } } as const;
  const slopeOf = (most: number) => {
    const graph = trace("bfloat16", types, ({ x, w }) => {
      const loss = sumOverPieces([x], { axis: 0, most }, ([rows]) => rows!.mul(w).cast("float32").sum());
      return { dw: gradients(loss, [w])[0]! };
    });
    const ones = new Float64Array(64).fill(1.0078125);
    return toElements(
      evaluate(graph, [fromElements("bfloat16", [64, 1], ones), fromElements("bfloat16", [1], Float64Array.of(1))])[0]!,
    );
  };
  // In bfloat16 64 terms of 1.0078125, added one by one, would be 64 rather than 64.5.
  for (const most of [1, 8, 64]) assert.deepEqual([...slopeOf(most)], [64.5]);
});

Deno.test("sumOverPieces() refuses terms that are no scalars", () => {
  const x = { shape: [4, 2], dtype: "float32" } as const;
  assert.throws(
    () => trace("rows", { x }, (o) => ({ y: sumOverPieces([o.x], { axis: 0, most: 2 }, ([rows]) => rows!) })),
    { name: "TypeError", message: "Cannot sum float32[2,2] over pieces: the terms must be floating-point scalars" },
  );
});
