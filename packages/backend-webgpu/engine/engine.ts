/** What both targets share: values in tfjs's memory, and kernels called on one backend instance of our own. */

import { type DType, type HostTensor, sizeOf, type TensorType } from "@tessera/core";
import {
  type DataId,
  type DataType,
  getKernel,
  type KernelBackend,
  type NamedAttrMap,
  type TensorInfo,
} from "@tensorflow/tfjs-core";

/** A tensor in the memory of an engine. Elements narrower than 32 bits, but for booleans, are stored several to an int32. */
export interface Value extends TensorType {
  /** What tfjs knows the elements by; several values may share them. */
  readonly dataId: DataId;
  /** The rows of axis 0 a few at a time, where they are more than a program can bind at once. */
  readonly parts?: readonly Value[];
}

/** A value in the slices that are in memory, each with its start along axis 0. */
export function partsOf(value: Value): { readonly part: Value; readonly start: number }[] {
  let start = 0;
  return (value.parts ?? [value]).map((part) => {
    const own = { part, start };
    start += part.shape[0] ?? 1;
    return own;
  });
}

/** Programs count elements by an i32, and there may be two codes to a byte. A row of groups can reach beyond the end. */
const mostElements = 2 ** 31 - 2 ** 24;

/** The most words of a tensor that a program can bind and count. */
export function mostWords(dtype: DType, bindingBytes: number): number {
  const perWord = dtype === "uint8" ? 8 : elementsPerWord(dtype);
  return Math.min(Math.floor(bindingBytes / 4), Math.floor(mostElements / perWord));
}

/** Tells whether a program can bind a tensor as a whole. */
export function fitsBinding(type: TensorType, bindingBytes: number): boolean {
  return wordsOf(type) <= mostWords(type.dtype, bindingBytes);
}

/** How many rows of axis 0 a slice that a program can bind has; `null` when all fit, or when a single row does not. */
export function rowsPerPart(type: TensorType, bindingBytes: number): number | null {
  if (fitsBinding(type, bindingBytes) || type.shape.length === 0) return null;
  const { dtype, shape } = type;
  const rows = Math.floor(mostWords(dtype, bindingBytes) * elementsPerWord(dtype) / sizeOf(shape.slice(1)));
  return rows >= 1 ? rows : null;
}

/** The members of a tfjs backend that both of ours have. */
export interface KernelStore extends KernelBackend {
  /** Counts one more user of some elements. */
  incRef(dataId: DataId): void;
  /** How many users some elements have. */
  refCount(dataId: DataId): number;
}

/** One instance of a tfjs backend, and what is different between them. */
export interface Engine {
  /** The name under which tfjs has registered kernels for it. */
  readonly kernels: "cpu" | "webgpu";
  /** The instance that holds the memory. */
  readonly store: KernelStore;
  /** Copies a host tensor to the engine. */
  upload(tensor: HostTensor): Value;
  /** Copies a value to the host. */
  read(value: Value): Promise<HostTensor>;
  /** The float32 elements that packed ones stand for. */
  widen(value: Value): Value;
  /** float32 elements as packed ones, floats rounded to nearest. */
  narrow(value: Value, dtype: DType): Value;
  /** Hands over the work that was asked for, and resolves when the engine is ready for more. */
  flush(): Promise<void>;
  /** How many tensors are in memory. */
  liveValues(): number;
  /** Frees all memory. */
  dispose(): void;
}

/** How many elements of a dtype an int32 holds. */
export function elementsPerWord(dtype: DType): 1 | 2 | 4 {
  return dtype === "uint8" ? 4 : dtype === "float16" || dtype === "bfloat16" ? 2 : 1;
}

/** Tells whether elements of a dtype are stored several to an int32. */
export function isPacked(dtype: DType): boolean {
  return elementsPerWord(dtype) > 1;
}

/** The dtype under which tfjs stores elements. */
export function storageOf(dtype: DType): "float32" | "int32" | "bool" {
  return isPacked(dtype) ? "int32" : dtype as "float32" | "int32" | "bool";
}

/** How many words a tensor takes. */
export function wordsOf({ dtype, shape }: TensorType): number {
  return Math.ceil(sizeOf(shape) / elementsPerWord(dtype));
}

/** The shape under which tfjs stores a tensor. */
export function storedShape(type: TensorType): number[] {
  return isPacked(type.dtype) ? [wordsOf(type)] : [...type.shape];
}

/** The elements of a packed tensor, several to a word. */
export function packWords({ dtype, shape, data }: HostTensor): Int32Array<ArrayBuffer> {
  const words = new Int32Array(wordsOf({ dtype, shape }));
  const elements = dtype === "uint8" ? new Uint8Array(words.buffer) : new Uint16Array(words.buffer);
  elements.set(data);
  return words;
}

/** The elements that words hold. */
export function unpackWords({ dtype, shape }: TensorType, words: ArrayBufferLike, byteOffset = 0): HostTensor {
  const count = sizeOf(shape);
  const data = dtype === "uint8" ? new Uint8Array(words, byteOffset, count) : new Uint16Array(words, byteOffset, count);
  return { dtype, shape, data };
}

/** A value as tfjs sees it. */
export function infoOf(value: Value): TensorInfo {
  return { dataId: value.dataId, shape: storedShape(value), dtype: storageOf(value.dtype) as DataType };
}

/** A tfjs tensor as a value of a dtype that tfjs has. */
export function valueOf(info: TensorInfo): Value {
  return { dataId: info.dataId, shape: info.shape, dtype: info.dtype as DType };
}

/** Calls a kernel of tfjs on an engine's own backend instance, without tfjs's global engine. */
export function callKernel(
  engine: Engine,
  name: string,
  inputs: Readonly<Record<string, Value>> | readonly Value[],
  attrs: object = {},
): Value[] {
  const kernel = getKernel(name, engine.kernels);
  if (kernel === undefined) {
    throw new Error(`Cannot call "${name}": tfjs has no kernel of that name for ${engine.kernels}`);
  }
  const infos = Array.isArray(inputs)
    ? inputs.map(infoOf)
    : Object.fromEntries(Object.entries(inputs).map(([key, value]) => [key, infoOf(value)]));
  const results = kernel.kernelFunc({
    inputs: infos as never,
    backend: engine.store,
    attrs: attrs as NamedAttrMap,
  });
  return [results].flat().map(valueOf);
}

/** Counts one more user of a value's memory. */
export function retain(engine: Engine, value: Value): Value {
  for (const { part } of partsOf(value)) engine.store.incRef(part.dataId);
  return value;
}

/** Counts one user less, and frees the memory after the last one. */
export function release(engine: Engine, value: Value): void {
  for (const { part } of partsOf(value)) engine.store.disposeData(part.dataId);
}
