import assert from "node:assert/strict";
import { einsum, type Graph, iota, rmsNorm, type Tensor, type TensorType, trace } from "@tessera/core";
import { propagate } from "./propagate.ts";
import { formatSharding, type MeshShape, type Sharding } from "./sharding.ts";

const mesh: MeshShape = { axes: [{ name: "batch", size: 2 }, { name: "model", size: 2 }] };

function float(...shape: number[]): TensorType {
  return { shape, dtype: "float32" };
}

/** Advice for every output and input, by name, given how some inputs are sharded. */
function advise(graph: Graph, known: Readonly<Record<string, Sharding["dims"]>>): Record<string, string> {
  const given = new Map<Tensor, Sharding>();
  graph.inputs.forEach((input, i) => {
    const dims = known[graph.inputNames[i]!];
    if (dims !== undefined) given.set(input, { dims, partial: [] });
  });
  const found = propagate(graph, mesh, given);
  const named = [...graph.inputs.map((tensor, i) => [graph.inputNames[i]!, tensor] as const)];
  named.push(...graph.outputs.map((tensor, i) => [graph.outputNames[i]!, tensor] as const));
  return Object.fromEntries(named.map(([name, tensor]) => [name, formatSharding(found.get(tensor)!)]));
}

Deno.test("propagate() carries splits forwards through a product, and to the other operand", () => {
  const graph = trace("mlp", { x: float(4, 8), w: float(8, 6), v: float(6, 8) }, ({ x, w, v }) => {
    const h = einsum("bd,df->bf", x, w).tanh();
    return { h, y: einsum("bf,fd->bd", h, v) };
  });
  assert.deepEqual(advise(graph, { x: [["batch"], []], w: [[], ["model"]] }), {
    x: "[batch, -]",
    w: "[-, model]",
    v: "[model, -]",
    h: "[batch, model]",
    y: "[batch, -]",
  });
});

Deno.test("propagate() goes backwards, and to values that depend on nothing", () => {
  const graph = trace("back", { x: float(4, 6), y: float(4, 6) }, ({ x, y }) => {
    const at = iota([4, 6], 0, "float32");
    return { at, z: x.add(at).mul(y) };
  });
  assert.deepEqual(advise(graph, { y: [["model"], ["batch"]] }), {
    x: "[model, batch]",
    y: "[model, batch]",
    at: "[model, batch]",
    z: "[model, batch]",
  });
});

Deno.test("propagate() gives a mesh axis that two factors want to the outermost axis of the result", () => {
  const graph = trace("fsdp", { x: float(4, 8), w: float(8, 6) }, ({ x, w }) => ({ y: einsum("bd,df->bf", x, w) }));
  const found = advise(graph, { x: [["batch"], []], w: [["batch"], ["model"]] });
  assert.equal(found.y, "[batch, model]");
  const clash = trace("clash", { x: float(4, 8), w: float(8, 6) }, ({ x, w }) => ({ y: einsum("bd,df->bf", x, w) }));
  assert.equal(advise(clash, { x: [["model"], []], w: [[], ["model"]] }).y, "[model, -]");
});

Deno.test("propagate() splits no axis that has to be whole, and keeps what is known", () => {
  const graph = trace("norm", { x: float(4, 8), s: float(8) }, ({ x, s }) => ({ y: rmsNorm(x, s, { epsilon: 1e-6 }) }));
  assert.deepEqual(advise(graph, { x: [["batch"], ["model"]], s: [[]] }), {
    x: "[batch, model]",
    s: "[-]",
    y: "[batch, -]",
  });
});

Deno.test("propagate() splits the outer part of an axis that is reshaped", () => {
  const graph = trace("heads", { x: float(4, 6) }, ({ x }) => ({ y: x.reshape([2, 2, 6]), z: x.reshape([24]) }));
  assert.deepEqual(advise(graph, { x: [["model"], []] }), { x: "[model, -]", y: "[model, -, -]", z: "[model]" });
  // The inner part by itself is no block of the merged axis.
  assert.equal(advise(graph, { x: [[], ["model"]] }).z, "[-]");
});

Deno.test("propagate() refuses known shardings that do not fit", () => {
  const graph = trace("odd", { x: float(3) }, ({ x }) => ({ y: x.neg() }));
  assert.throws(() => advise(graph, { x: [["model"]] }), {
    name: "RangeError",
    message: 'Cannot shard "x" axis 0 (3) over mesh axis "model" (2): 3 is not divisible by 2',
  });
});
