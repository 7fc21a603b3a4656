/** tfjs's WebGPU backend, as an instance of our own on a device of our own. */

import { hostArray, type HostTensor, sizeOf } from "@tessera/core";
import { WebGPUBackend } from "@tensorflow/tfjs-backend-webgpu";
import type { DataId } from "@tensorflow/tfjs-core";
import {
  type Engine,
  infoOf,
  isPacked,
  packWords,
  retain,
  rowsPerPart,
  storageOf,
  storedShape,
  unpackWords,
  type Value,
  wordsOf,
} from "./engine.ts";
import type { OpenDevice } from "./device.ts";
import { castProgram } from "../wgsl/element.ts";
import {
  piecesOf,
  type Program,
  updateCode,
  updateGroups,
  type UpdateProgram,
  webgpuProgram,
} from "../wgsl/program.ts";

/** How much of a GPU's memory a backend uses, in bytes. */
export interface GpuMemory {
  /** What tensors take now. */
  readonly usedBytes: number;
  /** That, and what is kept to be used again. */
  readonly allocatedBytes: number;
  /** The peak allocated since the last call of `resetPeak`. */
  readonly peakBytes: number;
}

/** An engine that also runs programs in WGSL. */
export interface WebgpuEngine extends Engine {
  /** The most bytes of a tensor that a program can read or write. */
  readonly bindingBytes: number;
  /** Runs a program. */
  run(program: Program): Value;
  /** Runs a program that changes values in place. */
  update(program: UpdateProgram): void;
  /** A value of its own with the same elements. */
  copy(value: Value): Value;
  /** How much of the GPU's memory is used. */
  memory(): GpuMemory;
  /** Makes the peak what is allocated now. */
  resetPeak(): void;
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
    return new Error("The GPU has no memory left: use a smaller batch, shorter sequences or quantized weights", {
      cause: error,
    });
  }
  return new Error(`The GPU refused a program: ${error.message}`, { cause: error });
}

/** The buffers that tfjs keeps, by size and use. */
interface BufferPool {
  readonly freeBuffers: Map<string, GPUBuffer[]>;
  numFreeBuffers: number;
  numBytesUsed: number;
  numBytesAllocated: number;
}

/** The commands that tfjs has recorded and not yet submitted. */
function encoderOf(store: WebGPUBackend): GPUCommandEncoder {
  return (store as unknown as { readonly commandEncoder: GPUCommandEncoder }).commandEncoder;
}

/** Less than this is kept whatever the last run took, in bytes. */
const leastSpare = 64 * 2 ** 20;

