import assert from "node:assert/strict";
import {
  apply,
  attention,
  constant,
  crossEntropy,
  einsum,
  gelu,
  gradients,
  type Graph,
  iota,
  rmsNorm,
  trace,
} from "@tessera/core";
import { printModel } from "../model/print.ts";
import { float } from "../testing/run.ts";
import { cpuSupport, lower, prepare } from "./lower.ts";

function print(graph: Graph): string {
  return printModel(lower(prepare(graph, cpuSupport)).model);
}

const graphs: Readonly<Record<string, Graph>> = {
  "a projection with low-rank factors and its gradients": trace(
    "lora",
    { x: float(2, 16, 32), w: float(4, 8, 32), a: float(32, 2), b: float(2, 4, 8) },
    ({ x, w, a, b }) => {
      const y = einsum("btd,nhd->btnh", x, w).add(einsum("btr,rnh->btnh", einsum("btd,dr->btr", x, a), b));
      const loss = y.square().sum();
      const [da, db] = gradients(loss, [a, b]);
      return { loss, da: da!, db: db! };
    },
  ),
  "a normalized feed-forward layer": trace(
    "feed_forward",
    { x: float(2, 16, 32), scale: float(32), gate: float(64, 32), up: float(64, 32), down: float(32, 64) },
    ({ x, scale, gate, up, down }) => {
      const n = rmsNorm(x, scale, { epsilon: 1e-6, offset: 1 });
      const h = gelu(einsum("btd,fd->btf", n, gate)).mul(einsum("btd,fd->btf", n, up));
      return { y: x.add(einsum("btf,df->btd", h, down)) };
    },
  ),
  "grouped attention with a soft cap and a window": trace(
    "attention",
    { q: float(2, 16, 4, 8), k: float(2, 16, 2, 8), v: float(2, 16, 2, 8) },
    ({ q, k, v }) => {
      const positions = iota([2, 16], 1);
      const inputs = { query: q, key: k, value: v, queryPositions: positions, keyPositions: positions };
      return { y: attention(inputs, { scale: 0.25, softCap: 50, window: 8 }) };
    },
  ),
  "weights stored in bfloat16": trace(
    "storage",
    { tokens: { shape: [2, 3], dtype: "int32" }, table: { shape: [10, 4], dtype: "bfloat16" } },
    ({ tokens, table }) => ({ logits: einsum("btd,vd->btv", table.gather(tokens), table) }),
  ),
  "a loss and its gradient": trace(
    "loss",
    { logits: float(2, 3, 7), labels: { shape: [2, 3], dtype: "int32" } },
    ({ logits, labels }) => {
      const loss = crossEntropy(logits, labels).mean();
      return { loss, dlogits: gradients(loss, [logits])[0]! };
    },
  ),
  "a cache and a mask": trace(
    "cache",
    { cache: float(2, 8, 4), update: float(2, 1, 4), at: { shape: [2], dtype: "int32" } },
    ({ cache, update, at }) => ({
      cache: apply("updateSlice", [cache, update, at], { axis: 1 }),
      mask: apply("where", [at.less(4), constant([1, 0], [2], "bool"), at.greater(6)], {}),
    }),
  ),
};

for (const [name, graph] of Object.entries(graphs)) {
  Deno.test(`lower() writes ${name}`, async (t) => {
    await t.assertSnapshot(print(graph));
  });
}

Deno.test("lower() reads a weight without transposing it, forward and backward", () => {
  const operators =
    lower(prepare(graphs["a projection with low-rank factors and its gradients"]!, cpuSupport)).model.nodes;
  assert.equal(operators.some((node) => node.op === "Transpose"), false);
});

Deno.test("lower() repeats no element that an op repeats by itself", () => {
  const graph = trace(
    "broadcast",
    { x: float(4, 3), b: float(3) },
    ({ x, b }) => ({ y: x.add(b.broadcastTo([4, 3])).mul(2) }),
  );
  assert.deepEqual(lower(prepare(graph, cpuSupport)).model.nodes.map((node) => node.op), ["Add", "Mul"]);
});

Deno.test("lower() writes last what ONNX Runtime is to run first: the output that needs the least", () => {
  const graph = trace(
    "step",
    { x: float(3) },
    ({ x }) => ({ loss: x.exp(), update: x.exp().sin().cos(), far: x.tanh() }),
  );
  const { nodes } = lower(prepare(graph, cpuSupport)).model;
  assert.deepEqual(nodes.map((node) => node.op), ["Exp", "Sin", "Cos", "Tanh"]);
  const reversed = trace("step", { x: float(3) }, ({ x }) => ({ near: x.tanh(), far: x.exp().sin() }));
  assert.deepEqual(lower(prepare(reversed, cpuSupport)).model.nodes.map((node) => node.op), ["Exp", "Sin", "Tanh"]);
});

Deno.test("lower() stores no weight in the model", () => {
  const { model } = lower(prepare(graphs["a normalized feed-forward layer"]!, cpuSupport));
  assert.deepEqual(model.inputs.map((value) => value.name), ["x", "scale", "gate", "up", "down"]);
  assert.ok(model.initializers.every((value) => value.bytes.length <= 32));
});
