import assert from "node:assert/strict";
import { einsum } from "../ops/contraction.ts";
import { rmsNorm, softmax } from "../composites/normalization.ts";
import { hostTensor, type TensorType } from "../values/dtype.ts";
import { gradients } from "../graph/gradient.ts";
import { evaluate } from "../reference/evaluate.ts";
import { assertAllClose, sampleOperands, samples, tolerances } from "../testing.ts";
import { apply, type Graph, type Tensor } from "../graph/tensor.ts";
import { constant, full, trace, where } from "../graph/trace.ts";
import { verify } from "../graph/verify.ts";
import { cancelTransposes } from "./cancel_transposes.ts";
import { eliminateCommonSubexpressions } from "./common_subexpressions.ts";
import { eliminateDeadCode } from "./dead_code.ts";
import { decompose } from "./decompose.ts";
import { foldConstants } from "./fold_constants.ts";
import { legalize } from "./legalize.ts";
import { optimize } from "./optimize.ts";

const matrix: TensorType = { shape: [2, 3], dtype: "float32" };

/** A graph of one input and one output, checked. */
function graphOf(body: (x: Tensor) => Tensor, type = matrix): Graph {
  return verify(trace("test", { x: type }, ({ x }) => ({ y: body(x) })));
}

function opsOf(graph: Graph): string[] {
  return verify(graph).nodes.map((node) => node.op);
}

Deno.test("eliminateDeadCode() drops what no output needs and keeps unused inputs", () => {
  const graph = trace("dead", { x: matrix, unused: matrix }, ({ x }) => {
    x.exp().log().sum();
    return { y: x.tanh() };
  });
  assert.equal(graph.nodes.length, 4);
  const live = eliminateDeadCode(graph);
  assert.deepEqual(opsOf(live), ["tanh"]);
  assert.deepEqual(live.inputNames, ["x", "unused"]);
});

Deno.test("eliminateDeadCode() keeps a node of which one result is needed", () => {
  const graph = graphOf((x) => {
    const [row] = gradients(rmsNorm(x, full([3], 1), { epsilon: 0.1 }).sum(), [x]);
    return row!;
  });
  assert.ok(opsOf(eliminateDeadCode(graph)).includes("rmsNormGrad"));
});

Deno.test("eliminateCommonSubexpressions() computes once what is asked for twice, and what then becomes the same", () => {
  const graph = graphOf((x) => x.mul(2).exp().add(x.mul(2).exp()));
  assert.deepEqual(opsOf(graph), ["full", "mul", "exp", "full", "mul", "exp", "add"]);
  assert.deepEqual(opsOf(eliminateCommonSubexpressions(graph)), ["full", "mul", "exp", "add"]);
});

Deno.test("eliminateCommonSubexpressions() tells attributes apart that JSON does not", () => {
  const pairs = [[Infinity, -Infinity], [0, -0], [NaN, Infinity]] as const;
  for (const [a, b] of pairs) {
    const graph = graphOf(() => full([], 1).div(full([], a)).add(full([], b)));
    assert.equal(eliminateCommonSubexpressions(graph).nodes.filter((node) => node.op === "full").length, 3);
  }
});

Deno.test("foldConstants() computes what depends on no input, and dead code then leaves the result alone", () => {
  const table = (x: Tensor) => x.mul(constant([1, 2, 3], [3]).add(1).mul(full([], 4).sqrt()));
  const folded = eliminateDeadCode(foldConstants(graphOf(table)));
  assert.deepEqual(opsOf(folded), ["constant", "mul"]);
  assert.deepEqual(folded.nodes[0]!.attrs, { shape: [3], dtype: "float32", values: [4, 6, 8] });
  const uniform = eliminateDeadCode(foldConstants(graphOf((x) => x.add(full([], 2).mul(3)))));
  assert.deepEqual(opsOf(uniform), ["full", "add"]);
});

Deno.test("foldConstants() rounds to the dtype, as a run would", () => {
  const graph = graphOf((x) => x.add(full([], 0.1).cast("bfloat16").cast("float32")));
  const folded = eliminateDeadCode(foldConstants(graph));
  assert.deepEqual(opsOf(folded), ["full", "add"]);
  assert.deepEqual(folded.nodes[0]!.attrs, { shape: [], dtype: "float32", value: 0.10009765625 });
});

