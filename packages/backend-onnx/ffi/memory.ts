/** How tensors are copied to and from the memory of a device. */

import {
  bytesPerElement,
  formatType,
  type HostArray,
  hostArray,
  type HostTensor,
  sizeOf,
  type TensorType,
} from "@tessera/core";
import { addressOf, type Environment } from "./environment.ts";
import { OrtError } from "./library.ts";
import { allocateValue, bytesOfValue, type OrtValue, readValue, valueOver } from "./value.ts";

/** The memory in which a device keeps tensors. */
export interface DeviceMemory {
  /** A tensor with the elements of a host tensor: over them where the device is the processor, else with a copy of them. */
  upload(tensor: HostTensor): OrtValue;
  /** A tensor of zeros. */
  zeros(type: TensorType): OrtValue;
  /** A copy of the elements of a tensor. */
  read(value: OrtValue): Promise<HostArray>;
  /** Replaces the elements of a tensor. */
  write(value: OrtValue, data: HostArray): void;
  /** Where a run puts an output that has no buffer yet; `null` where ONNX Runtime allocates it. */
  output(type: TensorType): OrtValue | null;
}

/** The processor's memory: tensors are host arrays, and nothing is copied. */
export function hostMemory(environment: Environment): DeviceMemory {
  return {
    upload: ({ dtype, shape, data }) => valueOver(environment, { dtype, shape }, data),
    zeros(type) {
      const value = allocateValue(environment, type);
      bytesOfValue(environment, value).fill(0);
      return value;
    },
    read: (value) => Promise.resolve(readValue(environment, value)),
    write: (value, { buffer, byteOffset, byteLength }) =>
      bytesOfValue(environment, value).set(new Uint8Array(buffer, byteOffset, byteLength)),
    output: () => null,
  };
}

/** How elements are copied between a tensor of the host and one of a device, in either direction. */
export interface Copying {
  /** Copies before it returns. */
  now(from: OrtValue, to: OrtValue): void;
  /** Copies on another thread; both tensors must live until then. */
  later(from: OrtValue, to: OrtValue): Promise<void>;
}

/** Memory that the processor cannot access: everything that goes in or out is copied. */
export interface SeparateMemory {
  /** Its name in errors, such as `cuda:0 (NVIDIA H100)`. */
  readonly name: string;
  /** The allocator of tensors in it. */
  readonly allocator: bigint;
  /** How elements are copied there and back. */
  readonly copying: Copying;
}

/** The memory of a device with memory of its own. */
export function separateMemory(environment: Environment, { name, allocator, copying }: SeparateMemory): DeviceMemory {
  function allocate(type: TensorType): OrtValue {
    try {
      return allocateValue(environment, type, allocator);
    } catch (cause) {
      if (!(cause instanceof OrtError)) throw cause;
      const bytes = sizeOf(type.shape) * bytesPerElement(type.dtype);
      throw new Error(
        `Cannot allocate ${
          formatType(type)
        } (${bytes} bytes) on ${name}: ${cause.message}; dispose what is not needed, ` +
          "or split the model over more devices",
        { cause },
      );
    }
  }
  function write(value: OrtValue, data: HostArray): void {
    if (data.byteLength === 0) return;
    const host = valueOver(environment, value.type, data);
    try {
      copying.now(host, value);
    } finally {
      host.release();
    }
  }
  function upload({ dtype, shape, data }: HostTensor): OrtValue {
    const value = allocate({ dtype, shape });
    try {
      write(value, data);
    } catch (error) {
      value.release();
      throw error;
    }
    return value;
  }
  return {
    upload,
    zeros: ({ dtype, shape }) => upload({ dtype, shape, data: hostArray(dtype, sizeOf(shape)) }),
    async read(value) {
      const data = hostArray(value.type.dtype, sizeOf(value.type.shape));
      if (data.byteLength === 0) return data;
      const host = valueOver(environment, value.type, data);
      try {
        await copying.later(value, host);
      } finally {
        host.release();
      }
      return data;
    },
    write,
    output: allocate,
  };
}

/** Copies by ONNX Runtime, from and to the memory of the engines whose libraries are registered with it. */
export function copyingByOrt({ api, env }: Environment): Copying {
  const stream = 0n;
  const pair = (from: OrtValue, to: OrtValue) =>
    [BigUint64Array.of(from.handle), BigUint64Array.of(to.handle)] as const;
  return {
    now(from, to) {
      const [sources, targets] = pair(from, to);
      api.copyTensors(env, sources, targets, stream, 1);
    },
    async later(from, to) {
      const arrays = pair(from, to);
      const [sources, targets] = arrays;
      copied.add(arrays);
      try {
        await api.copyTensorsLater(env, addressOf(sources), addressOf(targets), stream, 1);
      } finally {
        copied.delete(arrays);
      }
    },
  };
}

/** What other threads read; kept here against garbage collection. */
const copied = new Set<unknown>();
