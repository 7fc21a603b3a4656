/**
 * The conformance suite: what every backend must do, as tests that a backend's own test file registers in three lines.
 *
 * ```ts ignore
 * import { conformance } from "@tessera/runtime/testing";
 *
 * conformance("cpu", () => onnxBackend());
 * ```
 *
 * @module
 */
import assert from "node:assert/strict";
import {
  emit,
  evaluate,
  type Graph,
  type HostTensor,
  hostTensor,
  type TensorType,
  toElements,
  trace,
} from "@tessera/core";
import { allSamples, assertAllClose, sampleOperands, type Tolerance, tolerances } from "@tessera/core/testing";
import type { Backend } from "./backend.ts";

/** What a suite needs to know of a backend. */
export interface ConformanceOptions {
  /** How far results may be from the reference's, where float32's own tolerance is too narrow for the hardware. */
  readonly tolerance?: Tolerance;
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

  Deno.test(`${name} writes and zero-fills buffers`, () =>
    withBackend(async (backend) => {
      const buffer = backend.zeros(vector);
      assert.deepEqual([...(await buffer.read()).data], [0, 0, 0]);
      await buffer.write(ofThree(7, 8, 9));
      assert.deepEqual([...(await buffer.read()).data], [7, 8, 9]);
      buffer.dispose();
    }));

  Deno.test(`${name} names the input that does not fit`, () =>
    withBackend(async (backend) => {
      const graph = trace("double", { weight: vector }, ({ weight }) => ({ y: weight.mul(2) }));
      const program = await backend.compile(graph, { device: backend.devices[0]! });
      const wrong = backend.upload(hostTensor("float32", [2], new Float32Array(2)));
      await assert.rejects(program.run([wrong]), /"weight".*float32\[3\].*float32\[2\]/);
      [wrong, program].forEach((one) => one.dispose());
    }));
}
