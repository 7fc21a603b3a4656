/**
 * Measures what the lowering's choices rest on: the GFLOP/s of each way to write a matrix product, and what a run costs
 * in addition to its kernels. Run it with `deno run -A bench/measure.ts [threads]`; every figure is the best of many runs, so
 * that other work on the machine counts as little as possible.
 */

import { hostTensor, sizeOf, type TensorType, trace } from "@tessera/core";
import { onnxBackend } from "../backend.ts";
import { acquireEnvironment, type Environment } from "../ffi/environment.ts";
import { newSession } from "../ffi/session.ts";
import { valueOver } from "../ffi/value.ts";
import { encodeModel } from "../model/encode.ts";
import type { OnnxNode } from "../model/description.ts";
import { float, sample } from "../testing/run.ts";

/** One way to compute a product: the shapes of its factors and of its result, and the nodes. */
interface Form {
  readonly name: string;
  readonly inputs: readonly (readonly number[])[];
  readonly output: readonly number[];
  readonly nodes: readonly OnnxNode[];
  /** Floating-point operations, a multiplication and an addition counting as two. */
  readonly operations: number;
}

type Attributes = OnnxNode["attributes"];

function product(op: "Gemm" | "MatMul" | "FusedMatMul", attributes: Attributes, output: readonly number[]): OnnxNode[] {
  const domain = op === "FusedMatMul" ? "com.microsoft" : "";
  return [{ op, domain, inputs: ["a", "b"], outputs: [{ name: "y", ...float(...output) }], attributes }];
}

/** A product preceded by a physical transpose of its first factor. */
function transposedFirst(shape: readonly number[], output: readonly number[]): OnnxNode[] {
  const permutation = [0, 2, 1];
  const turned = { name: "t", ...float(...permutation.map((axis) => shape[axis]!)) };
  return [
    { op: "Transpose", domain: "", inputs: ["a"], outputs: [turned], attributes: { perm: permutation } },
    { op: "MatMul", domain: "", inputs: ["t", "b"], outputs: [{ name: "y", ...float(...output) }], attributes: {} },
  ];
}

function matrixForms(rows: number, inner: number, columns: number): Form[] {
  const operations = 2 * rows * inner * columns;
  const output = [rows, columns];
  const form = (
    name: string,
    a: readonly number[],
    b: readonly number[],
    op: "Gemm" | "MatMul" | "FusedMatMul",
    attributes: Attributes = {},
  ) => ({
    name: `${name} [${rows},${inner}]·[${inner},${columns}]`,
    inputs: [a, b],
    output,
    nodes: product(op, attributes, output),
    operations,
  });
  return [
    form("Gemm", [rows, inner], [inner, columns], "Gemm"),
    form("MatMul", [rows, inner], [inner, columns], "MatMul"),
    form("Gemm transB", [rows, inner], [columns, inner], "Gemm", { transB: 1 }),
    form("FusedMatMul transB", [rows, inner], [columns, inner], "FusedMatMul", { transB: 1 }),
    form("Gemm transA", [inner, rows], [inner, columns], "Gemm", { transA: 1 }),
    form("FusedMatMul transA", [inner, rows], [inner, columns], "FusedMatMul", { transA: 1 }),
  ];
}

function batchedForms(batch: number, rows: number, inner: number, columns: number): Form[] {
  const operations = 2 * batch * rows * inner * columns;
  const output = [batch, rows, columns];
  const form = (name: string, a: readonly number[], b: readonly number[], nodes: readonly OnnxNode[]) => ({
    name: `${name} ${batch}×[${rows},${inner}]·[${inner},${columns}]`,
    inputs: [a, b],
    output,
    nodes,
    operations,
  });
  const [a, b] = [[batch, rows, inner], [batch, inner, columns]];
  const turnedA = [batch, inner, rows];
  return [
    form("MatMul", a, b, product("MatMul", {}, output)),
    form("FusedMatMul transB", a, [batch, columns, inner], product("FusedMatMul", { transB: 1 }, output)),
    form("FusedMatMul transA", turnedA, b, product("FusedMatMul", { transA: 1 }, output)),
    form("Transpose, MatMul", turnedA, b, transposedFirst(turnedA, output)),
    form(
      "FusedMatMul transBatch",
      [rows, batch, inner],
      [inner, batch, columns],
      product("FusedMatMul", { transBatchA: 1, transBatchB: 1 }, output),
    ),
  ];
}

/** The best time of a form over some rounds, in milliseconds. */
async function newTimer(environment: Environment, form: Form): Promise<() => Promise<number>> {
  const names = ["a", "b"];
  const model = encodeModel({
    name: "form",
    inputs: form.inputs.map((shape, i) => ({ name: names[i]!, ...float(...shape) })),
    outputs: [{ name: "y", ...float(...form.output) }],
    initializers: [],
    nodes: form.nodes,
  });
  const types: TensorType[] = [float(...form.output)];
  const session = await newSession(environment, model, { inputNames: names, outputNames: ["y"], outputTypes: types });
  const values = form.inputs.map((shape, i) => valueOver(environment, float(...shape), sample(sizeOf(shape), i + 1)));
  return async () => {
    const start = performance.now();
    const outputs = await session.run(values, [null]);
    const time = performance.now() - start;
    outputs.forEach((output) => output.release());
    return time;
  };
}

async function measureForms(environment: Environment, forms: readonly Form[]): Promise<void> {
  const timers = await Promise.all(forms.map((form) => newTimer(environment, form)));
  const best = forms.map(() => Infinity);
  // The forms take turns, so that a busy moment of the machine does not fall on one of them.
  for (let round = 0; round < 25; round++) {
    for (const [i, timer] of timers.entries()) best[i] = Math.min(best[i]!, await timer());
  }
  forms.forEach((form, i) => {
    console.log(`${form.name.padEnd(52)} ${(form.operations / best[i]! / 1e6).toFixed(0).padStart(5)} GFLOP/s`);
  });
}

/** What a run of a program with many inputs costs in addition to its kernels. */
async function measureOverhead(threads: number, count: number): Promise<void> {
  const backend = onnxBackend({ threads });
  const types = Object.fromEntries(Array.from({ length: count }, (_, i) => [`x${i}`, float(4)]));
  const graph = trace("many", types, (inputs) => ({ y: inputs.x0!.add(inputs.x1!) }));
  const program = await backend.compile(graph, { device: backend.devices[0]! });
  const buffers = Object.values(types).map((type) =>
    backend.upload(hostTensor("float32", type.shape, new Float32Array(4)))
  );
  let best = Infinity;
  for (let round = 0; round < 300; round++) {
    const start = performance.now();
    const [y] = await program.run(buffers);
    best = Math.min(best, performance.now() - start);
    y!.dispose();
  }
  console.log(`${`One run with ${count} inputs`.padEnd(52)} ${(best * 1000).toFixed(0).padStart(5)} µs`);
  program.dispose();
  backend.dispose();
}

const threads = Number(Deno.args[0] ?? navigator.hardwareConcurrency);
for (const count of [2, 500]) await measureOverhead(threads, count);
const environment = acquireEnvironment({ threads });
for (const [inner, columns] of [[1024, 1024], [1024, 4096], [4096, 1024]] as const) {
  await measureForms(environment, matrixForms(512, inner, columns));
}
await measureForms(environment, matrixForms(512, 2048, 8));
await measureForms(environment, matrixForms(512, 8, 2048));
await measureForms(environment, matrixForms(1, 2048, 2048));
await measureForms(environment, batchedForms(16, 256, 128, 256));
await measureForms(environment, batchedForms(16, 256, 256, 128));
