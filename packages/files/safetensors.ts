/**
 * Reading safetensors files.
 *
 * `read` gives views of a memory map where it can, so that a float32 checkpoint takes no memory beyond its pages; see
 * `file_bytes.ts` for who owns a map and what happens where there is none. Values are little-endian in the file and are
 * read as they are, as every system that Deno runs on is little-endian.
 */
import {
  contiguousRuns,
  type DType,
  type HostArray,
  type HostTensor,
  hostTensor,
  sizeOf,
  type TensorType,
} from "@tessera/core";
import { type FileBytes, type FileEntry, fileOf, type OpenOptions } from "./files.ts";
import { didYouMean } from "@tessera/text";
import {
  headerLength,
  parseHeader,
  type SafetensorsDType,
  safetensorsDTypes,
  type SafetensorsHeader,
  type TensorInfo,
} from "./safetensors_header.ts";

/** The range of one axis that a slice takes: `[begin, end)`, or null for all of it. */
export type AxisRange = readonly [begin: number, end: number] | null;

/** How a tensor is read. */
export interface ReadOptions {
  /** Whether a tensor of I64 becomes int32, with an error for values that do not fit; false unless given. */
  readonly narrow?: boolean;
}

/** Named tensors on disk: one file, or a checkpoint of several. */
export interface TensorStore {
  /** Every tensor by name. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** The free-form strings that the writer left. */
  readonly metadata: Readonly<Record<string, string>>;
  /**
   * One tensor; a view of the file where it is mapped and aligned, otherwise a copy. Writing to it never changes the file.
   *
   * @throws {RangeError} when there is no such tensor.
   * @throws {TypeError} when its dtype has no counterpart in host memory.
   */
  read(name: string, options?: ReadOptions): HostTensor;
  /**
   * A slice of one tensor, given by a range per axis; missing trailing ranges take their whole axis.
   *
   * @throws {RangeError} when there is no such tensor or a range is outside it.
   * @throws {TypeError} when its dtype has no counterpart in host memory.
   */
  readSlice(name: string, ranges: readonly AxisRange[], options?: ReadOptions): HostTensor;
  /** Frees the mapped memory of a tensor until it is read again; what was written to it is lost. */
  release(name: string): void;
  /** Gives up the files; tensors that were read stay valid. */
  close(): void;
}

/** One open safetensors file. */
export interface SafetensorsFile extends TensorStore {
  /** The file. */
  readonly path: string;
  /** Whether tensors are views of a memory map. */
  readonly mapped: boolean;
}

/**
 * Opens a safetensors file; its whole header is checked, no data is read.
 *
 * @throws {SyntaxError} when the header is malformed.
 * @throws {RangeError} when a length or offset is wrong, or the file is truncated.
 * @throws {Error} when the file cannot be opened.
 */
export async function openSafetensors(
  file: string | FileEntry,
  options: OpenOptions = {},
): Promise<SafetensorsFile> {
  const bytes = await fileOf(file).open(options);
  try {
    return new OpenFile(bytes, readHeader(bytes));
  } catch (error) {
    bytes.close();
    throw error;
  }
}

/**
 * The type that a tensor of a file has in host memory.
 *
 * @throws {TypeError} when its dtype has no counterpart.
 */
export function hostTypeOf(info: TensorInfo, options: ReadOptions = {}): TensorType {
  const dtype = hostDType(info.dtype, options);
  if (dtype === null) throw new TypeError(`Cannot read ${info.dtype} tensors: ${readable(info.dtype)}`);
  return { dtype, shape: info.shape };
}

function readHeader(bytes: FileBytes): SafetensorsHeader {
  const start = new Uint8Array(Math.min(8, bytes.size));
  bytes.copy(0, start);
  const header = new Uint8Array(headerLength(bytes.path, start, bytes.size));
  bytes.copy(8, header);
  return parseHeader(bytes.path, header, bytes.size);
}

class OpenFile implements SafetensorsFile {
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly metadata: Readonly<Record<string, string>>;
  readonly #bytes: FileBytes;

  constructor(bytes: FileBytes, header: SafetensorsHeader) {
    this.#bytes = bytes;
    this.tensors = header.tensors;
    this.metadata = header.metadata;
  }

  get path(): string {
    return this.#bytes.path;
  }

  get mapped(): boolean {
    return this.#bytes.mapped;
  }

