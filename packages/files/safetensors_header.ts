/**
 * The header of a safetensors file: a little-endian 64-bit length, then a JSON object that gives each tensor a dtype, a
 * shape and a byte range, then the data.
 *
 * A header comes from the internet, so nothing in it is believed: every length and offset is checked against the size of
 * the file before a byte of data is touched. The checks are those of the reference implementation.
 *
 * Format: https://huggingface.co/docs/safetensors
 */
import { CheckpointRangeError } from "@tessera/text";
import { type DType, sizeOf } from "@tessera/core";

/** The largest header that a reader accepts, in bytes, as in the reference implementation. */
export const maxHeaderBytes = 100_000_000;

/** An element type that a safetensors file can name. */
export type SafetensorsDType =
  | "F64"
  | "F32"
  | "F16"
  | "BF16"
  | "F8_E4M3"
  | "F8_E5M2"
  | "I64"
  | "I32"
  | "I16"
  | "I8"
  | "U64"
  | "U32"
  | "U16"
  | "U8"
  | "BOOL";

/** What one element type takes in the file, and what it becomes in memory. */
interface Row {
  /** The size of one element, in bytes. */
  readonly bytes: number;
  /** The host dtype with the same bits, or null where there is none. */
  readonly host: DType | null;
}

/** Every element type that a file may name, also those that can be listed but not read. */
export const safetensorsDTypes: { readonly [D in SafetensorsDType]: Row } = {
  F64: { bytes: 8, host: null },
  F32: { bytes: 4, host: "float32" },
  F16: { bytes: 2, host: "float16" },
  BF16: { bytes: 2, host: "bfloat16" },
  F8_E4M3: { bytes: 1, host: null },
  F8_E5M2: { bytes: 1, host: null },
  I64: { bytes: 8, host: null },
  I32: { bytes: 4, host: "int32" },
  I16: { bytes: 2, host: null },
  I8: { bytes: 1, host: null },
  U64: { bytes: 8, host: null },
  U32: { bytes: 4, host: null },
  U16: { bytes: 2, host: null },
  U8: { bytes: 1, host: "uint8" },
  BOOL: { bytes: 1, host: "bool" },
};

/** Where a tensor lies in a file, and what it is. */
export interface TensorInfo {
  /** The element type, as the file names it. */
  readonly dtype: SafetensorsDType;
  /** The length of each axis, outermost first. */
  readonly shape: readonly number[];
  /** The offset of the first byte, from the start of the file. */
  readonly begin: number;
  /** The offset after the last byte, from the start of the file. */
  readonly end: number;
}

/** A checked header. */
export interface SafetensorsHeader {
  /** The tensors by name, in the order of the header. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** The free-form strings that the writer left. */
  readonly metadata: Readonly<Record<string, string>>;
}

const again = "download or copy the file again";

/**
 * The length of the header, in bytes, from the first 8 bytes of a file.
 *
 * @throws {SyntaxError} when the file is something else than safetensors.
 * @throws {RangeError} when the length exceeds the file or the limit.
 */
export function headerLength(path: string, start: Uint8Array, fileBytes: number): number {
  if (new TextDecoder().decode(start).startsWith("version ")) {
    throw new SyntaxError(
      `Cannot open "${path}": it is a Git LFS pointer and not the weights; run "git lfs pull" in its repository`,
    );
  }
  if (fileBytes < 8) {
    throw new CheckpointRangeError(
      `Cannot open "${path}": found ${fileBytes} bytes, a safetensors file has at least 8; ${again}`,
    );
  }
  const length = new DataView(start.buffer, start.byteOffset, 8).getBigUint64(0, true);
  if (length > BigInt(maxHeaderBytes)) {
    throw new CheckpointRangeError(
      `Cannot open "${path}": its header claims ${length} bytes, the most allowed is ${maxHeaderBytes}; ` +
        `it is damaged or not a safetensors file, ${again}`,
    );
  }
  if (length > BigInt(fileBytes - 8)) {
    throw new CheckpointRangeError(
      `Cannot open "${path}": its header claims ${length} bytes, but only ${fileBytes - 8} follow; ` +
        `the file is truncated or damaged, ${again}`,
    );
  }
  return Number(length);
}

/**
 * The tensors and metadata of a header, checked against the size of the file.
 *
 * @throws {SyntaxError} when the header is not what the format asks for.
 * @throws {RangeError} when a byte range is wrong, or the file is shorter or longer than its tensors.
 */
