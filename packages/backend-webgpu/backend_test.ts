import assert from "node:assert/strict";
import { adamWUpdate, apply, einsum, hostTensor, sizeOf, trace } from "@tessera/core";
import { assertAllClose } from "@tessera/core/testing";
import { tfjsCpuBackend, webgpuBackend } from "./backend.ts";
import { describeAdapter, openDevice } from "./engine/device.ts";
import { withGpu } from "./testing.ts";

const float = (...shape: number[]) => ({ shape, dtype: "float32" }) as const;

/** A step of gradient descent on a small matrix: state that is donated, weights that stay, and a loss that is read. */
const step = trace("step", { state: float(40, 40), weights: float(40, 40) }, ({ state, weights }) => {
  const y = einsum("ab,bc->ac", state, weights).tanh();
  return { loss: y.square().mean(), state: state.sub(y.mul(0.01)) };
});

const matrix = (value: number) => hostTensor("float32", [40, 40], new Float32Array(1600).fill(value));

Deno.test("backends refuse a number of devices that is not a positive integer", () => {
  assert.throws(() => tfjsCpuBackend({ deviceCount: 0 }), { name: "RangeError", message: /"tfjs-cpu" with 0 devices/ });
});

Deno.test("Two backends on tfjs's kernels share nothing", async () => {
  const [one, other] = [tfjsCpuBackend(), tfjsCpuBackend()];
  const program = await one.compile(step, { device: one.devices[0]! });
  const inputs = [other.upload(matrix(1)), other.upload(matrix(1))];
  await assert.rejects(program.run(inputs), /input "state" needs float32\[40,40\] on tfjs-cpu:0/);
  one.dispose();
  assert.deepEqual((await inputs[0]!.read()).data[0], 1);
  other.dispose();
});

Deno.test("describeAdapter() says which GPU it is, and when it is none", () => {
  const info = { vendor: "4318", architecture: "", device: "0", description: "", isFallbackAdapter: false };
  const describe = (changes: object) => describeAdapter({ ...info, ...changes } as GPUAdapterInfo);
  assert.equal(describe({ description: "NVIDIA H100" }), "NVIDIA H100");
  assert.equal(describe({ vendor: "apple", architecture: "metal-3" }), "apple metal-3");
  assert.equal(describe({}), "an adapter that does not say what it is");
  assert.match(
    describe({ description: "llvmpipe (LLVM 15)" }),
    /^llvmpipe \(LLVM 15\), a driver that runs on the processor/,
  );
  assert.match(describe({ vendor: "google", architecture: "swiftshader" }), /^google swiftshader, a driver/);
  assert.match(describe({ isFallbackAdapter: true }), /and is slow$/);
});

