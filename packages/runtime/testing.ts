/**
 * The conformance suite: what every backend must do, as tests that a backend's own test file registers in three lines.
 *
 * ```ts
 * import { onnxBackend } from "@tessera/backend-onnx";
 * import { conformance } from "@tessera/runtime/testing";
 *
 * conformance("cpu", () => onnxBackend());
 * ```
 *
 * @module
 */
import assert from "node:assert/strict";
import {
  apply,
  einsum,
  emit,
  evaluate,
  full,
  gradients,
  type Graph,
  type HostTensor,
  hostTensor,
  type TensorType,
  toElements,
  trace,
} from "@tessera/core";
import { allSamples, assertAllClose, sampleOperands, type Tolerance, tolerances } from "@tessera/core/testing";
import { DataParallel, DeviceMesh, shardGraph, type Sharding } from "@tessera/mesh";
import type { Backend } from "./backend.ts";
import { compileSharded } from "./executor/executor.ts";
import { scatter } from "./executor/sharded_buffer.ts";

export { referenceBackend } from "./reference_backend.ts";

/** What a suite needs to know about a backend. */
export interface ConformanceOptions {
  /** How far results may be from the reference's, where float32's own tolerance is too narrow for the hardware. */
  readonly tolerance?: Tolerance;
  /** Opens the backend with a number of devices, virtual or not, where it can have several: a mesh of 2×2 is tried then. */
  readonly openDevices?: (deviceCount: number) => Backend | Promise<Backend>;
  /** Whether one thread computes all elements of a tensor, so that lost updates need no large tensors to be looked for. */
  readonly singleThreaded?: boolean;
}

/** The outputs of a graph, computed by a backend. */
export async function runOnce(backend: Backend, graph: Graph, inputs: readonly HostTensor[]): Promise<HostTensor[]> {
  const program = await backend.compile(graph, { device: backend.devices[0]! });
  const buffers = inputs.map((tensor) => backend.upload(tensor));
  try {
    const outputs = await program.run(buffers);
    const tensors = await Promise.all(outputs.map((output) => output.read()));
    outputs.forEach((output) => output.dispose());
    return tensors;
  } finally {
    buffers.forEach((buffer) => buffer.dispose());
    program.dispose();
  }
}

/** One op on its operands as a graph. */
function graphOf(
  op: ReturnType<typeof allSamples>[number]["op"],
  operands: readonly TensorType[],
  attrs: object,
): Graph {
  const inputs = Object.fromEntries(operands.map((type, i) => [`x${i}`, type]));
  return trace(op, inputs, (symbols) => {
    const results = emit(op, Object.values(symbols), attrs as Record<string, unknown>);
    return Object.fromEntries(results.map((result, i) => [`y${i}`, result]));
  });
}

/** A lookup in a sharded table and two sharded layers, forward, backward and an update: every kind of collective but one. */
function meshProgram(): Graph {
  const types = {
    tokens: { shape: [4, 2], dtype: "int32" },
    table: { shape: [8, 4], dtype: "float32" },
    up: { shape: [4, 8], dtype: "float32" },
    down: { shape: [8, 4], dtype: "float32" },
  } as const;
  return trace("mesh_step", types, ({ tokens, table, up, down }) => {
    const x = table.gather(tokens);
    const y = einsum("btf,fd->btd", einsum("btd,df->btf", x, up).tanh(), down);
    const loss = y.square().mean();
    const [dtable, dup, ddown] = gradients(loss, [table, up, down]);
    return { loss, next: tokens.add(1), table: table.sub(dtable!), up: up.sub(dup!), down: down.sub(ddown!) };
  });
}

/** Runs it twice on a mesh, its state donated, and compares with the reference. */
async function runOnMesh(backend: Backend, tolerance: Tolerance): Promise<void> {
  const distribution = new DataParallel({
    mesh: new DeviceMesh([2, 2], ["batch", "model"], backend.devices.slice(0, 4)),
    batchDimName: "batch",
  });
  const graph = meshProgram();
  const dims = [[["batch"], []], [["model"], ["batch"]], [["batch"], ["model"]], [["model"], []]];
  const shardings = dims.map((own): Sharding => ({ dims: own, partial: [] }));
  const known = new Map(graph.inputs.map((input, i) => [input, shardings[i]!]));
  const partitioned = shardGraph(graph, distribution.mesh, known, [null, null, ...shardings.slice(1)]);
  const donate = new Map([[1, 2], [2, 3], [3, 4]]);
  const program = await compileSharded(partitioned, { backend, distribution, donate });
  const operands = graph.inputs.map(({ type }) => ({
    type,
    fill: (uniform: Float32Array) => Array.from(uniform, (u) => type.dtype === "int32" ? Math.floor(8 * u) : 2 * u - 1),
  }));
  let hosts: readonly HostTensor[] = sampleOperands({ operands }, 3);
  // A backend may keep what is uploaded and update it.
  const inputs = hosts.map((host, i) =>
    scatter({ ...host, data: host.data.slice() }, backend, { distribution, sharding: shardings[i]! })
  );
  for (let run = 0; run < 2; run++) {
    const expected = evaluate(graph, hosts);
    const found = await program.run(inputs);
    assert.deepEqual(found.slice(2), inputs.slice(1), "state must stay in its buffers");
    for (const [i, buffer] of found.entries()) {
      assertAllClose(toElements(await buffer.read()), toElements(expected[i]!), tolerance);
    }
    found.slice(0, 2).forEach((buffer) => buffer.dispose());
    hosts = [hosts[0]!, ...expected.slice(2)];
  }
  [...inputs, program].forEach((one) => one.dispose());
}

