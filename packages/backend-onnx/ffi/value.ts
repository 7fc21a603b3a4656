/**
 * Tensors of ONNX Runtime (`OrtValue`), over memory of its own or over the elements of a JavaScript array.
 */

import { bytesPerElement, type DType, type HostArray, hostArray, sizeOf, type TensorType } from "@tessera/core";
import { elementTypes } from "./element_type.ts";
import { addressOf, type Environment, outPointer } from "./environment.ts";

/** A tensor of ONNX Runtime. */
export interface OrtValue {
  /** The `OrtValue`. */
  readonly handle: bigint;
  /** The shape and element type. */
  readonly type: TensorType;
  /** The JavaScript array that holds the elements, when it is not ONNX Runtime that holds them. */
  readonly keep: ArrayBufferView<ArrayBufferLike> | null;
  /** Frees the value; its elements too when ONNX Runtime holds them. Idempotent. */
  release(): void;
}

function shapeArray(shape: readonly number[]): BigInt64Array<ArrayBuffer> {
  return BigInt64Array.from(shape.length === 0 ? [0] : shape, BigInt);
}

/** Frees values that nobody released; releasing them is still the owner's task. */
const leaks = new FinalizationRegistry<{ environment: Environment; handle: bigint }>(({ environment, handle }) =>
  environment.api.releaseValue(handle)
);

/** Takes charge of an `OrtValue` handle. */
export function ownValue(
  environment: Environment,
  handle: bigint,
  type: TensorType,
  keep: ArrayBufferView<ArrayBufferLike> | null = null,
): OrtValue {
  let live = true;
  const value: OrtValue = {
    handle,
    type,
    keep,
    release() {
      if (!live) return;
      live = false;
      leaks.unregister(value);
      environment.api.releaseValue(handle);
    },
  };
  leaks.register(value, { environment, handle }, value);
  return value;
}

/** A tensor over the elements of an array: nothing is copied, and writing to one writes to the other. */
export function valueOver<D extends DType>(environment: Environment, type: TensorType, data: HostArray<D>): OrtValue {
  const bytes = sizeOf(type.shape) * bytesPerElement(type.dtype);
  if (data.byteLength !== bytes) {
    throw new RangeError(`Cannot make a tensor of ${bytes} bytes over an array of ${data.byteLength} bytes`);
  }
  // Reading `buffer` first moves a small array out of the JavaScript heap, where the garbage collector could move it.
  const view = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  const out = outPointer();
  environment.api.createTensorWithDataAsOrtValue(
    environment.memory,
    bytes === 0 ? addressOf(empty) : addressOf(view),
    bytes,
    shapeArray(type.shape),
    type.shape.length,
    elementTypes[type.dtype],
    out,
  );
  return ownValue(environment, out[0]!, type, data);
}

const empty = new Uint8Array(64);

/**
 * A tensor in memory of an allocator, that of the host outside the arena unless another is given; the elements are not
 * initialized.
 */
export function allocateValue(
  environment: Environment,
  type: TensorType,
  allocator: bigint = environment.allocator,
): OrtValue {
  const out = outPointer();
  environment.api.createTensorAsOrtValue(
    allocator,
    shapeArray(type.shape),
    type.shape.length,
    elementTypes[type.dtype],
    out,
  );
  return ownValue(environment, out[0]!, type);
}

/** The elements of a tensor in another shape of the same size: nothing is copied. The tensor must outlive it. */
export function reshapedValue(environment: Environment, value: OrtValue, shape: readonly number[]): OrtValue {
  const type = { dtype: value.type.dtype, shape };
  const bytes = sizeOf(shape) * bytesPerElement(type.dtype);
  if (bytes !== sizeOf(value.type.shape) * bytesPerElement(value.type.dtype)) {
    throw new RangeError(`Cannot see [${value.type.shape.join(",")}] as [${shape.join(",")}]: the sizes differ`);
  }
  const [data, out] = [outPointer(), outPointer()];
  environment.api.getTensorMutableData(value.handle, data);
  environment.api.createTensorWithDataAsOrtValue(
    environment.memory,
    data[0]!,
    bytes,
    shapeArray(shape),
    shape.length,
    elementTypes[type.dtype],
    out,
  );
  return ownValue(environment, out[0]!, type, value.keep);
}

/** The elements of a tensor as bytes, in place: valid until the tensor is released. */
export function bytesOfValue(environment: Environment, value: OrtValue): Uint8Array<ArrayBuffer> {
  const size = sizeOf(value.type.shape) * bytesPerElement(value.type.dtype);
  if (size === 0) return new Uint8Array(0);
  const out = outPointer();
  environment.api.getTensorMutableData(value.handle, out);
  return new Uint8Array(Deno.UnsafePointerView.getArrayBuffer(Deno.UnsafePointer.create(out[0]!)!, size));
}

/** A copy of the elements of a tensor. */
export function readValue(environment: Environment, value: OrtValue): HostArray {
  const copy = hostArray(value.type.dtype, sizeOf(value.type.shape));
  new Uint8Array(copy.buffer).set(bytesOfValue(environment, value));
  return copy;
}