await withGpu(() => {
  Deno.test("A thousand steps on WebGPU take no more memory than ten", async () => {
    const backend = await webgpuBackend();
    const program = await backend.compile(step, { device: backend.devices[0]!, donate: new Map([[0, 1]]) });
    const [state, weights] = [backend.upload(matrix(0.5)), backend.upload(matrix(0.1))];
    const run = async (count: number) => {
      for (let i = 0; i < count; i++) (await program.run([state, weights]))[0]!.dispose();
      return backend.memory();
    };
    const before = await run(10);
    const after = await run(1000);
    assert.deepEqual([after.usedBytes, after.allocatedBytes], [before.usedBytes, before.allocatedBytes]);
    assert.equal(after.peakBytes, before.peakBytes);
    // The two matrices, and nothing of a step.
    assert.equal(after.usedBytes, 2 * 40 * 40 * 4);
    [state, weights, program].forEach((one) => one.dispose());
    assert.equal(backend.memory().usedBytes, 0);
    backend.dispose();
  });

  Deno.test("AdamW on WebGPU writes donated state where it is, and other state not at all", async () => {
    const [matrix, scalar] = [float(40, 41), float()];
    const types = { weight: matrix, momentum: matrix, velocity: matrix, gradient: matrix, rate: scalar };
    const update = trace("update", types, ({ gradient, rate, ...state }) => {
      const step = { gradient, learningRate: rate, momentumCorrection: rate, velocityCorrection: rate };
      return { ...adamWUpdate(state, step, { beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.1 }) };
    });
    const donate = new Map([[0, 0], [1, 1], [2, 2]]);
    const inputs = [3, -1, 0.5, 2, 0.1].map((value, i) => {
      const { shape } = update.inputs[i]!;
      return hostTensor("float32", shape, Float32Array.from({ length: sizeOf(shape) }, (_, at) => value + at % 7));
    });
    const [gpu, oracle] = [await webgpuBackend(), tfjsCpuBackend()];
    const after = await Promise.all([gpu, oracle].map(async (backend) => {
      const program = await backend.compile(update, { device: backend.devices[0]!, donate });
      const buffers = inputs.map((input) => backend.upload(input));
      gpu.resetPeak();
      for (let i = 0; i < 3; i++) await program.run(buffers);
      const { usedBytes, peakBytes } = gpu.memory();
      assert.equal(peakBytes, usedBytes, "no step should allocate anything");
      return await Promise.all(buffers.slice(0, 3).map((buffer) => buffer.read()));
    }));
    after[0]!.forEach((tensor, i) => assertAllClose(tensor, after[1]![i]!, { absolute: 1e-6, relative: 1e-5 }));
    const program = await gpu.compile(update, { device: gpu.devices[0]! });
    const buffers = inputs.map((input) => gpu.upload(input));
    await program.run(buffers);
    assert.deepEqual(
      await Promise.all(buffers.map(async (buffer) => (await buffer.read()).data)),
      inputs.map(({ data }) => data),
    );
    [gpu, oracle].forEach((backend) => backend.dispose());
  });

  Deno.test("A donated cache on WebGPU is written where it is, within its bounds", async () => {
    const types = {
      cache: float(2, 5, 3, 2),
      update: float(2, 2, 3, 2),
      starts: { shape: [2], dtype: "int32" },
    } as const;
    const graph = trace("cache", types, ({ cache, update, starts }) => ({
      cache: apply("updateSlice", [cache, update, starts], { axis: 1 }),
    }));
    const count = (shape: readonly number[], from: number) =>
      hostTensor("float32", shape, Float32Array.from({ length: sizeOf(shape) }, (_, i) => from + i));
    const backends = [await webgpuBackend(), tfjsCpuBackend()];
    const [found, expected] = await Promise.all(backends.map(async (backend) => {
      const program = await backend.compile(graph, { device: backend.devices[0]!, donate: new Map([[0, 0]]) });
      const cache = backend.upload(count(types.cache.shape, 0));
      for (const starts of [[0, 3], [2, 1]]) {
        const update = backend.upload(count(types.update.shape, 100 * starts[0]! + 1000));
        await program.run([cache, update, backend.upload(hostTensor("int32", [2], Int32Array.from(starts)))]);
      }
      return (await cache.read()).data;
    }));
    assert.deepEqual(found, expected);
    backends.forEach((backend) => backend.dispose());
  });

  Deno.test("run() on WebGPU lets the event loop run in between", async () => {
    const backend = await webgpuBackend();
    const graph = trace("powers", { x: float(128, 128) }, ({ x }) => {
      let y = x;
      for (let i = 0; i < 150; i++) y = einsum("ab,bc->ac", y, x);
      return { y };
    });
    const program = await backend.compile(graph, { device: backend.devices[0]! });
    const x = backend.zeros(float(128, 128));
    let ticks = 0;
    const timer = setInterval(() => ticks++, 1);
    (await program.run([x]))[0]!.dispose();
    clearInterval(timer);
    assert.ok(ticks >= 3, `a timer of 1 ms should have fired during the run, and fired ${ticks} times`);
    backend.dispose();
  });

  Deno.test("What the GPU refuses is an error of the run, and the backend continues", async () => {
    const { device } = await openDevice();
    const backend = await webgpuBackend({ device });
    const program = await backend.compile(step, { device: backend.devices[0]! });
    const inputs = [backend.upload(matrix(0)), backend.upload(matrix(1))];
    const refuse = (error: GPUError) => device.dispatchEvent(new GPUUncapturedErrorEvent("uncapturederror", { error }));
    refuse(new GPUOutOfMemoryError("not enough memory"));
    await assert.rejects(program.run(inputs), /Cannot run "step": The GPU has no memory left: use a smaller batch/);
    refuse(new GPUValidationError("a bad program"));
    await assert.rejects(program.run(inputs), /Cannot run "step": The GPU refused a program: a bad program/);
    const [loss] = await program.run(inputs);
    assert.equal((await loss!.read()).data[0], 0);
    backend.dispose();
    device.destroy();
  });

  Deno.test("What is uploaded and dropped while a run on WebGPU ends harms nobody", async () => {
    const { device } = await openDevice();
    const backend = await webgpuBackend({ device });
    const program = await backend.compile(step, { device: backend.devices[0]! });
    const inputs = [backend.upload(matrix(0)), backend.upload(matrix(1))];
    // More than is kept for later runs.
    const drop = () => backend.upload(hostTensor("float32", [18, 2 ** 20], new Float32Array(18 * 2 ** 20))).dispose();
    drop();
    const { queue } = device;
    const done = queue.onSubmittedWorkDone.bind(queue);
    queue.onSubmittedWorkDone = () => {
      drop();
      return done();
    };
    for (let i = 0; i < 2; i++) (await program.run(inputs)).forEach((output) => output.dispose());
    assert.ok(backend.memory().allocatedBytes < 64 * 2 ** 20);
    backend.dispose();
    device.destroy();
  });

  Deno.test("A lost device is an error that says how to continue", async () => {
    const { device, info } = await openDevice();
    const backend = await webgpuBackend({ device });
    const program = await backend.compile(step, { device: backend.devices[0]! });
    const inputs = [backend.upload(matrix(0)), backend.upload(matrix(1))];
    device.destroy();
    await device.lost;
    await assert.rejects(program.run(inputs), /The GPU was lost.*last checkpoint/);
    const lost = { name: "DeviceLostError", message: /^The GPU was lost/ };
    assert.throws(() => backend.upload(matrix(0)), lost);
    await assert.rejects(inputs[0]!.read(), lost);
    assert.ok(info !== undefined);
  });
});
