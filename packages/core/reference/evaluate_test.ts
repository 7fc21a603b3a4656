import assert from "node:assert/strict";
import { type DType, hostTensor, type TensorType } from "../values/dtype.ts";
import { attention, crossEntropy, evaluate, evaluateExactly, rmsNorm, softmax, trace } from "../mod.ts";
import { apply, type Attrs, emit, type Tensor } from "../graph/tensor.ts";
import { allSamples, assertAllClose, sampleOperands } from "../testing.ts";
import type { OpName } from "../ops/table.ts";
import { evaluateNode, fromElements, toElements } from "./evaluate.ts";

type Operand = readonly [elements: readonly number[], shape: readonly number[], dtype?: DType];

/** The results of an op on given operands. */
function run(op: OpName, operands: readonly Operand[], attrs: Attrs): number[][] {
  const types: Record<string, TensorType> = {};
  operands.forEach(([, shape, dtype = "float32"], i) => types[`x${i}`] = { shape, dtype });
  const graph = trace(op, types, (inputs) => {
    const results = emit(op, Object.values(inputs), attrs);
    return Object.fromEntries(results.map((result, i) => [`y${i}`, result]));
  });
  const inputs = operands.map(([elements, shape, dtype = "float32"]) =>
    fromElements(dtype, shape, Float64Array.from(elements))
  );
  return evaluate(graph, inputs).map((tensor) => [...toElements(tensor)]);
}

/** Results that are worked out by hand, for every op whose gradient or name does not give them away. */
const known: readonly [op: OpName, operands: readonly Operand[], attrs: Attrs, results: number[][]][] = [
  ["iota", [], { shape: [2, 3], dtype: "int32", axis: 1 }, [[0, 1, 2, 0, 1, 2]]],
  ["sub", [[[1, 2, 3, 4], [2, 2]], [[1, 10], [2]]], {}, [[0, -8, 2, -6]]],
  ["div", [[[-7, 7], [2], "int32"], [[2], [], "int32"]], {}, [[-3, 3]]],
  ["pow", [[[2, 9], [2]], [[3, 0.5], [2]]], {}, [[8, 3]]],
  ["where", [[[1, 0], [2], "bool"], [[5], []], [[6, 7], [2]]], {}, [[5, 7]]],
  ["cast", [[[-1.9, 1.9], [2]]], { dtype: "int32" }, [[-1, 1]]],
  ["cast", [[[1.00390625, 1.01171875], [2]]], { dtype: "bfloat16" }, [[1, 1.015625]]],
  ["sum", [[[1, 2, 3, 4, 5, 6], [2, 3]]], { axes: [0], keepDims: false }, [[5, 7, 9]]],
  ["max", [[[1, 5, 3, 4, 2, 6], [2, 3]]], { axes: [1], keepDims: true }, [[5, 6]]],
  ["argMax", [[[1, 5, 5, 4, 2, 6], [2, 3]]], { axis: 1 }, [[1, 2]]],
  ["cumSum", [[[1, 2, 3, 4], [2, 2]]], { axis: 0 }, [[1, 2, 4, 6]]],
  ["topK", [[[1, 5, 3, 4], [4]]], { k: 2 }, [[5, 4], [1, 3]]],
  ["einsum", [[[1, 2, 3, 4], [2, 2]], [[5, 6, 7, 8], [2, 2]]], { spec: "ab,bc->ac" }, [[19, 22, 43, 50]]],
  ["einsum", [[[1, 2, 3, 4], [2, 2]], [[5, 6, 7, 8], [2, 2]]], { spec: "ab,cb->ca" }, [[17, 39, 23, 53]]],
  ["transpose", [[[1, 2, 3, 4, 5, 6], [1, 2, 3]]], { permutation: [2, 0, 1] }, [[1, 4, 2, 5, 3, 6]]],
  ["broadcastTo", [[[1, 2], [2, 1]]], { shape: [2, 2] }, [[1, 1, 2, 2]]],
  ["slice", [[[1, 2, 3, 4, 5], [5]]], { starts: [1], limits: [5], strides: [2] }, [[2, 4]]],
  ["pad", [[[1, 2], [2]]], { low: [1], high: [2], value: 9 }, [[9, 1, 2, 9, 9]]],
  ["concat", [[[1, 2], [2, 1]], [[3, 4], [2, 1]]], { axis: 1 }, [[1, 3, 2, 4]]],
  ["gather", [[[1, 2, 3, 4], [2, 2]], [[1, 0], [2], "int32"]], { axis: 1 }, [[2, 1, 4, 3]]],
  ["scatterAdd", [[[1, 1], [2]], [[1, 1], [2], "int32"], [[5, 6], [2]]], { axis: 0 }, [[1, 12]]],
  ["takeAlongAxis", [[[1, 2, 3, 4], [2, 2]], [[1, 0], [2, 1], "int32"]], { axis: 1 }, [[2, 3]]],
  ["addAlongAxis", [[[1, 2, 3, 4], [2, 2]], [[1, 0], [2, 1], "int32"], [[5, 6], [2, 1]]], { axis: 1 }, [[1, 7, 9, 4]]],
  [
    "updateSlice",
    [[[0, 0, 0, 0, 0, 0], [2, 3]], [[1, 2], [2, 1]], [[2, 0], [2], "int32"]],
    { axis: 1 },
    [[0, 0, 1, 2, 0, 0]],
  ],
  ["rotaryEmbedding", [[[3, 4], [1, 1, 1, 2]], [[1], [1, 1], "int32"], [[Math.PI / 2], [1]]], { inverse: false }, [[
    -4,
    3,
  ]]],
  ["rotaryEmbedding", [[[3, 4], [1, 1, 1, 2]], [[1], [1, 1], "int32"], [[Math.PI / 2], [1]]], { inverse: true }, [[
    4,
    -3,
  ]]],
  ["rmsNorm", [[[3, 4], [2]], [[0, 1], [2]]], { epsilon: 0, offset: 1 }, [[3 / Math.sqrt(12.5), 8 / Math.sqrt(12.5)]]],
  ["layerNorm", [[[1, 5], [2]], [[1, 2], [2]], [[0, 1], [2]]], { epsilon: 0 }, [[-1, 3]]],
  ["softmax", [[[0, Math.log(3)], [2]]], {}, [[0.25, 0.75]]],
  ["crossEntropy", [[[0, Math.log(3)], [2]], [[0], [], "int32"]], {}, [[Math.log(4)]]],
  ["gelu", [[[0, 1], [2]]], {}, [[0, 0.841192]]],
  ["silu", [[[0, 1], [2]]], {}, [[0, 0.731059]]],
  // 8 bits: (code - 128) · scale; 4 bits: 0x3c holds 12 and then 3, which stand for 4 and -5.
  ["dequantize", [[[0, 128, 255, 129], [2, 2], "uint8"], [[2, 0.5], [2, 1]]], { bits: 8, dtype: "float32" }, [[
    -256,
    0,
    63.5,
    0.5,
  ]]],
  ["dequantize", [[[0x3c, 0xf0], [1, 2], "uint8"], [[1, 10], [1, 2]]], { bits: 4, dtype: "float32" }, [[
    4,
    -5,
    -80,
    70,
  ]]],
  ["quantizedEinsum", [[[1, 2, 3, 4], [1, 4]], [[0x3c, 0xf0], [1, 2], "uint8"], [[1, 10], [1, 2]]], {
    spec: "ti,oi->to",
    bits: 4,
    roundInput: false,
  }, [[4 - 10 - 240 + 280]]],
];

