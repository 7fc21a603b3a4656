import assert from "node:assert/strict";
import { emit, type Graph, type Tensor, trace, verify } from "@tessera/core";
import { fuseAllReduces } from "./fuse.ts";

function allReduce(x: Tensor, axis = "model"): Tensor {
  return emit("allReduce", [x], { meshAxes: [axis], size: 2, reduce: "sum" })[0]!;
}

function counts(graph: Graph): number[] {
  return graph.nodes.filter(({ op }) => op === "allReduce").map(({ operands }) => operands.length);
}

const inputs = { x: { shape: [2], dtype: "float32" }, y: { shape: [3], dtype: "float32" } } as const;

Deno.test("fuseAllReduces() joins what does not depend on each other, and nothing else", () => {
  const graph = trace("chain", inputs, ({ x, y }) => {
    const early = allReduce(x.exp());
    const late = allReduce(early.tanh());
    return { late, other: allReduce(y), elsewhere: allReduce(y.neg(), "batch") };
  });
  const fused = verify(fuseAllReduces(graph), "fusing");
  assert.deepEqual(counts(fused).sort(), [1, 1, 2]);
  assert.deepEqual(fused.outputs.map(({ shape }) => shape), [[2], [3], [3]]);
});

Deno.test("fuseAllReduces() moves what waits for a group behind it", () => {
  const graph = trace("gradients", inputs, ({ x, y }) => {
    const first = allReduce(x).mul(2);
    const second = allReduce(y.exp().exp()).add(1);
    return { first, second };
  });
  const fused = verify(fuseAllReduces(graph), "fusing");
  assert.deepEqual(fused.nodes.map(({ op }) => op).filter((op) => op !== "full"), [
    "exp",
    "exp",
    "allReduce",
    "mul",
    "add",
  ]);
});

Deno.test("fuseAllReduces() leaves a graph without any as it is", () => {
  const graph = trace("plain", inputs, ({ x }) => ({ y: x.neg() }));
  assert.equal(fuseAllReduces(graph), graph);
});
