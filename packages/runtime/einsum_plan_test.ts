import assert from "node:assert/strict";
import { planEinsum } from "./einsum_plan.ts";

/** The plan of an einsum that contracts axes. */
function productPlan(spec: string, a: readonly number[], b: readonly number[]) {
  const plan = planEinsum(spec, [a, b]);
  assert.ok("product" in plan, `"${spec}" should be a matrix product`);
  return plan.product;
}

Deno.test("planEinsum() never transposes a weight whose groups of axes stand together", () => {
  const cases: readonly (readonly [string, number[], number[]])[] = [
    // The stored orders of Gemma's and Llama's weights, forward.
    ["btd,nhd->btnh", [2, 5, 8], [4, 3, 8]],
    ["btd,fd->btf", [2, 5, 8], [6, 8]],
    ["btf,df->btd", [2, 5, 6], [8, 6]],
    ["btnh,dnh->btd", [2, 5, 4, 3], [8, 4, 3]],
    ["btd,vd->btv", [2, 5, 8], [9, 8]],
    // The gradients with respect to the input.
    ["btnh,nhd->btd", [2, 5, 4, 3], [4, 3, 8]],
    ["btd,dnh->btnh", [2, 5, 8], [8, 4, 3]],
    // The gradients with respect to the weight.
    ["btnh,btd->nhd", [2, 5, 4, 3], [2, 5, 8]],
    ["btd,btnh->dnh", [2, 5, 8], [2, 5, 4, 3]],
    // Low-rank factors.
    ["btd,rd->btr", [2, 5, 8], [2, 8]],
    ["btr,nhr->btnh", [2, 5, 2], [4, 3, 2]],
    // One token of one sequence.
    ["btd,nhd->btnh", [1, 1, 8], [4, 3, 8]],
    ["btmgh,bsmh->bmgts", [1, 1, 2, 2, 3], [1, 5, 2, 3]],
  ];
  for (const [spec, a, b] of cases) assert.equal(productPlan(spec, a, b).cost, 0, spec);
});

Deno.test("planEinsum() exchanges the operands instead of transposing the result", () => {
  const plan = productPlan("ab,bc->ca", [2, 3], [3, 4]);
  assert.deepEqual([plan.cost, plan.first.operand, plan.product], [0, 1, [4, 2]]);
});

Deno.test("planEinsum() transposes activations, not more, where attention interleaves heads and time", () => {
  const plan = productPlan("btmgh,bsmh->bmgts", [2, 5, 2, 2, 3], [2, 7, 2, 3]);
  assert.equal(plan.cost, 2 * 5 * 2 * 2 * 3 + 2 * 7 * 2 * 3);
  assert.equal(plan.result, null);
});

Deno.test("planEinsum() writes a product without contracted axes as a broadcast multiplication", () => {
  assert.deepEqual(planEinsum("ab,cb->abc", [[2, 3], [4, 3]]), {
    broadcast: {
      operands: [{ permutation: null, view: [2, 3, 1] }, { permutation: [1, 0], view: [1, 3, 4] }],
    },
  });
});