for (const [op, operands, attrs, results] of known) {
  Deno.test(`evaluate() of ${op} ${JSON.stringify(attrs)} gives what it gives by hand`, () => {
    const found = run(op, operands, attrs);
    assert.equal(found.length, results.length);
    results.forEach((expected, i) => assertAllClose(found[i]!, expected, { absolute: 1e-6, relative: 1e-6 }));
  });
}

/** What each query position attends to when values are one-hot in their key position: the row of probabilities. */
function attended(
  queryPositions: number[],
  keyPositions: number[],
  options: { prefix?: number; window?: number; lastSeen?: number[] },
): number[][] {
  const [time, keys] = [queryPositions.length, keyPositions.length];
  const graph = trace("mask", {
    query: { shape: [1, time, 1, keys], dtype: "float32" },
    value: { shape: [1, keys, 1, keys], dtype: "float32" },
    queryPositions: { shape: [1, time], dtype: "int32" },
    keyPositions: { shape: [1, keys], dtype: "int32" },
    prefix: { shape: [1], dtype: "int32" },
    lastSeen: { shape: [1, time], dtype: "int32" },
  }, (o) => ({
    y: attention({ ...o, key: o.value.mul(0) }, { scale: 1, softCap: null, window: options.window ?? null }),
  }));
  const oneHot = Float64Array.from({ length: keys * keys }, (_, i) => i % (keys + 1) === 0 ? 1 : 0);
  const [y] = evaluateExactly(graph, [
    new Float64Array(time * keys),
    oneHot,
    Float64Array.from(queryPositions),
    Float64Array.from(keyPositions),
    Float64Array.of(options.prefix ?? 0),
    Float64Array.from(options.lastSeen ?? queryPositions),
  ]);
  return queryPositions.map((_, row) => [...y!.subarray(row * keys, (row + 1) * keys)]);
}

