import assert from "node:assert/strict";
import { einsum, emit, type Graph, printGraph, trace, verify } from "@tessera/core";
import { gatherStored, scatterEarly } from "./schedule.ts";

const group = { meshAxes: ["batch"], size: 2 };
const ops = (graph: Graph) => graph.nodes.map(({ op }) => op).join(" ");

Deno.test("gatherStored() gathers a weight as it is stored, and brings it into another form afterwards", () => {
  const graph = trace("product", {
    x: { shape: [3, 8], dtype: "float32" },
    kernel: { shape: [5, 4], dtype: "bfloat16" },
  }, ({ x, kernel }) => {
    const logical = kernel.cast("float32").transpose([1, 0]);
    const [whole] = emit("allGather", [logical], { axis: 0, ...group });
    return { y: einsum("bi,io->bo", x, whole!) };
  });
  const found = verify(gatherStored(graph));
  // The form that was gathered before is left for the pass that drops what nobody reads.
  assert.equal(ops(found), "cast transpose allGather cast transpose einsum");
  assert.match(printGraph(found), /bfloat16\[5,8\] = allGather\(%kernel\) \{axis: 1/);
});

Deno.test("gatherStored() leaves alone what is computed, and casts that would make more to send", () => {
  const graph = trace("computed", { x: { shape: [4, 5], dtype: "float32" } }, ({ x }) => {
    const [computed] = emit("allGather", [x.exp().transpose([1, 0])], { axis: 1, ...group });
    const [narrow] = emit("allGather", [x.cast("bfloat16")], { axis: 0, ...group });
    return { computed: computed!, narrow: narrow! };
  });
  assert.equal(printGraph(gatherStored(graph)), printGraph(graph));
});

Deno.test("scatterEarly() sums right after what is summed, and keeps the order of the rest", () => {
  const graph = trace("gradients", { x: { shape: [4], dtype: "float32" } }, ({ x }) => {
    const [first, second] = [x.exp(), x.sin()];
    const [a] = emit("reduceScatter", [first], { axis: 0, ...group });
    const [b] = emit("reduceScatter", [second], { axis: 0, ...group });
    return { total: a!.add(b!) };
  });
  assert.equal(ops(verify(scatterEarly(graph))), "exp reduceScatter sin reduceScatter add");
});
