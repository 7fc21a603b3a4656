/** Graphs on sizes that take several tiles, groups of threads and loops, which the samples of the conformance suite are too small for. */

import assert from "node:assert/strict";
import {
  adamWUpdate,
  apply,
  attention,
  type AttentionOptions,
  crossEntropy,
  einsum,
  emit,
  foldIn,
  fromFloat32,
  gelu,
  gradients,
  type Graph,
  type HostTensor,
  hostTensor,
  normal,
  quantizedEinsum,
  randomKey,
  rmsNorm,
  silu,
  sizeOf,
  softmax,
  type Tensor,
  type TensorType,
  toFloat32,
  trace,
} from "@tessera/core";
import { assertAllClose } from "@tessera/core/testing";
import type { Backend } from "@tessera/runtime";
import { runOnce } from "@tessera/runtime/testing";
import { tfjsCpuBackend } from "../backend.ts";

/** Which of the two kinds of programs a backend runs. */
export type Programs = "gpu" | "processor";

/** A graph on some inputs, and what is particular about it. */
export interface ProgramCase {
  /** What it is. */
  readonly name: string;
  /** Whose programs it is for. */
  readonly programs: Programs;
  /** The graph. */
  readonly graph: Graph;
  /** Its inputs. */
  readonly inputs: readonly HostTensor[];
  /** How far results may be from those of the oracle; 1e-4 by default. */
  readonly tolerance?: number;
  /** How many bytes of a tensor can be bound, where that is few. */
  readonly maxBindingBytes?: number;
}

const float = (...shape: number[]) => ({ shape, dtype: "float32" }) as const;
const ints = (...shape: number[]) => ({ shape, dtype: "int32" }) as const;

/** Tensors that look random, the same in every run; integers count up to a limit. */
function inputsOf(graph: Graph, limit = 1): HostTensor[] {
  return graph.inputs.map(({ shape, dtype }, i) => {
    const numbers = normal(foldIn(randomKey(3), i), sizeOf(shape));
    if (dtype === "float32") return hostTensor(dtype, shape, numbers);
    if (dtype === "uint8") return hostTensor(dtype, shape, Uint8Array.from(numbers, (x) => Math.abs(x * 1e4) % 256));
    if (dtype === "bfloat16") return fromFloat32(dtype, shape, numbers);
    return hostTensor("int32", shape, Int32Array.from(numbers, (x) => Math.abs(x * 1e4) % limit));
  });
}

/** Products of several tiles, for GPUs. */
const products: readonly (readonly [string, number[], number[]])[] = [
  ["mk,kn->mn", [150, 70], [70, 130]],
  ["mk,nk->nm", [70, 33], [150, 33]],
  ["btd,nhd->btnh", [2, 50, 40], [3, 17, 40]],
  ["btmgh,bsmh->bmgts", [2, 70, 2, 2, 20], [2, 90, 2, 20]],
  ["td,vd->tv", [3, 200], [500, 200]],
  ["tr,td->rd", [700, 8], [700, 30]],
];

/** Products in blocks, for processors. */
export const blocks: readonly (readonly [string, number[], number[]])[] = [
  ["mk,kn->mn", [150, 72], [72, 132]],
  ["mk,nk->nm", [68, 36], [148, 36]],
  ["btd,nhd->btnh", [2, 50, 40], [3, 20, 40]],
  ["btnh,nhd->btd", [2, 50, 3, 20], [3, 20, 36]],
  ["btmgh,bsmh->bmgts", [2, 70, 2, 2, 20], [2, 92, 2, 20]],
  ["bti,bto->io", [3, 52, 12], [3, 52, 28]],
  ["bti,bto->oi", [3, 52, 12], [3, 52, 28]],
  ["td,vd->tv", [3, 200], [500, 200]],
];

function productCase(programs: Programs, spec: string, a: number[], b: number[], scale: number): ProgramCase {
  const types = { a: float(...a), b: float(...b) };
  const graph = trace("product", types, (x) => ({ y: einsum(spec, x.a, x.b, { scale }) }));
  const name = `einsum "${spec}" ${programs === "gpu" ? "of several tiles" : "in blocks"}`;
  return { name, programs, graph, inputs: inputsOf(graph) };
}

