/**
 * Writing safetensors files, one tensor in memory at a time.
 *
 * A file is written beside its destination, synced and renamed, so that a crash or a full disk leaves the old file whole;
 * an open memory map of the old file stays valid too.
 */
import {
  bytesOf,
  bytesPerElement,
  type DType,
  formatType,
  type HostTensor,
  sameType,
  type TensorType,
} from "@tessera/core";
import { type FileEntry, fileOf, type Folder, folderOf, writeText } from "./files.ts";
import { maxHeaderBytes } from "./safetensors_header.ts";

/** A tensor to be written: its type is known at once, its values when its turn comes. */
export interface TensorSource {
  /** The name of the tensor in the file. */
  readonly name: string;
  /** The shape and dtype that `read` will give. */
  readonly type: TensorType;
  /** Gives the values; called once, when the tensors before it are on disk. */
  read(): HostTensor | Promise<HostTensor>;
}

/** How a checkpoint is written. */
export interface WriteCheckpointOptions {
  /** The most data in one file, in bytes; 5 GB unless given. A tensor that is larger gets a file of its own. */
  readonly maxShardBytes?: number;
  /** Free-form strings for the header of every file. */
  readonly metadata?: Readonly<Record<string, string>>;
}

/** Transformers refuses a file without this entry. */
const defaultMetadata = { format: "pt" };

const names: { readonly [D in DType]: string } = {
  float32: "F32",
  bfloat16: "BF16",
  float16: "F16",
  int32: "I32",
  uint8: "U8",
  bool: "BOOL",
};

/**
 * Writes tensors as one safetensors file, which replaces the old one only when it is complete.
 *
 * @throws {RangeError} when two tensors have one name or the header is too long.
 * @throws {TypeError} when a tensor is not of the type that was announced.
 */
export async function writeSafetensors(
  to: string | FileEntry,
  tensors: Iterable<TensorSource>,
  metadata: Readonly<Record<string, string>> = defaultMetadata,
): Promise<void> {
  const file = fileOf(to);
  const { path } = file;
  const sources = inOrder(tensors);
  const header = encodeHeader(path, sources, metadata);
  await file.write(async (write) => {
    await write(header);
    for (const source of sources) {
      const { dtype, shape, data } = await source.read();
      const found = { dtype, shape };
      if (!sameType(found, source.type) || data.byteLength !== bytesOf(source.type)) {
        throw new TypeError(
          `Cannot write "${source.name}" to "${path}": expected ${formatType(source.type)}, ` +
            `found ${formatType(found)} with ${data.length} elements`,
        );
      }
      await write(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    }
  });
}

/**
 * Writes tensors as a checkpoint folder: `model.safetensors`, or several files and `model.safetensors.index.json`.
 *
 * Each file is replaced whole and the index comes last; files of an earlier checkpoint that the new one does not use are removed.
 *
 * @throws {RangeError} when two tensors have one name.
 * @throws {TypeError} when a tensor is not of the type that was announced.
 */
export async function writeCheckpoint(
  to: string | Folder,
  tensors: Iterable<TensorSource>,
  options: WriteCheckpointOptions = {},
): Promise<void> {
  const folder = folderOf(to);
  const all = [...tensors];
  checkNames(folder.path, all);
  const shards = split(all, options.maxShardBytes ?? 5e9);
  const files = shards.map((_, i) => shardName(i, shards.length));
  for (const [i, shard] of shards.entries()) {
    await writeSafetensors(folder.file(files[i]!), shard, options.metadata);
  }
  const kept = new Set(files);
  if (shards.length > 1) {
    kept.add(indexName);
    const weight_map = Object.fromEntries(shards.flatMap((shard, i) => shard.map(({ name }) => [name, files[i]])));
    const total_size = all.reduce((sum, { type }) => sum + bytesOf(type), 0);
    const index = JSON.stringify({ metadata: { total_size }, weight_map }, null, 2) + "\n";
    await writeText(folder.file(indexName), index);
  }
  for (const name of await folder.list() ?? []) {
    if (ownName.test(name) && !kept.has(name)) await folder.file(name).remove();
  }
}

const indexName = "model.safetensors.index.json";
const ownName = /^model(-\d{5}-of-\d{5})?\.safetensors$|^model\.safetensors\.index\.json$/;

function shardName(index: number, count: number): string {
  if (count === 1) return "model.safetensors";
  const digits = (value: number) => String(value).padStart(5, "0");
  return `model-${digits(index + 1)}-of-${digits(count)}.safetensors`;
}

/** Fills files in the given order; there is at least one. */
function split(sources: readonly TensorSource[], maxBytes: number): TensorSource[][] {
  const shards: TensorSource[][] = [[]];
  let bytes = 0;
  for (const source of sources) {
    const size = bytesOf(source.type);
    if (bytes > 0 && bytes + size > maxBytes) {
      shards.push([]);
      bytes = 0;
    }
    shards.at(-1)!.push(source);
    bytes += size;
  }
  return shards;
}

/** Widest elements first, otherwise as given: every tensor is then aligned to its element size. */
function inOrder(tensors: Iterable<TensorSource>): TensorSource[] {
  return [...tensors].sort((a, b) => bytesPerElement(b.type.dtype) - bytesPerElement(a.type.dtype));
}

function checkNames(path: string, sources: readonly TensorSource[]): void {
  const seen = new Set(["__metadata__"]);
  for (const { name } of sources) {
    if (seen.has(name)) {
      const why = name === "__metadata__" ? "the format reserves that name" : "two tensors have that name";
      throw new RangeError(`Cannot write "${name}" to "${path}": ${why}`);
    }
    seen.add(name);
  }
}

/** The length and the header, padded with spaces so that the data begins at a multiple of 8 bytes. */
function encodeHeader(
  path: string,
  sources: readonly TensorSource[],
  metadata: Readonly<Record<string, string>>,
): Uint8Array<ArrayBuffer> {
  checkNames(path, sources);
  let end = 0;
  const entries: [string, unknown][] = sources.map(({ name, type }) => {
    const begin = end;
    end += bytesOf(type);
    return [name, { dtype: names[type.dtype], shape: type.shape, data_offsets: [begin, end] }];
  });
  const text = new TextEncoder().encode(toJson([["__metadata__", metadata], ...entries]));
  const length = Math.ceil(text.length / 8) * 8;
  if (length > maxHeaderBytes) {
    throw new RangeError(
      `Cannot write "${path}": its header takes ${length} bytes, the most allowed is ${maxHeaderBytes}`,
    );
  }
  const bytes = new Uint8Array(8 + length).fill(0x20);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(length), true);
  bytes.set(text, 8);
  return bytes;
}

/** An object as JSON with its keys in the given order, which a JavaScript object would not keep for names such as "0". */
function toJson(entries: readonly [string, unknown][]): string {
  return `{${entries.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`).join(",")}}`;
}