export function parseHeader(path: string, bytes: Uint8Array, fileBytes: number): SafetensorsHeader {
  const text = decodeText(path, bytes);
  const json = parseObject(path, text);
  const repeated = repeatedKey(text);
  if (repeated !== null) throw new SyntaxError(`Cannot open "${path}": its header names "${repeated}" twice; ${again}`);

  const dataBegin = 8 + bytes.length;
  const tensors = new Map<string, TensorInfo>();
  let metadata: Record<string, string> = {};
  for (const [name, value] of Object.entries(json)) {
    if (name === "__metadata__") metadata = parseMetadata(path, value);
    else tensors.set(name, parseTensor(path, name, value, dataBegin));
  }
  checkLayout(path, tensors, dataBegin, fileBytes);
  return { tensors, metadata };
}

function decodeText(path: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new SyntaxError(`Cannot open "${path}": its header is not UTF-8 text; ${again}`, { cause });
  }
}

function parseObject(path: string, text: string): Record<string, unknown> {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new SyntaxError(`Cannot open "${path}": its header is not JSON (${(cause as Error).message}); ${again}`, {
      cause,
    });
  }
  if (!isObject(json)) {
    throw new SyntaxError(`Cannot open "${path}": its header is not a JSON object; ${again}`);
  }
  return json;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function parseMetadata(path: string, value: unknown): Record<string, string> {
  if (!isObject(value) || Object.values(value).some((item) => typeof item !== "string")) {
    throw new SyntaxError(`Cannot open "${path}": "__metadata__" in its header must map strings to strings`);
  }
  return value as Record<string, string>;
}

function parseTensor(path: string, name: string, value: unknown, dataBegin: number): TensorInfo {
  const fail = (what: string): never => {
    throw new SyntaxError(`Cannot open "${path}": tensor "${name}" ${what}; ${again}`);
  };
  if (!isObject(value)) return fail("has no dtype, shape and data_offsets in the header");
  const { dtype, shape, data_offsets: offsets } = value;
  if (typeof dtype !== "string" || !Object.hasOwn(safetensorsDTypes, dtype)) {
    throw new SyntaxError(
      `Cannot open "${path}": tensor "${name}" has the unknown dtype ${JSON.stringify(dtype)}; ` +
        `known are ${Object.keys(safetensorsDTypes).join(", ")}`,
    );
  }
  if (!Array.isArray(shape) || !shape.every(isCount)) {
    return fail(`has the shape ${JSON.stringify(shape)}, which is not a list of whole numbers`);
  }
  const [begin, end] = Array.isArray(offsets) && offsets.length === 2 ? offsets : [];
  if (!isCount(begin) || !isCount(end) || begin > end) {
    return fail(`has the data_offsets ${JSON.stringify(offsets)}, which are not [begin, end]`);
  }
  const needed = sizeOf(shape) * safetensorsDTypes[dtype as SafetensorsDType].bytes;
  if (needed !== end - begin) {
    throw new CheckpointRangeError(
      `Cannot open "${path}": tensor "${name}" ${dtype}[${shape}] takes ${needed} bytes, ` +
        `but its data_offsets [${begin}, ${end}] span ${end - begin}; ${again}`,
    );
  }
  return { dtype: dtype as SafetensorsDType, shape, begin: dataBegin + begin, end: dataBegin + end };
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** Checks that the tensors tile the data exactly: no overlap, no hole, nothing beyond the end. */
function checkLayout(
  path: string,
  tensors: ReadonlyMap<string, TensorInfo>,
  dataBegin: number,
  fileBytes: number,
): void {
  const inOrder = [...tensors].sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end);
  let end = dataBegin;
  let last = "the header";
  for (const [name, info] of inOrder) {
    if (info.begin !== end) {
      const what = info.begin < end ? "overlaps with" : `leaves ${info.begin - end} unused bytes after`;
      throw new CheckpointRangeError(`Cannot open "${path}": tensor "${name}" ${what} ${last}; ${again}`);
    }
    end = info.end;
    last = `tensor "${name}"`;
  }
  if (end === fileBytes) return;
  const cause = fileBytes < end ? "the file is truncated" : "the header does not describe all of the file";
  throw new CheckpointRangeError(
    `Cannot open "${path}": expected ${end} bytes, found ${fileBytes}: ${cause}; ${again}`,
  );
}

/** The first top-level key of a valid JSON object that occurs twice, which `JSON.parse` does not report. */
function repeatedKey(json: string): string | null {
  const seen = new Set<string>();
  let depth = 0;
  for (const match of json.matchAll(/("(?:[^"\\]|\\.)*")(\s*:)?|[{}[\]]/g)) {
    const [token, string, colon] = match;
    if (string === undefined) depth += token === "{" || token === "[" ? 1 : -1;
    else if (depth === 1 && colon !== undefined) {
      const key = JSON.parse(string) as string;
      if (seen.has(key)) return key;
      seen.add(key);
    }
  }
  return null;
}
