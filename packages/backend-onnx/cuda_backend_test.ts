import assert from "node:assert/strict";
import { join } from "node:path";
import { einsum, hostTensor, trace } from "@tessera/core";
import { cudaBackend, findCuda } from "./cuda_backend.ts";
import { cudaPlace } from "./cuda_place.ts";
import { listGpus } from "./ffi/cuda_driver.ts";
import { backendOver } from "./backend.ts";
import { acquireEnvironment } from "./ffi/environment.ts";
import { hostMemory } from "./ffi/memory.ts";
import { cudaTarget } from "./lowering/cuda.ts";
import { separateBackend } from "./testing/separate.ts";
import { float } from "./testing/run.ts";

const gpu = { name: "Some GPU", bytes: 2 ** 34 };
const everything = { gpus: () => [gpu], library: () => "/ort/cuda.so", obstacle: () => null, cudnn: () => {} };

function failing(message: string): () => never {
  return () => {
    throw new Error(message);
  };
}

Deno.test("findCuda() looks for a GPU first, then for what is needed to use it", () => {
  assert.deepEqual(findCuda(undefined, everything), { gpus: [gpu], obstacle: null });
  const obstacleOf = (missing: Partial<typeof everything> | object) =>
    findCuda(undefined, { ...everything, ...missing });
  assert.deepEqual(obstacleOf({ gpus: failing("no driver"), library: failing("no library") }), {
    gpus: [],
    obstacle: "Cannot use CUDA: no driver",
  });
  assert.match(obstacleOf({ gpus: () => [] }).obstacle!, /finds no GPU.*; open "webgpu" or "cpu" instead$/);
  assert.deepEqual(obstacleOf({ library: failing("no library") }), { gpus: [gpu], obstacle: "no library" });
  assert.equal(obstacleOf({ cudnn: failing("no cuDNN") }).obstacle, "no cuDNN");
  if (Deno.build.os === "linux") assert.equal(obstacleOf({ obstacle: () => "no cuBLAS" }).obstacle, "no cuBLAS");
});

Deno.test("cudaBackend() says what is missing, before ONNX Runtime is started", () => {
  assert.throws(() => cudaBackend({}, { gpus: failing("NVIDIA's driver does not open") }), {
    message: "Cannot use CUDA: NVIDIA's driver does not open",
  });
  Deno.env.set("CUDA_VISIBLE_DEVICES", "7");
  try {
    assert.throws(() => cudaBackend({}, { gpus: () => [] }), {
      message: /finds no GPU among .*_DEVICES="7" names; open/,
    });
  } finally {
    Deno.env.delete("CUDA_VISIBLE_DEVICES");
  }
  assert.throws(() => cudaBackend({}, { ...everything, library: failing("no library") }), { message: "no library" });
  assert.throws(() => cudaBackend({}, { ...everything, cudnn: failing("no cuDNN") }), { message: "no cuDNN" });
  assert.throws(() => cudaBackend({ deviceCount: 0 }, everything), { name: "RangeError", message: /with 0 devices/ });
});

Deno.test("listGpus() says what to do when there is no driver", () => {
  assert.throws(() => listGpus({ os: "darwin" }), { message: "NVIDIA has no driver for darwin" });
  const name = Deno.build.os === "windows" ? "linux" : "windows";
  assert.throws(() => listGpus({ os: name }), {
    message: /NVIDIA's driver \(\S+\) does not open: install it, .*--gpus all/,
  });
});

Deno.test("cudaPlace() says why the engine does not load, not only that it does not", async () => {
  const folder = await Deno.makeTempDir();
  const environment = acquireEnvironment({ threads: 2, logLevel: 4 });
  try {
    const path = join(folder, "libonnxruntime_providers_cuda.so");
    await Deno.writeTextFile(path, "no library");
    assert.throws(() => cudaPlace(environment, path, gpu, 0), {
      message: /^Cannot start ONNX Runtime's CUDA engine: ".*providers_cuda\.so" does not load: /,
    });
  } finally {
    environment.release();
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("compile() refuses a program with nodes that the engine would leave to the processor", async () => {
  const environment = acquireEnvironment({ threads: 2 });
  // An engine that takes no node at all.
  const place = { memory: hostMemory(environment), provider: { name: "Nobody", appendTo: () => {} } };
  const device = { id: "cuda:0", kind: "cuda" };
  const backend = backendOver("onnx-cuda", [device], {
    environment,
    target: cudaTarget,
    options: {},
    placeOf: () => place,
  });
  try {
    const graph = trace("double", { x: float(2), y: float(2) }, ({ x, y }) => ({ z: x.add(y).mul(2) }));
    await assert.rejects(backend.compile(graph, { device }), {
      message:
        'Cannot compile "double" for cuda:0: it has no kernels for Add(float32, float32), Mul(float32, float32), ' +
        "which would run on the processor, with copies around each; lowering/cuda.ts is where such nodes are written as others",
    });
  } finally {
    backend.dispose();
  }
});

Deno.test("A buffer in separate memory is a copy, and outputs and state stay in that memory", async () => {
  const backend = separateBackend(2);
  try {
    const [device, other] = backend.devices as [typeof backend.devices[0], typeof backend.devices[0]];
    const host = hostTensor("float32", [2], Float32Array.of(1, 2));
    const [state, x] = [backend.upload(host, device), backend.upload(host, device)];
    host.data.fill(9);
    assert.deepEqual([...(await state!.read()).data], [1, 2]);
    const step = trace(
      "step",
      { state: float(2), x: float(2) },
      ({ state, x }) => ({ state: state.add(x), y: x.mul(3) }),
    );
    const program = await backend.compile(step, { device: device!, alsoOn: [other!], donate: new Map([[0, 0]]) });
    for (let i = 0; i < 2; i++) {
      const [same, y] = await program.run([state!, x!]);
      assert.equal(same, state);
      assert.deepEqual([...(await y!.read()).data], [3, 6]);
      assert.equal(y!.device, device);
      y!.dispose();
    }
    assert.deepEqual([...(await state!.read()).data], [3, 6]);
    const there = [
      backend.zeros(float(2), other),
      backend.upload(hostTensor("float32", [2], Float32Array.of(5, 6)), other),
    ];
    assert.deepEqual([...(await (await program.run(there))[0]!.read()).data], [5, 6]);
    await assert.rejects(
      program.run([state!, there[1]!]),
      /"x" needs float32\[2\] on separate:0, found .* on separate:1/,
    );
    program.dispose();
  } finally {
    backend.dispose();
  }
});

Deno.test("Tensors without elements and without axes go in and out of separate memory", async () => {
  const backend = separateBackend();
  try {
    const graph = trace("empty", { x: float(0, 3), w: float(4, 3) }, ({ x, w }) => ({ y: einsum("ab,cb->ac", x, w) }));
    const program = await backend.compile(graph, { device: backend.devices[0]! });
    const [y] = await program.run([backend.zeros(float(0, 3)), backend.zeros(float(4, 3))]);
    assert.deepEqual((await y!.read()).data.length, 0);
    const number = backend.upload(hostTensor("float32", [], Float32Array.of(7)));
    await number.write(hostTensor("float32", [], Float32Array.of(8)));
    assert.deepEqual([...(await number.read()).data], [8]);
    program.dispose();
  } finally {
    backend.dispose();
  }
});
