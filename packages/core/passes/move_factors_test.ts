import assert from "node:assert/strict";
import { einsum } from "../ops/contraction.ts";
import { gradients } from "../graph/gradient.ts";
import type { Graph, Tensor } from "../graph/tensor.ts";
import type { TensorType } from "../values/dtype.ts";
import { trace } from "../graph/trace.ts";
import { verify } from "../graph/verify.ts";
import { eliminateDeadCode } from "./dead_code.ts";
import { moveFactors } from "./move_factors.ts";
import { optimize } from "./optimize.ts";

const float = (...shape: number[]): TensorType => ({ shape, dtype: "float32" });

function graphOf(
  body: (x: Tensor, w: Tensor, row: Tensor) => Tensor,
  dtype: "float32" | "bfloat16" = "float32",
): Graph {
  const types = { x: { ...float(4, 6), dtype }, w: { ...float(6, 2), dtype }, row: { ...float(4, 1), dtype } };
  return trace("test", types, ({ x, w, row }) => ({ y: body(x, w, row) }));
}

/** The ops that are left, without constants, after the pass has run some times. */
function opsAfter(graph: Graph, times = 1): string[] {
  let current = graph;
  for (let i = 0; i < times; i++) current = verify(eliminateDeadCode(moveFactors(current)), "moveFactors");
  return current.nodes.map((node) => node.op).filter((op) => op !== "full");
}

function scales(graph: Graph): unknown[] {
  return graph.nodes.filter((node) => node.op === "einsum").map((node) => node.attrs.scale);
}

Deno.test("moveFactors() makes numbers before and after an einsum its scale", () => {
  const graph = graphOf((x, w) => einsum("ab,bc->ac", x.mul(0.5), w.mul(3)).mul(4));
  const moved = optimize(graph);
  assert.deepEqual(moved.nodes.map((node) => node.op), ["einsum"]);
  assert.deepEqual(scales(moved), [6]);
  assert.deepEqual(scales(optimize(graphOf((x, w) => einsum("ab,bc->ac", x.mul(2), w).mul(0.5)))), [undefined]);
});

Deno.test("moveFactors() moves numbers through changes of shape and sums", () => {
  const graph = graphOf((x) => x.mul(0.5).transpose([1, 0]).reshape([24]).sum());
  assert.deepEqual(opsAfter(graph, 3), ["transpose", "reshape", "sum", "mul"]);
});

Deno.test("moveFactors() merges numbers and drops ones", () => {
  assert.deepEqual(opsAfter(graphOf((x) => x.mul(2).mul(3).mul(5).exp()), 2), ["mul", "exp"]);
  assert.deepEqual(opsAfter(graphOf((x) => x.exp().mul(8).mul(0.125))), ["exp"]);
});

Deno.test("moveFactors() multiplies a row by a number rather than what the row multiplies", () => {
  const graph = eliminateDeadCode(moveFactors(graphOf((x, _, row) => x.mul(2).mul(row))));
  const products = graph.nodes.filter((node) => node.op === "mul").map((node) => node.results[0]!.shape);
  assert.deepEqual(products, [[4, 1], [4, 6]]);
});

Deno.test("moveFactors() takes a factor of the rows past an einsum with fewer columns, and no other factor", () => {
  const rows = graphOf((x, w, row) => einsum("ab,bc->ac", x.mul(row).mul(x.exp()), w));
  assert.deepEqual(opsAfter(rows, 2), ["exp", "mul", "einsum", "mul"]);
  const wider = graphOf((x, w, row) => einsum("ac,bc->ab", einsum("ab,bc->ac", x, w).exp().mul(row), w));
  assert.deepEqual(opsAfter(wider, 2), opsAfter(wider, 0));
  const contracted = graphOf((x, _, row) => einsum("ab,ac->bc", x.mul(row), x.exp()));
  assert.deepEqual(opsAfter(contracted, 2), opsAfter(contracted, 0));
});

Deno.test("moveFactors() leaves a product that something else reads, and other dtypes", () => {
  const shared = graphOf((x) => {
    const y = x.mul(2);
    return y.sum().mul(y);
  });
  assert.deepEqual(opsAfter(shared, 2), opsAfter(shared, 0));
  const narrow = graphOf((x, w) => einsum("ab,bc->ac", x.mul(0.3), w).mul(0.3), "bfloat16");
  assert.deepEqual(opsAfter(narrow, 2), opsAfter(narrow, 0));
});

Deno.test("a soft cap and its gradient multiply the capped array by numbers once", () => {
  const graph = trace("capped", { x: float(4, 6), w: float(6, 3) }, ({ x, w }) => {
    const y = einsum("ab,bc->ac", x, w).mul(1 / 30).tanh().mul(30);
    return { y, dx: gradients(y.square().sum(), [x])[0]! };
  });
  const numbers = optimize(graph).nodes.filter((node) =>
    node.op === "mul" && node.operands.some((operand) => operand.producer?.op === "full")
  );
  assert.deepEqual(numbers.map((node) => node.results[0]!.shape), [[4, 3]]);
});