/** Starts an engine on a device. */
export function webgpuEngine({ device, info, owned }: OpenDevice, maxBindingBytes = Infinity): WebgpuEngine {
  const store = new WebGPUBackend(device as never, info as never);
  let [pending, runBytes, peak] = [0, 0, 0];
  const updates = new Map<string, GPUComputePipeline>();
  let failure: Error | null = null;
  device.addEventListener("uncapturederror", (event) => {
    failure ??= describeError((event as GPUUncapturedErrorEvent).error);
  });
  device.lost.then(({ message }) => failure = lostError(message));

  /** Throws what went wrong on the GPU since the last time; a lost device stays lost. */
  function check(): void {
    const found = failure;
    if (found === null) return;
    if (found.name !== lostName) failure = null;
    throw found;
  }

  /** Throws when the GPU is lost; what is made on it then is invalid, and errors about that say nothing. */
  function checkPresence(): void {
    if (failure?.name === lostName) throw failure;
  }

  function submit(): void {
    store.ensureCommandEncoderReady();
    store.endComputePassEncoder();
    store.submitQueue();
    pending = 0;
  }

  /** tfjs keeps every buffer for results of the same size; what the last run did not need is given back. */
  function trim(): void {
    const pool = store.bufferManager as unknown as BufferPool;
    const spare = pool.numBytesAllocated - pool.numBytesUsed;
    if (spare <= Math.max(leastSpare, 2 * runBytes)) return;
    // Commands that others wrote down in the meantime may use what is free by now.
    submit();
    for (const [key, buffers] of pool.freeBuffers) {
      for (const buffer of buffers) {
        pool.numBytesAllocated -= buffer.size;
        buffer.destroy();
      }
      pool.numFreeBuffers -= buffers.length;
      pool.freeBuffers.set(key, []);
    }
  }

  /** A value as one row of words, whatever its shape. */
  const flat = (value: Value) => ({ ...infoOf(value), shape: [wordsOf(value)] });

  /** The memory of a value, which tfjs must not give to anyone else until the commands are handed over. */
  function usedBuffer(id: DataId): GPUBuffer {
    (store as unknown as { readonly commandQueueOwnedIds: WeakSet<DataId> }).commandQueueOwnedIds.add(id);
    return store.tensorMap.get(id).resource as unknown as GPUBuffer;
  }

  /** A value of its own with the same elements. */
  function copy(value: Value): Value {
    const to = store.makeTensorInfo(storedShape(value), storageOf(value.dtype));
    store.uploadToGPU(to.dataId);
    // The copy is written down before whatever comes next, like the programs before it.
    store.ensureCommandEncoderReady();
    store.endComputePassEncoder();
    encoderOf(store).copyBufferToBuffer(usedBuffer(value.dataId), 0, usedBuffer(to.dataId), 0, 4 * wordsOf(value));
    return { ...value, dataId: to.dataId };
  }

  const engine: WebgpuEngine = {
    kernels: "webgpu",
    store,
    bindingBytes: Math.min(maxBindingBytes, device.limits.maxStorageBufferBindingSize, device.limits.maxBufferSize),
    upload(tensor) {
      checkPresence();
      const { dtype, shape, data } = tensor;
      const rows = rowsPerPart(tensor, engine.bindingBytes);
      if (rows !== null) {
        const width = data.length / shape[0]!;
        const parts = Array.from({ length: Math.ceil(shape[0]! / rows) }, (_, i) => {
          const own = data.subarray(i * rows * width, (i + 1) * rows * width);
          return engine.upload({ dtype, shape: [own.length / width, ...shape.slice(1)], data: own });
        });
        return { dataId: parts[0]!.dataId, dtype, shape, parts };
      }
      const values = isPacked(dtype) ? packWords(tensor) : dtype === "bool" ? Int32Array.from(data) : data;
      const { dataId } = store.makeTensorInfo(storedShape(tensor), storageOf(dtype), values as never);
      if (data.length > 0) store.uploadToGPU(dataId);
      return { dataId, dtype, shape };
    },
    async read({ dataId, dtype, shape, parts }): Promise<HostTensor> {
      const data = hostArray(dtype, sizeOf(shape));
      if (parts !== undefined) {
        let start = 0;
        for (const part of parts) {
          data.set((await engine.read(part)).data, start);
          start += sizeOf(part.shape);
        }
        return { dtype, shape, data };
      }
      if (data.length === 0) return { dtype, shape, data };
      checkPresence();
      // tfjs's own reading keeps a copy on the host.
      const bytes = await store.getBufferData(store.tensorMap.get(dataId).resource as never).catch(async (cause) => {
        // A GPU that is lost says so a moment later.
        await new Promise((resolve) => setTimeout(resolve));
        checkPresence();
        throw cause;
      });
      check();
      if (dtype === "float32") data.set(new Float32Array(bytes));
      else data.set(isPacked(dtype) ? unpackWords({ dtype, shape }, bytes).data : new Int32Array(bytes));
      return { dtype, shape, data };
    },
    widen: (value) => engine.run(castProgram(value, "float32")),
    narrow: (value, dtype) => engine.run(castProgram(value, dtype)),
    run(program) {
      const { dtype, shape } = program.output;
      const bytes = 4 * wordsOf(program.output);
      pending += bytes;
      runBytes += bytes;
      if (pending > submitBytes) submit();
      const inputs = program.inputs.map(({ value }) => flat(value));
      let found = program.into === undefined
        ? undefined
        : flat(program.inPlace ? retain(engine, program.into) : copy(program.into));
      for (const { firstGroup, groups } of piecesOf(program)) {
        if (firstGroup > 0) submit();
        const piece = program.groups === undefined ? program : { ...program, groups };
        const uniforms = program.uniforms?.map(({ name, type, value }) => ({
          type,
          data: [name === "firstGroup" ? firstGroup : value],
        }));
        found = store.runWebGPUProgram(webgpuProgram(piece), inputs, storageOf(dtype), uniforms, found);
      }
      const { dataId } = found!;
      peak = Math.max(peak, store.bufferManager.numBytesAllocated);
      return { dataId, dtype, shape };
    },
    update(program) {
      const code = updateCode(program);
      const pipeline = updates.get(code) ??
        device.createComputePipeline({
          label: program.name,
          layout: "auto",
          compute: { module: device.createShaderModule({ code }), entryPoint: "main" },
        });
      updates.set(code, pipeline);
      const values = [...program.changed, ...program.inputs].map(({ value }) => value);
      pending += program.changed.reduce((bytes, { value }) => bytes + 4 * wordsOf(value), 0);
      if (pending > submitBytes) submit();
      const entries = values.map((value, binding) => {
        store.uploadToGPU(value.dataId);
        return { binding, resource: { buffer: usedBuffer(value.dataId), size: 4 * wordsOf(value) } };
      });
      store.ensureCommandEncoderReady();
      store.endComputePassEncoder();
      const pass = encoderOf(store).beginComputePass();
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }));
      pass.dispatchWorkgroups(updateGroups(wordsOf(values[0]!)));
      pass.end();
    },
    copy,
    memory: () => ({
      usedBytes: store.bufferManager.numBytesUsed,
      allocatedBytes: store.bufferManager.numBytesAllocated,
      peakBytes: Math.max(peak, store.bufferManager.numBytesAllocated),
    }),
    resetPeak: () => void (peak = store.bufferManager.numBytesAllocated),
    async flush() {
      check();
      submit();
      await device.queue.onSubmittedWorkDone();
      trim();
      runBytes = 0;
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