Deno.test("foldConstants() leaves tables that are too large for a graph", () => {
  const graph = graphOf((x) => x.add(full([70, 70, 1, 1], 1).neg().max([0, 1])));
  assert.deepEqual(opsOf(foldConstants(graph)), opsOf(graph));
});

Deno.test("cancelTransposes() folds transposes into the operands and the result of an einsum", () => {
  const graph = graphOf((x) => einsum("ab,bc->ac", x.transpose([1, 0]), x).transpose([1, 0]));
  const cancelled = eliminateDeadCode(cancelTransposes(eliminateDeadCode(cancelTransposes(graph))));
  assert.deepEqual(opsOf(cancelled), ["einsum"]);
  assert.deepEqual(cancelled.nodes[0]!.attrs, { spec: "ba,bc->ca" });
});

Deno.test("cancelTransposes() removes pairs, and reshapes and casts that do nothing", () => {
  const type: TensorType = { shape: [2, 3, 4], dtype: "float32" };
  const pair = (x: Tensor) => x.transpose([1, 2, 0]).transpose([2, 0, 1]).reshape([24]).reshape([2, 3, 4]).exp();
  assert.deepEqual(opsOf(eliminateDeadCode(cancelTransposes(cancelTransposes(graphOf(pair, type))))), ["exp"]);
  const composed = eliminateDeadCode(
    cancelTransposes(graphOf((x) => x.transpose([1, 2, 0]).transpose([0, 2, 1]), type)),
  );
  assert.deepEqual(opsOf(composed), ["transpose"]);
  assert.deepEqual(composed.nodes[0]!.attrs, { permutation: [1, 0, 2] });
});

Deno.test("cancelTransposes() does not compute an einsum twice to save a transpose", () => {
  const square = { shape: [3, 3], dtype: "float32" } as const;
  const twice = (x: Tensor) => {
    const y = einsum("ab,bc->ac", x, x);
    return y.add(y.transpose([1, 0]));
  };
  assert.deepEqual(opsOf(optimize(graphOf(twice, square))), ["einsum", "transpose", "add"]);
  // The same when what stands between the einsum and the transpose goes away.
  const hidden = (x: Tensor) => {
    const y = einsum("ab,bc->ac", x, x);
    return y.add(y.transpose([0, 1]).transpose([1, 0]));
  };
  assert.deepEqual(opsOf(optimize(graphOf(hidden, square))), ["einsum", "transpose", "add"]);
});

Deno.test("optimize() leaves no transpose of a weight that is stored in another order, forward or backward", () => {
  const stored = { shape: [4, 6, 8], dtype: "float32" } as const; // [heads, headDim, hidden]
  const graph = verify(trace(
    "projection",
    { x: { shape: [2, 5, 8], dtype: "float32" }, kernel: stored, out: { shape: [8, 4, 6], dtype: "float32" } },
    ({ x, kernel, out }) => {
      const heads = einsum("btd,ndh->btnh", x, kernel.transpose([0, 2, 1])).tanh();
      const y = einsum("btnh,nhd->btd", heads, out.transpose([1, 2, 0]));
      const [dx, dkernel, dout] = gradients(y.square().sum(), [x, kernel, out]);
      return { y, dx: dx!, dkernel: dkernel!, dout: dout! };
    },
  ));
  assert.ok(opsOf(graph).filter((op) => op === "transpose").length >= 4);
  const optimized = optimize(graph);
  assert.deepEqual(opsOf(optimized).filter((op) => op === "transpose"), []);
  assert.equal(opsOf(optimized).filter((op) => op === "einsum").length, 6);
});

Deno.test("decompose() leaves primitives, or the composites that it is told to keep", () => {
  const graph = graphOf((x) => gradients(softmax(x).square().sum(), [x])[0]!);
  assert.ok(opsOf(graph).includes("softmax"));
  assert.ok(!opsOf(decompose(graph)).includes("softmax"));
  assert.deepEqual(opsOf(decompose(graph, (op) => op === "softmax")), opsOf(graph));
});

