/** What ONNX Runtime really allocates, against what is planned: to the byte for chains of each operator. */
import assert from "node:assert/strict";
import { trace } from "@tessera/core";
import { onnxBackend } from "./backend.ts";
import { allocateValue } from "./ffi/value.ts";
import { acquireEnvironment, type Environment } from "./ffi/environment.ts";
import { newSession } from "./ffi/session.ts";
import { memoryOfModel, memoryOfRun } from "./memory_plan.ts";
import type { Domain, Initializer, OnnxModel, OnnxNode, OnnxValue } from "./model/description.ts";
import { encodeModel } from "./model/encode.ts";
import { initializer } from "./model/initializer.ts";

const side = 256;
const square = { dtype: "float32", shape: [side, side] } as const;
const bytes = 4 * side * side;
const ones = (shape: readonly number[]) =>
  initializer("ones", "float32", shape, new Array<number>(shape.reduce((a, b) => a * b, 1)).fill(1));

interface Step {
  readonly op: string;
  /** What it reads; `x` is the step before. */
  readonly inputs?: readonly string[];
  readonly attributes?: OnnxNode["attributes"];
  readonly domain?: Domain;
  readonly constant?: Initializer;
}

/** Five equal steps in a row, between a product and a maximum, so that no large value is an input or an output. */
function chain({ op, inputs = ["x"], attributes = {}, domain = "", constant }: Step): OnnxModel {
  const value = (i: number): OnnxValue => ({ name: `v${i}`, ...square });
  const steps = Array.from({ length: 5 }, (_, i): OnnxNode => ({
    op,
    domain,
    inputs: inputs.map((name) => name === "x" ? `v${i}` : name),
    outputs: [value(i + 1)],
    attributes,
  }));
  const largest: OnnxValue = { name: "largest", dtype: "float32", shape: [] };
  return {
    name: "chain",
    inputs: [{ name: "given", ...square }],
    outputs: [largest],
    initializers: constant === undefined ? [] : [constant],
    nodes: [
      { op: "Mul", domain: "", inputs: ["given", "given"], outputs: [value(0)], attributes: {} },
      ...steps,
      { op: "ReduceMax", domain: "", inputs: ["v5"], outputs: [largest], attributes: { keepdims: 0 } },
    ],
  };
}

async function measure(environment: Environment, model: OnnxModel): Promise<number> {
  const names = (values: readonly OnnxValue[]) => values.map(({ name }) => name);
  const session = await newSession(environment, encodeModel(model), {
    inputNames: names(model.inputs),
    outputNames: names(model.outputs),
    outputTypes: [{ dtype: "float32", shape: [] }],
  });
  const given = allocateValue(environment, square);
  try {
    const [output] = await session.run([given], [null]);
    output!.release();
    return session.arenaUse().peak;
  } finally {
    given.release();
    await session.release();
  }
}

const scalar = ones([]);
const unary = ["Neg", "Abs", "Sign", "Floor", "Exp", "Log", "Sqrt", "Reciprocal", "Sin", "Cos", "Tanh", "Sigmoid"];
const binary = ["Add", "Sub", "Mul", "Div", "Pow", "Max", "Min"];
const steps: readonly Step[] = [
  ...unary.map((op) => ({ op })),
  ...binary.map((op) => ({ op, inputs: ["x", "ones"], constant: scalar })),
  ...binary.map((op) => ({ op, inputs: ["ones", "x"], constant: ones(square.shape) })),
  { op: "Gelu", attributes: { approximate: "tanh" } },
  { op: "QuickGelu", attributes: { alpha: { float: 1 } }, domain: "com.microsoft" },
  { op: "Softmax", attributes: { axis: -1 } },
  { op: "Identity" },
  { op: "Transpose", attributes: { perm: [1, 0] } },
  { op: "Cast", attributes: { to: 1 } },
  { op: "MatMul", inputs: ["x", "given"] },
  { op: "Gemm", inputs: ["x", "given"], attributes: { transA: 1 } },
  { op: "FusedMatMul", inputs: ["given", "x"], attributes: { transB: 1 }, domain: "com.microsoft" },
  {
    op: "SimplifiedLayerNormalization",
    inputs: ["x", "ones"],
    attributes: { axis: -1, epsilon: { float: 1e-6 } },
    constant: ones([side]),
  },
  {
    op: "ScatterElements",
    inputs: ["x", "rows", "given"],
    attributes: { axis: 0, reduction: "add" },
    constant: initializer("rows", "int64", square.shape, new Array<number>(side * side).fill(0)),
  },
  {
    op: "Where",
    inputs: ["condition", "x", "given"],
    constant: initializer("condition", "bool", [side, 1], new Array<number>(side).fill(1)),
  },
];

Deno.test("memoryOfModel() is what ONNX Runtime allocates, for chains of each operator", async () => {
  for (const step of steps) {
    const model = chain(step);
    // Each in an environment of its own, whose arena starts empty.
    const environment = acquireEnvironment({ threads: 1 });
    const found = await measure(environment, model);
    environment.release();
    const planned = memoryOfModel(model);
    assert(Math.abs(found - planned) < 4096, `${step.op}(${step.inputs ?? "x"}): ${found} B, planned ${planned} B`);
  }
});

Deno.test("memoryOfRun() leaves out inputs, and outputs that overwrite them", () => {
  const type = { dtype: "float32", shape: [side, side] } as const;
  const graph = trace("update", { x: type, y: type }, ({ x, y }) => ({ next: x.add(y.mul(2)) }));
  assert.equal(memoryOfRun(graph), 2 * bytes);
  assert.equal(memoryOfRun(graph, new Map([[0, 0]])), bytes);
});

Deno.test("arenaUse() counts what runs allocate", async () => {
  const backend = onnxBackend({ threads: 1 });
  try {
    const graph = trace("square", { x: { dtype: "float32", shape: [side, side] } }, ({ x }) => ({ y: x.mul(x) }));
    const device = backend.devices[0]!;
    const program = await backend.compile(graph, { device });
    const x = backend.zeros(graph.inputs[0]!.type, device);
    const before = await backend.arenaUse();
    const [y] = await program.run([x]);
    const during = await backend.arenaUse();
    y!.dispose();
    const after = await backend.arenaUse();
    assert.equal(during.inUse - before.inUse, bytes);
    assert.equal(after.inUse, before.inUse);
    assert(after.peak >= bytes && after.reserved >= after.peak);
    x.dispose();
    program.dispose();
  } finally {
    backend.dispose();
  }
});
