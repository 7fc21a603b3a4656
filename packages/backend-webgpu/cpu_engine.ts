/** tfjs's plain JavaScript kernels: slow, obvious, and there wherever JavaScript is. */

import { type DType, fromFloat32, hostArray, type HostTensor, sizeOf, toFloat32 } from "@tessera/core";
import { MathBackendCPU } from "@tensorflow/tfjs-backend-cpu";
import { type Engine, isPacked, storageOf, storedShape, type Value } from "./engine.ts";

/** Starts an engine of its own; several share nothing. */
export function cpuEngine(): Engine {
  const store = new MathBackendCPU();
  // tfjs would greet on standard error and recommend another package.
  Object.assign(store, { firstUse: false });

  function write(dtype: DType, shape: readonly number[], values: ArrayLike<number>): Value {
    const stored = storedShape({ dtype, shape });
    const info = store.makeTensorInfo(stored, storageOf(dtype), values as Float32Array);
    return { dataId: info.dataId, dtype, shape };
  }

  /** The elements of a float16 or bfloat16 value as the host has them. */
  function bits(value: Value): Uint16Array<ArrayBufferLike> {
    const words = store.readSync(value.dataId) as Int32Array;
    return new Uint16Array(words.buffer, words.byteOffset, sizeOf(value.shape));
  }

  function upload({ dtype, shape, data }: HostTensor): Value {
    if (!isPacked(dtype)) return write(dtype, shape, data.slice());
    const words = new Int32Array(Math.ceil(data.length / 2));
    new Uint16Array(words.buffer).set(data);
    return write(dtype, shape, words);
  }

  return {
    kernels: "cpu",
    store,
    upload,
    read(value) {
      const { dtype, shape } = value;
      const values = isPacked(dtype) ? bits(value) : store.readSync(value.dataId) as ArrayLike<number>;
      const data = hostArray(dtype, sizeOf(shape));
      data.set(values);
      return Promise.resolve({ dtype, shape, data });
    },
    widen(value) {
      const data = toFloat32({ dtype: value.dtype, shape: value.shape, data: bits(value) });
      return write("float32", value.shape, data);
    },
    narrow(value, dtype) {
      const data = store.readSync(value.dataId) as Float32Array;
      return upload(fromFloat32(dtype as "float16" | "bfloat16", value.shape, data));
    },
    flush: () => Promise.resolve(),
    liveValues: () => store.numDataIds(),
    dispose: () => store.dispose(),
  };
}