  read(name: string, options: ReadOptions = {}): HostTensor {
    const { info, dtype } = this.#find(name, options);
    const buffer = this.#bytes.buffer(info.begin, info.end, safetensorsDTypes[info.dtype].bytes);
    return this.#decode(name, info.dtype, dtype, info.shape, buffer);
  }

  readSlice(name: string, ranges: readonly AxisRange[], options: ReadOptions = {}): HostTensor {
    const { info, dtype } = this.#find(name, options);
    const spans = this.#spans(name, info.shape, ranges);
    const shape = spans.map(([begin, end]) => end - begin);
    const bytes = safetensorsDTypes[info.dtype].bytes;
    const { starts, length } = contiguousRuns(info.shape, spans);
    const only = starts.length === 1 ? info.begin + starts[0]! * bytes : null;
    if (only !== null) {
      return this.#decode(name, info.dtype, dtype, shape, this.#bytes.buffer(only, only + length * bytes, bytes));
    }
    const out = new Uint8Array(sizeOf(shape) * bytes);
    starts.forEach((start, i) => {
      const at = i * length * bytes;
      this.#bytes.copy(info.begin + start * bytes, out.subarray(at, at + length * bytes));
    });
    return this.#decode(name, info.dtype, dtype, shape, out.buffer);
  }

  release(name: string): void {
    const info = this.tensors.get(name);
    if (info !== undefined) this.#bytes.release(info.begin, info.end);
  }

  close(): void {
    this.#bytes.close();
  }

  #find(name: string, options: ReadOptions): { info: TensorInfo; dtype: DType } {
    const info = this.tensors.get(name);
    if (info === undefined) {
      throw new RangeError(
        `Cannot read "${name}" from "${this.path}": it has no such tensor${didYouMean(name, this.tensors.keys())}`,
      );
    }
    const dtype = hostDType(info.dtype, options);
    if (dtype === null) {
      throw new TypeError(`Cannot read "${name}" from "${this.path}" as ${info.dtype}: ${readable(info.dtype)}`);
    }
    return { info, dtype };
  }

  #spans(name: string, shape: readonly number[], ranges: readonly AxisRange[]): (readonly [number, number])[] {
    if (ranges.length > shape.length) {
      throw new RangeError(
        `Cannot slice "${name}" [${shape}] of "${this.path}": it has ${shape.length} axes, found ${ranges.length} ranges`,
      );
    }
    return shape.map((size, axis) => {
      const [begin, end] = ranges[axis] ?? [0, size];
      if (Number.isInteger(begin) && Number.isInteger(end) && begin >= 0 && begin <= end && end <= size) {
        return [begin, end];
      }
      throw new RangeError(
        `Cannot slice "${name}" [${shape}] of "${this.path}": axis ${axis} takes whole ranges in [0, ${size}], ` +
          `found [${begin}, ${end}]`,
      );
    });
  }

  #decode(
    name: string,
    stored: SafetensorsDType,
    dtype: DType,
    shape: readonly number[],
    buffer: ArrayBuffer,
  ): HostTensor {
    if (stored !== "I64") return hostTensor(dtype, shape, arrays[dtype](buffer));
    const wide = new BigInt64Array(buffer);
    const narrow = Int32Array.from(wide, Number);
    const lost = wide.find((value, i) => value !== BigInt(narrow[i]!));
    if (lost === undefined) return hostTensor("int32", shape, narrow);
    throw new RangeError(`Cannot read "${name}" from "${this.path}" as int32: it holds ${lost}`);
  }
}

const arrays: { readonly [D in DType]: (buffer: ArrayBuffer) => HostArray<D> } = {
  float32: (buffer) => new Float32Array(buffer),
  bfloat16: (buffer) => new Uint16Array(buffer),
  float16: (buffer) => new Uint16Array(buffer),
  int32: (buffer) => new Int32Array(buffer),
  uint8: (buffer) => new Uint8Array(buffer),
  bool: (buffer) => new Uint8Array(buffer),
};

function hostDType(dtype: SafetensorsDType, options: ReadOptions): DType | null {
  return dtype === "I64" && options.narrow === true ? "int32" : safetensorsDTypes[dtype].host;
}

function readable(dtype: SafetensorsDType): string {
  if (dtype === "I64") return "64-bit integers are read only with { narrow: true }, as int32";
  const names = Object.entries(safetensorsDTypes).filter(([, row]) => row.host !== null).map(([name]) => name);
  return `convert it to one of ${names.join(", ")} first`;
}