Deno.test("legalize() computes unsupported dtypes in float32 and rounds results", () => {
  const type: TensorType = { shape: [2, 3], dtype: "bfloat16" };
  const float32 = { computes: new Set(["float32", "int32", "bool"] as const), moves: new Set(["reshape"] as const) };
  const legal = legalize(graphOf((x) => x.reshape([6]).mul(2).cast("float32"), type), float32);
  assert.deepEqual(legal.nodes.map((node) => `${node.op} ${node.results[0]}`), [
    "reshape bfloat16[6]",
    "full float32[]",
    "cast bfloat16[]",
    "cast float32[6]",
    "cast float32[]",
    "mul float32[6]",
    "cast bfloat16[6]",
    "cast float32[6]",
  ]);
  assert.deepEqual(opsOf(legalize(graphOf((x) => x.gather(x.argMax(0))), float32)), ["argMax", "gather"]);
});

Deno.test("legalize() computes unsupported integers in int32, and leaves codes to those that read them", () => {
  const float32 = { computes: new Set(["float32", "int32", "bool"] as const), moves: new Set(["gather"] as const) };
  const type: TensorType = { shape: [4, 2], dtype: "uint8" };
  const masked = graphOf(
    (x) => where(full([4, 1], 1, "bool"), x.gather(full([4], 2, "int32")), full([], 7, "uint8")),
    type,
  );
  const legal = verify(legalize(masked, float32));
  assert.deepEqual(legal.nodes.map((node) => `${node.op} ${node.results[0]}`), [
    "full bool[4,1]",
    "full int32[4]",
    "gather uint8[4,2]",
    "full int32[]",
    "cast uint8[]",
    "cast int32[4,2]",
    "cast int32[]",
    "where int32[4,2]",
    "cast uint8[4,2]",
  ]);
  const codes = hostTensor("uint8", [4, 2], Uint8Array.of(1, 2, 3, 4, 255, 254, 7, 8));
  assert.deepEqual(evaluate(legal, [codes])[0], evaluate(masked, [codes])[0]);
  const sample = samples.dequantize[0];
  const [own, scales] = sampleOperands(sample);
  const read = trace(
    "codes",
    { own: own!, scales: scales! },
    (o) => ({ y: apply("dequantize", [o.own, o.scales], sample.attrs) }),
  );
  assert.deepEqual(opsOf(legalize(read, float32)), ["dequantize"]);
});

Deno.test("legalize() keeps composites, which then compute in float32", () => {
  const sample = samples.rmsNorm.find(({ name }) => name === "bfloat16")!;
  const [x, scale] = sampleOperands(sample);
  const graph = trace("norm", { x: x!, scale: scale! }, (o) => ({ y: rmsNorm(o.x, o.scale, sample.attrs) }));
  const legal = verify(legalize(graph, { computes: new Set(["float32", "int32", "bool"]), moves: new Set() }));
  assert.deepEqual(opsOf(legal), ["cast", "cast", "rmsNorm", "cast"]);
  assertAllClose(evaluate(legal, [x!, scale!])[0]!, evaluate(graph, [x!, scale!])[0]!, tolerances.bfloat16);
});

Deno.test("passes keep the line that a node came from", () => {
  function askForExp(x: Tensor) {
    return x.transpose([1, 0]).transpose([1, 0]).exp();
  }
  const node = optimize(graphOf(askForExp)).nodes.find((node) => node.op === "exp")!;
  assert.match(node.origin.stack!, /askForExp/);
  const gradient = optimize(graphOf((x) => gradients(askForExp(x).sum(), [x])[0]!));
  assert.match(gradient.nodes.at(-1)!.origin.stack!, /askForExp/);
});

Deno.test("evaluate() refuses inputs of another number or type", () => {
  const graph = graphOf((x) => x.exp());
  assert.throws(() => evaluate(graph, []), {
    name: "TypeError",
    message: 'Cannot evaluate "test": it has 1 inputs, found 0',
  });
  assert.throws(() => evaluate(graph, [hostTensor("float32", [3], new Float32Array(3))]), {
    name: "TypeError",
    message: 'Cannot evaluate "test": input "x" must be float32[2,3], found float32[3]',
  });
});
