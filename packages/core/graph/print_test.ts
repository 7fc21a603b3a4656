import assert from "node:assert/strict";
import {
  attention,
  constant,
  einsum,
  full,
  gelu,
  gradients,
  legalize,
  optimize,
  printGraph,
  rmsNorm,
  rotaryEmbedding,
  trace,
} from "../mod.ts";

Deno.test("printGraph() of a perceptron and its gradients", async (t) => {
  const graph = trace(
    "perceptron",
    {
      x: { shape: [8, 4], dtype: "float32" },
      hidden: { shape: [4, 16], dtype: "float32" },
      out: { shape: [16, 1], dtype: "float32" },
    },
    ({ x, hidden, out }) => {
      const y = einsum("bh,ho->bo", gelu(einsum("bi,ih->bh", x, hidden)), out);
      const loss = y.square().mean();
      const [dhidden, dout] = gradients(loss, [hidden, out]);
      return { loss, dhidden: dhidden!, dout: dout! };
    },
  );
  await t.assertSnapshot(printGraph(optimize(graph)));
});

Deno.test("printGraph() of an attention block over stored weights", async (t) => {
  const weight = { shape: [2, 8, 16], dtype: "float32" } as const; // stored as [heads, headDim, hidden]
  const graph = trace(
    "attention block",
    {
      x: { shape: [1, 6, 16], dtype: "float32" },
      positions: { shape: [1, 6], dtype: "int32" },
      frequencies: { shape: [4], dtype: "float32" },
      query: weight,
      key: weight,
      value: weight,
    },
    ({ x, positions, frequencies, ...weights }) => {
      const project = (kernel: typeof x) => einsum("btd,dnh->btnh", x, kernel.transpose([2, 0, 1]));
      const out = attention({
        query: rotaryEmbedding(project(weights.query), positions, frequencies),
        key: rotaryEmbedding(project(weights.key), positions, frequencies),
        value: project(weights.value),
        queryPositions: positions,
        keyPositions: positions,
      }, { scale: 0.25, softCap: 50, window: null });
      return { out };
    },
  );
  await t.assertSnapshot(printGraph(optimize(graph)));
});

Deno.test("printGraph() of a bfloat16 graph that a float32 backend runs", async (t) => {
  const graph = trace(
    "scaled",
    { x: { shape: [4], dtype: "bfloat16" }, scale: { shape: [], dtype: "bfloat16" } },
    ({ x, scale }) => ({ y: gelu(x.mul(scale)).add(0.5).reshape([2, 2]) }),
  );
  const support = { computes: new Set(["float32", "int32", "bool"] as const), moves: new Set(["reshape"] as const) };
  await t.assertSnapshot(printGraph(optimize(legalize(graph, support))));
});

Deno.test("printGraph() cuts long lists and spells numbers that JSON has not", () => {
  const graph = trace("constants", {}, () => ({
    table: constant([1, 2, 3, 4, 5, 6, 7, 8, 9], [9]),
    none: full([], -Infinity),
    zero: full([1], -0),
  }));
  assert.equal(
    printGraph(graph),
    [
      "constants() {",
      "  %0: float32[9] = constant() {values: [1,2,3,4,5,6,7,8,… 9 in all]}",
      "  %1: float32[] = full() {value: -Infinity}",
      "  %2: float32[1] = full() {value: -0}",
      "  return table: %0, none: %1, zero: %2",
      "}",
    ].join("\n"),
  );
});

Deno.test("printGraph() numbers each result of an op that has several", () => {
  const graph = trace("norm", { x: { shape: [3], dtype: "float32" } }, ({ x }) => ({
    dx: gradients(rmsNorm(x, full([3], 1), { epsilon: 1 }).sum(), [x])[0]!,
  }));
  assert.match(printGraph(graph), /%(\d+): float32\[3\], %\d+: float32\[3\] = rmsNormGrad\(.*\n {2}return dx: %\1\n/);
});
