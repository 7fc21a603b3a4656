import assert from "node:assert/strict";
import { attention } from "../composites/attention.ts";
import { einsum } from "../ops/contraction.ts";
import { iota, trace } from "../graph/trace.ts";
import { countOperations } from "./cost.ts";
import { optimize } from "./optimize.ts";

const float = (...shape: number[]) => ({ shape, dtype: "float32" }) as const;

Deno.test("countOperations() counts two per multiplication of a matrix product", () => {
  const graph = trace("product", { x: float(2, 5, 3), w: float(3, 4) }, ({ x, w }) => {
    const y = einsum("btd,dh->bth", x, w);
    return { y: y.add(einsum("btd,dh->bth", x, w)).tanh() };
  });
  assert.equal(countOperations(graph), 2 * (2 * 2 * 5 * 3 * 4));
  assert.equal(countOperations(optimize(graph)), 2 * 2 * 5 * 3 * 4);
});

Deno.test("countOperations() does not count products without a sum", () => {
  const graph = trace("outer", { x: float(2), y: float(3) }, ({ x, y }) => ({ z: einsum("a,b->ab", x, y) }));
  assert.equal(countOperations(graph), 0);
});

Deno.test("countOperations() counts the products that composites are made of", () => {
  const graph = trace("attention", { q: float(2, 6, 4, 8), k: float(2, 5, 2, 8) }, ({ q, k }) => {
    const positions = { queryPositions: iota([2, 6], 1), keyPositions: iota([2, 5], 1) };
    return { y: attention({ query: q, key: k, value: k, ...positions }, { scale: 1, softCap: null, window: null }) };
  });
  assert.equal(countOperations(graph), 2 * (2 * 2 * 4 * 6 * 5 * 8));
});
