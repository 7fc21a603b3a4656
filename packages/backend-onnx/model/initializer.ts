/** Small constants of a model, to and from numbers. */

import { bfloat16Bits, bfloat16Value, float16Bits, float16Value } from "@tessera/core";
import type { ElementType } from "../ffi/element_type.ts";
import type { Initializer } from "./description.ts";

interface Codec {
  write(values: readonly number[]): ArrayBufferView<ArrayBuffer>;
  read(bytes: ArrayBuffer): ArrayLike<number | bigint>;
}

const codecs: Readonly<Record<ElementType, Codec>> = {
  float32: { write: (values) => Float32Array.from(values), read: (bytes) => new Float32Array(bytes) },
  float64: { write: (values) => Float64Array.from(values), read: (bytes) => new Float64Array(bytes) },
  int32: { write: (values) => Int32Array.from(values), read: (bytes) => new Int32Array(bytes) },
  int64: { write: (values) => BigInt64Array.from(values, BigInt), read: (bytes) => new BigInt64Array(bytes) },
  int8: { write: (values) => Int8Array.from(values), read: (bytes) => new Int8Array(bytes) },
  uint8: { write: (values) => Uint8Array.from(values), read: (bytes) => new Uint8Array(bytes) },
  bool: {
    write: (values) => Uint8Array.from(values, (value) => value === 0 ? 0 : 1),
    read: (bytes) => new Uint8Array(bytes),
  },
  float16: {
    write: (values) => Uint16Array.from(values, float16Bits),
    read: (bytes) => Array.from(new Uint16Array(bytes), float16Value),
  },
  bfloat16: {
    write: (values) => Uint16Array.from(values, bfloat16Bits),
    read: (bytes) => Array.from(new Uint16Array(bytes), bfloat16Value),
  },
};

/** A constant of given elements, row-major. */
export function initializer(
  name: string,
  dtype: ElementType,
  shape: readonly number[],
  values: readonly number[],
): Initializer {
  const array = codecs[dtype].write(values);
  return { name, dtype, shape, bytes: new Uint8Array(array.buffer, array.byteOffset, array.byteLength) };
}

/** The elements of a constant as numbers, row-major. */
export function initializerValues(tensor: Initializer): number[] {
  return Array.from(codecs[tensor.dtype].read(new Uint8Array(tensor.bytes).buffer), Number);
}
