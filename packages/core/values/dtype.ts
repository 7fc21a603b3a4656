/**
 * Element types, tensor types, and host-side tensors: the vocabulary that every other package shares.
 *
 * bfloat16 and float16 have no JavaScript number type of their own, so on the host they are raw 16-bit patterns in a
 * `Uint16Array`; `toFloat32` and `fromFloat32` convert.
 */

/** An element type that a graph can carry; uint8 is storage only, for the codes of quantized weights. */
export type DType = "float32" | "bfloat16" | "float16" | "int32" | "uint8" | "bool";

/** The element types that have a gradient. */
export type FloatDType = "float32" | "bfloat16" | "float16";

/** The shape and element type of a tensor. */
export interface TensorType {
  /** The length of each axis, outermost first. */
  readonly shape: readonly number[];
  /** The element type. */
  readonly dtype: DType;
}

interface HostArrays {
  float32: Float32Array<ArrayBufferLike>;
  bfloat16: Uint16Array<ArrayBufferLike>;
  float16: Uint16Array<ArrayBufferLike>;
  int32: Int32Array<ArrayBufferLike>;
  uint8: Uint8Array<ArrayBufferLike>;
  bool: Uint8Array<ArrayBufferLike>;
}

/** The typed array that holds elements of `D` on the host. */
export type HostArray<D extends DType = DType> = HostArrays[D];

/** A tensor in host memory, row-major and contiguous. */
export interface HostTensor<D extends DType = DType> {
  /** The length of each axis, outermost first. */
  readonly shape: readonly number[];
  /** The element type. */
  readonly dtype: D;
  /** The elements, row-major; raw bits for bfloat16 and float16. */
  readonly data: HostArray<D>;
}

const table: { readonly [D in DType]: { bytes: number; float: boolean; array: (size: number) => HostArray<D> } } = {
  float32: { bytes: 4, float: true, array: (n) => new Float32Array(n) },
  bfloat16: { bytes: 2, float: true, array: (n) => new Uint16Array(n) },
  float16: { bytes: 2, float: true, array: (n) => new Uint16Array(n) },
  int32: { bytes: 4, float: false, array: (n) => new Int32Array(n) },
  uint8: { bytes: 1, float: false, array: (n) => new Uint8Array(n) },
  bool: { bytes: 1, float: false, array: (n) => new Uint8Array(n) },
};

/** Every element type, widest use first. */
export const dtypes: readonly DType[] = Object.keys(table) as DType[];

/** Tells whether a dtype is a floating-point one, and so has gradients. */
export function isFloat(dtype: DType): dtype is FloatDType {
  return table[dtype].float;
}

/** The size of one element, in bytes. */
export function bytesPerElement(dtype: DType): number {
  return table[dtype].bytes;
}

/** The number of elements in a tensor of this shape. */
export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, length) => product * length, 1);
}

/** The size of a tensor, in bytes. */
export function bytesOf(type: TensorType): number {
  return sizeOf(type.shape) * bytesPerElement(type.dtype);
}

/** A zero-filled host array for `size` elements of `dtype`. */
export function hostArray<D extends DType>(dtype: D, size: number): HostArray<D> {
  return table[dtype].array(size) as HostArray<D>;
}

/** A zero-filled tensor in host memory. */
export function hostZeros<D extends DType>(dtype: D, shape: readonly number[]): HostTensor<D> {
  return { dtype, shape, data: hostArray(dtype, sizeOf(shape)) };
}

/**
 * A host tensor over existing elements.
 *
 * @throws {RangeError} when the number of elements does not match the shape.
 */
export function hostTensor<D extends DType>(dtype: D, shape: readonly number[], data: HostArray<D>): HostTensor<D> {
  if (data.length !== sizeOf(shape)) {
    throw new RangeError(
      `Cannot make ${formatType({ dtype, shape })}: it needs ${sizeOf(shape)} elements, found ${data.length}`,
    );
  }
  return { dtype, shape, data };
}

/** A type as text, such as `float32[2,3]`. */
export function formatType(type: TensorType): string {
  return `${type.dtype}[${type.shape.join(",")}]`;
}

/** Tells whether two shapes are the same. */
export function sameShape(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((length, axis) => length === b[axis]);
}

/** Tells whether two types are the same. */
export function sameType(a: TensorType, b: TensorType): boolean {
  return a.dtype === b.dtype && sameShape(a.shape, b.shape);
}

const scratch = new DataView(new ArrayBuffer(4));

/** The bits of a number rounded to bfloat16, to nearest and ties to even; NaN stays NaN. */
export function bfloat16Bits(value: number): number {
  scratch.setFloat32(0, value);
  const bits = scratch.getUint32(0);
  if (Number.isNaN(value)) return (bits >>> 16) | 0x0040;
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}

/** The number that a bfloat16 bit pattern stands for. */
export function bfloat16Value(bits: number): number {
  scratch.setUint32(0, bits << 16);
  return scratch.getFloat32(0);
}

/** The bits of a number rounded to float16, to nearest and ties to even. */
export function float16Bits(value: number): number {
  scratch.setFloat16(0, value);
  return scratch.getUint16(0);
}

/** The number that a float16 bit pattern stands for. */
export function float16Value(bits: number): number {
  scratch.setUint16(0, bits);
  return scratch.getFloat16(0);
}

/**
 * The elements of a host tensor as float32 numbers: the same array when they are float32 already, else `into`, a new array
 * by default.
 */
export function toFloat32(
  tensor: HostTensor,
  into?: Float32Array<ArrayBufferLike>,
): Float32Array<ArrayBufferLike> {
  const { data, dtype } = tensor;
  if (dtype === "float32") return data as Float32Array<ArrayBufferLike>;
  const out = into ?? new Float32Array(data.length);
  if (dtype === "bfloat16") {
    // A bfloat16 is the upper half of a float32, so widening is a shift.
    const bits = new Uint32Array(out.buffer, out.byteOffset, out.length);
    for (let i = 0; i < bits.length; i++) bits[i] = data[i]! << 16;
  } else if (dtype === "float16") {
    for (let i = 0; i < out.length; i++) out[i] = float16Value(data[i]!);
  } else out.set(data);
  return out;
}

/** Float32 numbers as a host tensor of another float dtype, rounded to nearest even. */
export function fromFloat32<D extends FloatDType>(
  dtype: D,
  shape: readonly number[],
  data: Float32Array<ArrayBufferLike>,
): HostTensor<D> {
  if (dtype === "float32") return hostTensor(dtype, shape, data as HostArray<D>);
  const round = dtype === "bfloat16" ? bfloat16Bits : float16Bits;
  const out = hostArray(dtype, data.length);
  for (let i = 0; i < data.length; i++) out[i] = round(data[i]!);
  return hostTensor(dtype, shape, out);
}
