import assert from "node:assert/strict";
import { apply, einsum, type Graph, hostTensor, trace } from "@tessera/core";
import type { DeviceBuffer } from "@tessera/runtime";
import { onnxBackend } from "./backend.ts";
import { OnnxBuffer } from "./buffer.ts";
import { memorySharing } from "./donation.ts";
import { cpuSupport, lower, prepare } from "./lowering/lower.ts";
import { float } from "./testing/run.ts";

/** Whether the first output may overwrite the first input. */
function shares(graph: Graph): boolean {
  return memorySharing(lower(prepare(graph, cpuSupport)).model)(0, 0);
}

const square = { s: float(4, 4), x: float(4, 4) };

Deno.test("memorySharing() accepts an elementwise update of the input", () => {
  assert.equal(shares(trace("momentum", square, ({ s, x }) => ({ s: s.mul(0.9).add(x) }))), true);
  assert.equal(shares(trace("reversed", square, ({ s, x }) => ({ s: x.sub(s) }))), true);
});

Deno.test("memorySharing() accepts an output that is computed after every use of the input", () => {
  assert.equal(shares(trace("chain", square, ({ s, x }) => ({ s: einsum("ab,bc->ac", x, s).exp().mul(2) }))), true);
});

Deno.test("memorySharing() refuses a product that reads the input as it writes the output", () => {
  assert.equal(shares(trace("product", square, ({ s, x }) => ({ s: einsum("ab,bc->ac", x, s) }))), false);
  assert.equal(shares(trace("transposed", square, ({ s }) => ({ s: s.transpose([1, 0]) }))), false);
  assert.equal(shares(trace("softmax", square, ({ s }) => ({ s: apply("softmax", [s], {}) }))), false);
});

Deno.test("memorySharing() refuses an output while something else may still read the input", () => {
  const graph = trace("late", square, ({ s, x }) => ({ s: s.add(x), late: einsum("ab,bc->ac", x, s) }));
  assert.equal(shares(graph), false);
  const viewed = trace("viewed", square, ({ s, x }) => ({
    s: s.add(x),
    late: einsum("ac,c->a", x.reshape([1, 16]), s.reshape([16])),
  }));
  assert.equal(shares(viewed), false);
  const accumulated = trace("ordered", square, ({ s, x }) => ({ s: s.add(einsum("ab,bc->ac", x, s)) }));
  assert.equal(shares(accumulated), true);
});

Deno.test("memorySharing() accepts a cache that is written at positions", () => {
  const cache = { cache: float(2, 8, 3), update: float(2, 1, 3), starts: { shape: [2], dtype: "int32" as const } };
  const graph = trace("cache", cache, ({ cache, update, starts }) => ({
    cache: apply("updateSlice", [cache, update, starts], { axis: 1 }),
  }));
  assert.equal(shares(graph), true);
});

/** Runs a step three times on a donated state and returns the state. */
async function steps(graph: Graph): Promise<{ data: number[]; buffer: DeviceBuffer; moved: boolean }> {
  const backend = onnxBackend({ threads: 2 });
  try {
    const program = await backend.compile(graph, { device: backend.devices[0]!, donate: new Map([[0, 0]]) });
    const state = backend.zeros(float(2, 2)) as OnnxBuffer;
    await state.write(hostTensor("float32", [2, 2], Float32Array.of(1, 2, 3, 4)));
    const x = backend.upload(hostTensor("float32", [2, 2], Float32Array.of(1, 1, 0, 1)));
    const before = state.value;
    for (let i = 0; i < 3; i++) assert.equal((await program.run([state, x]))[0], state);
    const moved = state.value !== before;
    const { data } = await state.read();
    program.dispose();
    state.dispose();
    return { data: [...data], buffer: state, moved };
  } finally {
    backend.dispose();
  }
}

Deno.test("A donated state is updated in its own memory where that is safe", async () => {
  const { data, moved } = await steps(
    trace("sum", { s: float(2, 2), x: float(2, 2) }, ({ s, x }) => ({ s: s.add(x) })),
  );
  assert.deepEqual([data, moved], [[4, 5, 3, 7], false]);
});

Deno.test("A donated state is updated through fresh memory where its own is still read", async () => {
  const graph = trace("power", { s: float(2, 2), x: float(2, 2) }, ({ s, x }) => ({ s: einsum("ab,bc->ac", s, x) }));
  const { data, moved } = await steps(graph);
  assert.deepEqual([data, moved], [[1, 5, 3, 13], true]);
});

Deno.test("A buffer that is donated and read in one run is not overwritten while it is read", async () => {
  const backend = onnxBackend({ threads: 2 });
  try {
    const graph = trace("twice", { s: float(3), x: float(3) }, ({ s, x }) => ({ s: s.add(1), y: x.mul(10) }));
    const program = await backend.compile(graph, { device: backend.devices[0]!, donate: new Map([[0, 0]]) });
    const state = backend.upload(hostTensor("float32", [3], Float32Array.of(1, 2, 3)));
    const [, y] = await program.run([state, state]);
    assert.deepEqual([...(await state.read()).data], [2, 3, 4]);
    assert.deepEqual([...(await y!.read()).data], [10, 20, 30]);
    program.dispose();
  } finally {
    backend.dispose();
  }
});

Deno.test("compile() refuses a donation of another type", async () => {
  const backend = onnxBackend({ threads: 2 });
  try {
    const graph = trace("shrink", { s: float(2, 2) }, ({ s }) => ({ y: s.sum(0) }));
    await assert.rejects(backend.compile(graph, { device: backend.devices[0]!, donate: new Map([[0, 0]]) }), {
      name: "TypeError",
      message: 'Cannot donate input "s" (float32[2,2]) of "shrink" to output "y" (float32[2]): types must match',
    });
    await assert.rejects(backend.compile(graph, { device: backend.devices[0]!, donate: new Map([[0, 7]]) }), {
      name: "RangeError",
      message: /Cannot donate input 0 of "shrink" to output 7: it has 1 inputs and 1 outputs/,
    });
  } finally {
    backend.dispose();
  }
});
