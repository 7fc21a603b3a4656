/** tfjs's WebGPU backend, as an instance of our own on a device of our own. */

import { hostArray, type HostTensor, sizeOf } from "@tessera/core";
import { WebGPUBackend } from "@tensorflow/tfjs-backend-webgpu";
import {
  type Engine,
  infoOf,
  isPacked,
  packWords,
  storageOf,
  storedShape,
  unpackWords,
  type Value,
  wordsOf,
} from "./engine.ts";
import type { OpenDevice } from "./device.ts";
import { castProgram } from "./wgsl/element.ts";
import { type Program, webgpuProgram } from "./wgsl/program.ts";

/** An engine that also runs programs in WGSL. */
export interface WebgpuEngine extends Engine {
  /** What the device can bind and hold. */
  readonly limits: GPUSupportedLimits;
  /** Runs a program. */
  run(program: Program): Value;
}

/** The most work, in bytes of fresh results, that is asked for before it is handed over. */
const submitBytes = 256 * 2 ** 20;

const lostName = "DeviceLostError";

/** What is said when the GPU is gone. */
function lostError(message: string): Error {
  const error = new Error(
    `The GPU was lost (${
      message || "no reason was given"
    }): its driver was restarted or another program took it; open ` +
      "the backend again, and resume training from its last checkpoint",
  );
  error.name = lostName;
  return error;
}

/** What is said when a program failed on the GPU. */
function describeError(error: GPUError): Error {
  if (error instanceof GPUOutOfMemoryError) {
    return new Error("The GPU has no memory left: use a smaller batch, shorter sequences or quantised weights", {
      cause: error,
    });
  }
  return new Error(`The GPU refused a program: ${error.message}`, { cause: error });
}

/** The commands that tfjs has written down and not yet handed over. */
function encoderOf(store: WebGPUBackend): GPUCommandEncoder {
  return (store as unknown as { readonly commandEncoder: GPUCommandEncoder }).commandEncoder;
}

/** Starts an engine on a device. */
export function webgpuEngine({ device, info, owned }: OpenDevice): WebgpuEngine {
  const store = new WebGPUBackend(device as never, info as never);
  let pending = 0;
  let failure: Error | null = null;
  device.addEventListener("uncapturederror", (event) => {
    failure ??= describeError((event as GPUUncapturedErrorEvent).error);
  });
  device.lost.then(({ message, reason }) => {
    if (reason !== "destroyed") failure = lostError(message);
  });

  /** Throws what went wrong on the GPU since the last time; a lost device stays lost. */
  function check(): void {
    const found = failure;
    if (found === null) return;
    if (found.name !== lostName) failure = null;
    throw found;
  }

  function submit(): void {
    store.ensureCommandEncoderReady();
    store.endComputePassEncoder();
    store.submitQueue();
    pending = 0;
  }

  /** A value as one row of words, whatever its shape. */
  const flat = (value: Value) => ({ ...infoOf(value), shape: [wordsOf(value)] });

  /** A value of its own with the same elements. */
  function copy(value: Value): Value {
    const to = store.makeTensorInfo(storedShape(value), storageOf(value.dtype));
    store.uploadToGPU(to.dataId);
    const [source, target] = [value.dataId, to.dataId].map((id) =>
      store.tensorMap.get(id).resource as unknown as GPUBuffer
    ) as [GPUBuffer, GPUBuffer];
    // The copy is written down before whatever comes next, like the programs before it.
    store.ensureCommandEncoderReady();
    store.endComputePassEncoder();
    encoderOf(store).copyBufferToBuffer(source, 0, target, 0, 4 * wordsOf(value));
    return { ...value, dataId: to.dataId };
  }

  const engine: WebgpuEngine = {
    kernels: "webgpu",
    store,
    limits: device.limits,
    upload(tensor) {
      const { dtype, shape, data } = tensor;
      const values = isPacked(dtype) ? packWords(tensor) : dtype === "bool" ? Int32Array.from(data) : data;
      const { dataId } = store.makeTensorInfo(storedShape(tensor), storageOf(dtype), values as never);
      if (data.length > 0) store.uploadToGPU(dataId);
      return { dataId, dtype, shape };
    },
    async read({ dataId, dtype, shape }): Promise<HostTensor> {
      const data = hostArray(dtype, sizeOf(shape));
      if (data.length === 0) return { dtype, shape, data };
      // tfjs's own reading keeps a copy on the host.
      const bytes = await store.getBufferData(store.tensorMap.get(dataId).resource as never);
      if (dtype === "float32") data.set(new Float32Array(bytes));
      else data.set(isPacked(dtype) ? unpackWords({ dtype, shape }, bytes).data : new Int32Array(bytes));
      return { dtype, shape, data };
    },
    widen: (value) => engine.run(castProgram(value, "float32")),
    narrow: (value, dtype) => engine.run(castProgram(value, dtype)),
    run(program) {
      const { dtype, shape } = program.output;
      pending += 4 * wordsOf(program.output);
      if (pending > submitBytes) submit();
      const { dataId } = store.runWebGPUProgram(
        webgpuProgram(program),
        program.inputs.map(({ value }) => flat(value)),
        storageOf(dtype),
        program.uniforms?.map(({ type, value }) => ({ type, data: [value] })),
        program.into === undefined ? undefined : flat(copy(program.into)),
      );
      return { dataId, dtype, shape };
    },
    async flush() {
      submit();
      await device.queue.onSubmittedWorkDone();
      check();
    },
    liveValues: () => store.numDataIds(),
    dispose() {
      store.dispose();
      if (owned) device.destroy();
    },
  };
  return engine;
}