Deno.test("evaluate() of attention sees the keys that its masks leave", () => {
  const [half, third] = [1 / 2, 1 / 3];
  assert.deepEqual(attended([0, 1, 2], [0, 1, 2], {}), [[1, 0, 0], [half, half, 0], [third, third, third]]);
  assert.deepEqual(attended([0, 1, 2], [0, 1, -1], {}), [[1, 0, 0], [half, half, 0], [half, half, 0]]);
  assert.deepEqual(attended([0, 1, 2], [0, 1, 2], { window: 2 }), [[1, 0, 0], [half, half, 0], [0, half, half]]);
  assert.deepEqual(attended([0, 1, 2], [0, 1, 2], { prefix: 2 }), [
    [half, half, 0],
    [half, half, 0],
    [third, third, third],
  ]);
  // Within the prefix the window hides nothing; behind it, the first key is out of its reach.
  assert.deepEqual(attended([0, 1, 2, 3], [0, 1, 2, 3], { prefix: 3, window: 2 }), [
    [third, third, third, 0],
    [third, third, third, 0],
    [third, third, third, 0],
    [0, 0, half, half],
  ]);
  // The tokens of an image see all of it that follows, and before it only what the window leaves.
  assert.deepEqual(attended([0, 1, 2, 3], [0, 1, 2, 3], { lastSeen: [0, 3, 3, 3], window: 2 }), [
    [1, 0, 0, 0],
    [1 / 4, 1 / 4, 1 / 4, 1 / 4],
    [0, third, third, third],
    [0, 0, half, half],
  ]);
  // A query that sees nothing gives the mean of the values rather than NaN.
  assert.deepEqual(attended([0], [-1, -1], {}), [[half, half]]);
});

Deno.test("evaluate() rounds every value to its dtype, evaluateExactly() none", () => {
  const graph = trace(
    "swamped",
    { x: { shape: [], dtype: "float32" } },
    ({ x }) => ({ y: x.add(2 ** 30).sub(2 ** 30) }),
  );
  assert.deepEqual(
    toElements(evaluate(graph, [hostTensor("float32", [], Float32Array.of(1.5))])[0]!),
    Float64Array.of(0),
  );
  assert.deepEqual(evaluateExactly(graph, [Float64Array.of(1.5)]), [Float64Array.of(1.5)]);
});

Deno.test("evaluate() gives every sample results of the types that the op infers, without NaN", () => {
  for (const { op, sample } of allSamples()) {
    const operands = sampleOperands(sample, 5);
    const types = Object.fromEntries(operands.map(({ shape, dtype }, i) => [`x${i}`, { shape, dtype }]));
    const graph = trace(op, types, (inputs) => {
      const results = emit(op, Object.values(inputs), sample.attrs as Attrs);
      return Object.fromEntries(results.map((result, i) => [`y${i}`, result]));
    });
    for (const result of evaluate(graph, operands)) {
      assert.ok(!toElements(result).some(Number.isNaN), `${op}, ${sample.name}`);
    }
  }
});

Deno.test("composites stay finite where their inputs are large", () => {
  const graph = trace("large", { x: { shape: [1, 3], dtype: "float32" } }, ({ x }) => ({
    softmax: softmax(x),
    loss: crossEntropy(x, apply("constant", [], { shape: [1], dtype: "int32", values: [0] })),
    norm: rmsNorm(x, x.reshape([3]).mul(0), { epsilon: 1e-6, offset: 1 }),
  }));
  const x = hostTensor("float32", [1, 3], new Float32Array([1e4, -1e4, 9999]));
  for (const result of evaluate(graph, [x])) assert.ok(toElements(result).every(Number.isFinite));
});

Deno.test("evaluateNode() refuses a composite", () => {
  const graph = trace("gelu", { x: { shape: [1], dtype: "float32" } }, ({ x }: { x: Tensor }) => ({ y: softmax(x) }));
  assert.throws(() => evaluateNode(graph.nodes[0]!, [new Float64Array(1)]), {
    name: "TypeError",
    message: 'Cannot evaluate "softmax" by itself: decompose the graph first',
  });
});