function quantizedCase(bits: 4 | 8): ProgramCase {
  const [outputs, inner, blocks] = [90, 160, 5];
  const types: Record<string, TensorType> = {
    x: float(2, 40, inner),
    codes: { shape: [outputs, inner * bits / 8], dtype: "uint8" },
    scales: float(outputs, blocks),
  };
  const graph = trace("quantized", types, ({ x, codes, scales }) => {
    const y = quantizedEinsum("bti,oi->bto", x!, { codes: codes!, scales: scales!.mul(0.01), bits });
    return { y, dx: gradients(y.square().sum(), [x!])[0]! };
  });
  const name = `quantizedEinsum of several tiles with ${bits} bits, forward and backward`;
  return { name, programs: "gpu", graph, inputs: inputsOf(graph), tolerance: 1e-3 };
}

interface AttentionCase extends Partial<AttentionOptions> {
  readonly prefix?: number;
  /** The last position that a query sees, its own unless given. */
  readonly lastSeen?: (query: number) => number;
  /** [time, keys, headDim]. */
  readonly lengths?: readonly [number, number, number];
  /** The position of a query, its own number unless given. */
  readonly place?: (query: number) => number;
}

const attentionCases: Readonly<Record<string, AttentionCase>> = {
  causal: {},
  "with a window and a soft cap": { window: 20, softCap: 2 },
  "with a prefix": { prefix: 30 },
  // Queries 8 to 23 are the tokens of an image.
  "with an image in a window": { window: 9, lastSeen: (query) => query >= 8 && query < 24 ? 23 : query },
  "with heads wider than a tile": { lengths: [20, 70, 136] },
  // Of 150 keys the queries see some of one or two tiles of three, and each seventh none.
  "of which queries see a few, or none": {
    lengths: [40, 150, 24],
    window: 9,
    place: (query) => query % 7 === 0 ? -1 : 60 + query,
  },
  "of which the few queries see the last": { lengths: [3, 150, 24], window: 20, place: (query) => 144 + query },
};

function attentionCase(
  programs: Programs,
  name: string,
  { prefix = 0, lengths, place = (query) => query, lastSeen = place, ...attrs }: AttentionCase,
): ProgramCase {
  const [batch, heads, keyHeads] = [2, 4, 2];
  const [time, keys, wide] = lengths ?? [41, 45, 72];
  const headDim = programs === "gpu" ? wide : 12;
  const types = {
    query: float(batch, time, heads, headDim),
    key: float(batch, keys, keyHeads, headDim),
    value: float(batch, keys, keyHeads, headDim),
    queryPositions: ints(batch, time),
    keyPositions: ints(batch, keys),
    prefix: ints(batch),
    lastSeen: ints(batch, time),
  };
  const graph = trace("attention", types, (x) => {
    const y = attention(x, { scale: 0.2, softCap: null, window: null, ...attrs });
    const [dq, dk, dv] = gradients(y.square().sum(), [x.query, x.key, x.value]);
    return { y, dq: dq!, dk: dk!, dv: dv! };
  });
  const ofQueries = (at: (query: number) => number) =>
    hostTensor("int32", [batch, time], Int32Array.from({ length: batch * time }, (_, i) => at(i % time)));
  // The last keys of a text are hidden.
  const keyPlaces = Int32Array.from({ length: batch * keys }, (_, i) => i % keys < keys - 3 ? i % keys : -1);
  const inputs = inputsOf(graph).with(3, ofQueries(place))
    .with(4, hostTensor("int32", [batch, keys], keyPlaces))
    .with(5, hostTensor("int32", [batch], Int32Array.of(prefix, 0)))
    .with(6, ofQueries(lastSeen));
  const how = programs === "gpu" ? "over several tiles" : "by threads";
  return { name: `attention ${how} ${name}, forward and backward`, programs, graph, inputs };
}

