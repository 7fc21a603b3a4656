/** tfjs's plain JavaScript kernels: slow, obvious, and there wherever JavaScript is. */

import { type DType, fromElements, hostArray, type HostTensor, sizeOf, toFloat32 } from "@tessera/core";
import { MathBackendCPU } from "@tensorflow/tfjs-backend-cpu";
import { type Engine, isPacked, packWords, storageOf, storedShape, unpackWords, type Value } from "./engine.ts";

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

  /** The elements of a packed value as the host has them. */
  function unpacked(value: Value): HostTensor {
    const words = store.readSync(value.dataId) as Int32Array;
    return unpackWords(value, words.buffer, words.byteOffset);
  }

  function upload(tensor: HostTensor): Value {
    const { dtype, shape, data } = tensor;
    return write(dtype, shape, isPacked(dtype) ? packWords(tensor) : data.slice());
  }

  return {
    kernels: "cpu",
    store,
    upload,
    read(value) {
      const { dtype, shape } = value;
      const values = isPacked(dtype) ? unpacked(value).data : store.readSync(value.dataId) as ArrayLike<number>;
      const data = hostArray(dtype, sizeOf(shape));
      data.set(values);
      return Promise.resolve({ dtype, shape, data });
    },
    widen: (value) => write("float32", value.shape, toFloat32(unpacked(value))),
    narrow(value, dtype) {
      const data = store.readSync(value.dataId) as Float32Array;
      return upload(fromElements(dtype, value.shape, Float64Array.from(data)));
    },
    flush: () => Promise.resolve(),
    liveValues: () => store.numDataIds(),
    dispose: () => store.dispose(),
  };
}