const vector: TensorType = { shape: [3], dtype: "float32" };
const ofThree = (...values: [number, number, number]) => hostTensor("float32", [3], Float32Array.from(values));

/** Registers the suite for a backend. Each test opens a backend of its own. */
export function conformance(
  name: string,
  open: () => Backend | Promise<Backend>,
  options: ConformanceOptions = {},
): void {
  const withBackend = async (body: (backend: Backend) => Promise<void>) => {
    const backend = await open();
    try {
      await body(backend);
    } finally {
      backend.dispose();
    }
  };
  const byOp = Map.groupBy(allSamples(), ({ op }) => op);
  for (const [op, samples] of byOp) {
    Deno.test(`${name} computes ${op} as the reference evaluator does`, () =>
      withBackend(async (backend) => {
        for (const { sample } of samples) {
          const inputs = sampleOperands(sample, 7);
          const graph = graphOf(op, inputs, sample.attrs);
          const found = await runOnce(backend, graph, inputs);
          evaluate(graph, inputs).forEach((expected, i) => {
            assert.deepEqual(
              [found[i]!.dtype, found[i]!.shape],
              [expected.dtype, expected.shape],
              `result ${i} has another type`,
            );
            const tolerance = options.tolerance ?? tolerances[expected.dtype];
            assertAllClose(toElements(found[i]!), toElements(expected), tolerance);
          });
        }
      }));
  }

  Deno.test(`${name} writes a donated input's new value into its buffer`, () =>
    withBackend(async (backend) => {
      const graph = trace("count", { state: vector, step: vector }, ({ state, step }) => ({ next: state.add(step) }));
      const program = await backend.compile(graph, { device: backend.devices[0]!, donate: new Map([[0, 0]]) });
      const [state, step] = [backend.upload(ofThree(1, 2, 3)), backend.upload(ofThree(1, 1, 1))];
      for (let i = 0; i < 3; i++) assert.equal((await program.run([state, step]))[0], state);
      assert.deepEqual([...(await state.read()).data], [4, 5, 6]);
      assert.deepEqual([...(await step.read()).data], [1, 1, 1]);
      [state, step, program].forEach((one) => one.dispose());
    }));

  Deno.test(`${name} lets two programs read one resident buffer at once`, () =>
    withBackend(async (backend) => {
      const compile = (factor: number) =>
        backend.compile(trace("scale", { x: vector }, ({ x }) => ({ y: x.mul(factor) })), {
          device: backend.devices[0]!,
        });
      const [double, triple] = await Promise.all([compile(2), compile(3)]);
      const resident = backend.upload(ofThree(1, 2, 3));
      const [[a], [b]] = await Promise.all([double.run([resident]), triple.run([resident])]);
      assert.deepEqual([...(await a!.read()).data, ...(await b!.read()).data], [2, 4, 6, 3, 6, 9]);
      [a!, b!, resident, double, triple].forEach((one) => one.dispose());
    }));

  Deno.test(`${name} loses no update of a position that occurs often`, () =>
    withBackend(async (backend) => {
      const [rows, width, count] = options.singleThreaded ? [2, 4, 64] : [2, 256, 16384];
      const types = { at: { shape: [count], dtype: "int32" }, x: { shape: [count, width], dtype: "float32" } } as const;
      const graph = trace("add", types, ({ at, x }) => ({
        y: apply("scatterAdd", [full([rows, width], 0), at, x], { axis: 0 }),
      }));
      const inputs = [
        hostTensor("int32", [count], Int32Array.from({ length: count }, (_, i) => i % rows)),
        hostTensor("float32", [count, width], new Float32Array(count * width).fill(1)),
      ];
      for (let run = 0; run < 5; run++) {
        const [sums] = await runOnce(backend, graph, inputs);
        assert.deepEqual(new Set(sums!.data), new Set([count / rows]));
      }
    }));

  Deno.test(`${name} writes and zero-fills buffers`, () =>
    withBackend(async (backend) => {
      const buffer = backend.zeros(vector);
      assert.deepEqual([...(await buffer.read()).data], [0, 0, 0]);
      await buffer.write(ofThree(7, 8, 9));
      assert.deepEqual([...(await buffer.read()).data], [7, 8, 9]);
      buffer.dispose();
    }));

  const { openDevices } = options;
  if (openDevices !== undefined) {
    Deno.test(`${name} runs a program on a mesh of 2×2 as on one device`, async () => {
      const backend = await openDevices(4);
      try {
        await runOnMesh(backend, options.tolerance ?? { absolute: 1e-4, relative: 1e-4 });
      } finally {
        backend.dispose();
      }
    });
  }

  Deno.test(`${name} names the input that does not fit`, () =>
    withBackend(async (backend) => {
      const graph = trace("double", { weight: vector }, ({ weight }) => ({ y: weight.mul(2) }));
      const program = await backend.compile(graph, { device: backend.devices[0]! });
      const wrong = backend.upload(hostTensor("float32", [2], new Float32Array(2)));
      await assert.rejects(program.run([wrong]), /"weight".*float32\[3\].*float32\[2\]/);
      [wrong, program].forEach((one) => one.dispose());
    }));
}