function rowCase(programs: Programs): ProgramCase {
  const types = { x: float(3, 40, 300), scale: float(300), labels: ints(3, 40) };
  const whole = trace("rows", types, ({ x, scale, labels }) => {
    const loss = crossEntropy(rmsNorm(x, scale, { epsilon: 1e-6, offset: 1 }), labels).mean();
    const [dx, dscale] = gradients(loss, [x, scale]);
    return { loss, dx: dx!, dscale: dscale! };
  });
  const frozen = { ...whole, outputs: whole.outputs.slice(0, 2), outputNames: whole.outputNames.slice(0, 2) };
  const graph = programs === "gpu" ? whole : frozen;
  const name = `rmsNorm and crossEntropy of rows longer than a group, forward and backward, for a ${programs}`;
  return { name, programs, graph, inputs: inputsOf(graph, 300) };
}

function reductionCase(): ProgramCase {
  const types = { x: float(70, 300), row: float(300), column: float(70, 1) };
  const graph = trace("many", types, ({ x, row, column }) => {
    const y = x.mul(row).add(column).tanh().mul(x.sin()).add(0.5);
    return {
      y,
      rows: y.sum(1),
      columns: y.max(0),
      all: y.min([0, 1]),
      few: y.reshape([1050, 4, 5]).sum([0, 2]),
      whole: y.sum(),
      first: apply("argMax", [y], { axis: 1 }),
      later: apply("argMax", [y], { axis: 0 }),
      running: apply("cumSum", [y], { axis: 1 }),
      down: apply("cumSum", [y], { axis: 0 }),
    };
  });
  const name = "Reductions, argMax and elementwise chains of many elements";
  return { name, programs: "gpu", graph, inputs: inputsOf(graph) };
}

function pieceCase(): ProgramCase {
  const types: Record<string, TensorType> = {
    tokens: ints(2, 5),
    table: float(90, 24),
    halves: { shape: [120, 25], dtype: "bfloat16" },
    codes: { shape: [90, 60], dtype: "uint8" },
    scales: float(45, 5),
    x: float(2, 5, 120),
  };
  const graph = trace("pieces", types, ({ tokens, table, halves, codes, scales, x }) => {
    const rows = table!.gather(tokens!);
    // A logit per row of the table, and back from the logits: rows of the result, and rows that are summed over.
    const logits = einsum("btd,vd->btv", rows, table!, { scale: 0.5 });
    const back = einsum("btv,vd->btd", logits, table!);
    const narrow = halves!.gather(tokens!);
    const weight = { codes: codes!, scales: scales!.mul(0.01), bits: 4 } as const;
    const quantized = quantizedEinsum("btd,vd->btv", x!, weight);
    const dx = quantizedEinsum("btv,vd->btd", quantized, weight);
    return { rows, logits, back, narrow, products: einsum("btd,vd->btv", narrow, halves!), quantized, dx };
  });
  const name = "Tables and weights larger than a binding are kept in pieces";
  return { name, programs: "gpu", graph, inputs: inputsOf(graph, 90), tolerance: 1e-3, maxBindingBytes: 5000 };
}

function steepCase(programs: Programs): ProgramCase {
  const types = { x: float(4, 8), n: ints(5) };
  const graph = trace("steep", types, ({ x, n }) => ({
    sigmoid: apply("sigmoid", [x], {}),
    tanh: x.tanh(),
    silu: silu(x),
    gelu: gelu(x),
    power: n.pow(n),
  }));
  const x = Float32Array.from({ length: 32 }, (_, i) => (i - 16) ** 3 / 8);
  const inputs = [hostTensor("float32", [4, 8], x), hostTensor("int32", [5], Int32Array.of(2, 5, 7, 9, -3))];
  return { name: `Functions of large numbers do not overflow, for a ${programs}`, programs, graph, inputs };
}

