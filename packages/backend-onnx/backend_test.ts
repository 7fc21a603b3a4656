import assert from "node:assert/strict";
import { einsum, type Graph, type HostTensor, hostTensor, trace } from "@tessera/core";
import type { Backend } from "@tessera/runtime";
import { onnxBackend } from "./backend.ts";
import { assertAgrees, float, sampleTensor } from "./testing/run.ts";

async function withBackend(body: (backend: Backend) => Promise<void>, deviceCount = 1): Promise<void> {
  const backend = onnxBackend({ threads: 2, deviceCount });
  try {
    await body(backend);
  } finally {
    backend.dispose();
  }
}

/** A product of square matrices, repeated: work enough to outlast a timer. */
function powers(size: number, count: number): Graph {
  return trace("powers", { x: float(size, size) }, ({ x }) => {
    let y = x;
    for (let i = 0; i < count; i++) y = einsum("ab,bc->ac", y, x);
    return { y };
  });
}

function pair(values: readonly number[]): HostTensor {
  return hostTensor("float32", [values.length], Float32Array.from(values));
}

const doubled = trace("doubled", { x: float(2) }, ({ x }) => ({ y: x.mul(2) }));

Deno.test("run() leaves the event loop free", async () => {
  await withBackend(async (backend) => {
    const program = await backend.compile(powers(512, 40), { device: backend.devices[0]! });
    const x = backend.zeros(float(512, 512));
    let ticks = 0;
    let ended = false;
    const timer = setInterval(() => ended ? undefined : ticks++, 5);
    const [y] = await program.run([x]);
    ended = true;
    clearInterval(timer);
    assert.ok(ticks >= 3, `a timer of 5 ms should have fired during the run, and fired ${ticks} times`);
    [x, y!].forEach((buffer) => buffer.dispose());
    program.dispose();
  });
});

Deno.test("Two runs of one program and of two devices go at the same time", async () => {
  await withBackend(async (backend) => {
    const programs = await Promise.all(backend.devices.map((device) => backend.compile(doubled, { device })));
    const inputs = backend.devices.map((device, i) => backend.upload(pair([i, i + 1]), device));
    const runs = [...programs, ...programs].map((program, i) => program.run([inputs[i % 2]!]));
    const outputs = await Promise.all(runs);
    const data = await Promise.all(outputs.map(async ([y]) => [...(await y!.read()).data]));
    assert.deepEqual(data, [[0, 2], [2, 4], [0, 2], [2, 4]]);
    programs.forEach((program) => program.dispose());
  }, 2);
});

Deno.test("Runs that donate one buffer follow each other in the order in which they were asked for", async () => {
  await withBackend(async (backend) => {
    const device = backend.devices[0]!;
    const donate = new Map([[0, 0]]);
    const [addOne, double] = await Promise.all([
      backend.compile(trace("one", { s: float(2) }, ({ s }) => ({ s: s.add(1) })), { device, donate }),
      backend.compile(trace("double", { s: float(2) }, ({ s }) => ({ s: s.mul(2) })), { device, donate }),
    ]);
    const state = backend.upload(pair([0, 1]));
    const runs = [addOne!.run([state]), double!.run([state]), addOne!.run([state])];
    const during = state.read();
    await Promise.all(runs);
    assert.deepEqual([...(await during).data], [3, 5]);
    [addOne, double].forEach((program) => program!.dispose());
  });
});

Deno.test("dispose() of a buffer and of a program waits for the runs that use them", async () => {
  await withBackend(async (backend) => {
    const program = await backend.compile(powers(256, 10), { device: backend.devices[0]! });
    const x = backend.zeros(float(256, 256));
    const run = program.run([x]);
    x.dispose();
    program.dispose();
    const [y] = await run;
    assert.equal((await y!.read()).data[0], 0);
    await assert.rejects(x.read(), {
      name: "TypeError",
      message: /Cannot read a float32\[256,256\] buffer that was disposed/,
    });
    await assert.rejects(async () => await program.run([y!]), { message: /disposed/ });
  });
});

Deno.test("run() names the input that does not fit", async () => {
  await withBackend(async (backend) => {
    const [first, second] = backend.devices as [typeof backend.devices[0], typeof backend.devices[0]];
    const program = await backend.compile(doubled, { device: first! });
    const run = async (...inputs: Parameters<typeof program.run>[0]) => await program.run(inputs);
    await assert.rejects(run(), { message: 'Cannot run "doubled": it has 1 inputs, found 0' });
    await assert.rejects(run(backend.upload(pair([1, 2, 3]))), {
      name: "TypeError",
      message: 'Cannot run "doubled": input "x" needs float32[2] on cpu:0, found float32[3] on cpu:0',
    });
    await assert.rejects(run(backend.upload(pair([1, 2]), second!)), {
      message: 'Cannot run "doubled": input "x" needs float32[2] on cpu:0, found float32[2] on cpu:1',
    });
    program.dispose();
  }, 2);
});

Deno.test("upload() shares the memory of the host tensor and zeros() has none of it", async () => {
  await withBackend(async (backend) => {
    const tensor = pair([1, 2]);
    const buffer = backend.upload(tensor);
    await buffer.write(pair([3, 4]));
    assert.deepEqual([...tensor.data], [3, 4]);
    assert.deepEqual([...(await backend.zeros(float(2)).read()).data], [0, 0]);
    await assert.rejects(buffer.write(pair([1])), {
      name: "TypeError",
      message: "Cannot write float32[1] to a buffer of float32[2]: types must match",
    });
  });
});

Deno.test("compile() copies an output that is an input, a constant or another output", async () => {
  await withBackend(async (backend) => {
    const graph = trace("copies", { x: float(2) }, ({ x }) => {
      const y = x.add(1);
      return { x, y, again: y, constant: x.mul(0).sum().exp().mul(0).add(5) };
    });
    await assertAgrees(backend, graph, [sampleTensor([2])]);
  });
});

Deno.test("A graph without inputs, and tensors without elements, run", async () => {
  await withBackend(async (backend) => {
    await assertAgrees(
      backend,
      trace("empty", { x: float(0, 3), w: float(4, 3) }, ({ x, w }) => ({ y: einsum("ab,cb->ac", x, w) })),
      [
        sampleTensor([0, 3]),
        sampleTensor([4, 3]),
      ],
    );
  });
});

Deno.test("onnxBackend() refuses a number of devices that is not a positive integer", () => {
  assert.throws(() => onnxBackend({ deviceCount: 0 }), { name: "RangeError", message: /with 0 devices/ });
});