function repeatedCase(): ProgramCase {
  const types = { x: float(4, 3), rate: float(), places: ints(4), starts: ints(4) };
  const graph = trace("repeated", types, ({ x, rate, places, starts }) => {
    // Values that nothing else needs, so that they could be overwritten.
    const [a, b, c] = [0.5, 0.25, 0.125].map((scale) => x.mul(scale).square()) as [Tensor, Tensor, Tensor];
    const step = { gradient: a, learningRate: rate, momentumCorrection: rate, velocityCorrection: rate };
    const rule = { beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.1 };
    return {
      ...adamWUpdate({ weight: a, momentum: a, velocity: a }, step, rule),
      added: apply("scatterAdd", [b, places, b], { axis: 0 }),
      updated: apply("updateSlice", [c, c, starts], { axis: 1 }),
    };
  });
  const name = "A value that a step reads through several operands is not overwritten";
  const inputs = inputsOf(graph, 3).with(1, hostTensor("float32", [], Float32Array.of(0.1)))
    .with(3, hostTensor("int32", [4], new Int32Array(4)));
  return { name, programs: "gpu", graph, inputs };
}

function directReductionCase(): ProgramCase {
  const graph = trace("reductions", { x: float(70, 300) }, ({ x }) => ({
    rows: x.sum(1),
    columns: x.max(0),
    least: x.min([0, 1]),
    whole: x.sum(),
    shares: softmax(x),
  }));
  return { name: "Reductions of inputs", programs: "gpu", graph, inputs: inputsOf(graph) };
}

/** The same with 16-bit inputs, which are converted to float32 where they are read. */
function ofHalves(one: ProgramCase, dtype: "float16" | "bfloat16"): ProgramCase {
  const { inputNames, nodes, outputNames, outputs } = one.graph;
  const inputs = one.inputs.map((x) => x.dtype === "float32" ? fromFloat32(dtype, x.shape, toFloat32(x)) : x);
  const types: Record<string, TensorType> = Object.fromEntries(
    inputs.map(({ dtype, shape }, i) => [inputNames[i]!, { dtype, shape }]),
  );
  const graph = trace(one.graph.name, types, (x) => {
    const values = new Map(one.graph.inputs.map((input, i) => [input, x[inputNames[i]!]!.cast(input.dtype)]));
    for (const { op, operands, results, attrs } of nodes) {
      const found = emit(op, operands.map((operand) => values.get(operand)!), attrs);
      results.forEach((result, i) => values.set(result, found[i]!));
    }
    return Object.fromEntries(outputs.map((output, i) => [outputNames[i]!, values.get(output)!]));
  });
  return { ...one, name: `${one.name}, in ${dtype}`, graph, inputs };
}

/** Cases whose programs convert what they read. */
const widened: readonly ProgramCase[] = [
  directReductionCase(),
  productCase("gpu", ...products[2]!, 1),
  productCase("processor", ...blocks[2]!, 1),
  ...(["gpu", "processor"] as const).flatMap((programs) => [
    attentionCase(programs, "with a prefix", attentionCases["with a prefix"]!),
    rowCase(programs),
  ]),
];

/** Every case. */
export const programCases: readonly ProgramCase[] = [
  ...products.map(([spec, a, b]) => productCase("gpu", spec, a, b, 1)),
  ...blocks.map(([spec, a, b]) => productCase("processor", spec, a, b, 0.5)),
  quantizedCase(4),
  quantizedCase(8),
  ...Object.entries(attentionCases).flatMap(([name, one]) =>
    (["gpu", "processor"] as const).map((programs) => attentionCase(programs, name, one))
  ),
  rowCase("gpu"),
  rowCase("processor"),
  reductionCase(),
  ...widened.flatMap((one) => [ofHalves(one, "float16"), ofHalves(one, "bfloat16")]),
  pieceCase(),
  repeatedCase(),
  steepCase("gpu"),
  steepCase("processor"),
];

/** Requires that a backend computes what tfjs's plain JavaScript kernels do from the definitions. */
export async function assertAgrees(backend: Backend, { graph, inputs, tolerance = 1e-4 }: ProgramCase): Promise<void> {
  const oracle = tfjsCpuBackend();
  const expected = await runOnce(oracle, graph, inputs);
  const found = await runOnce(backend, graph, inputs);
  oracle.dispose();
  assert.equal(found.length, expected.length);
  expected.forEach((tensor, i) => {
    const near = tensor.dtype === "bfloat16" ? 3e-2 : tolerance;
    assertAllClose(found[i]!, tensor, { absolute: near, relative: near });
  });
}
