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
 * Writes tensors as one safetensors file, which replaces `path` only when it is complete.
 *
 * @throws {RangeError} when two tensors have one name or the header is too long.
 * @throws {TypeError} when a tensor is not of the type that was announced.
 */
export async function writeSafetensors(
  path: string,
  tensors: Iterable<TensorSource>,
  metadata: Readonly<Record<string, string>> = defaultMetadata,
): Promise<void> {
  const sources = inOrder(tensors);
  const header = encodeHeader(path, sources, metadata);
  await replaceFile(path, async (write) => {
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
 * Each file is replaced whole and the index comes last; files of an earlier checkpoint that the new one has no use for are removed.
 *
 * @throws {RangeError} when two tensors have one name.
 * @throws {TypeError} when a tensor is not of the type that was announced.
 */
export async function writeCheckpoint(
  folder: string,
  tensors: Iterable<TensorSource>,
  options: WriteCheckpointOptions = {},
): Promise<void> {
  const all = [...tensors];
  checkNames(folder, all);
  const shards = split(all, options.maxShardBytes ?? 5e9);
  const files = shards.map((_, i) => shardName(i, shards.length));
  await Deno.mkdir(folder, { recursive: true });
  for (const [i, shard] of shards.entries()) {
    await writeSafetensors(`${folder}/${files[i]}`, shard, options.metadata);
  }
  const kept = new Set(files);
  if (shards.length > 1) {
    kept.add(indexName);
    const weight_map = Object.fromEntries(shards.flatMap((shard, i) => shard.map(({ name }) => [name, files[i]])));
    const total_size = all.reduce((sum, { type }) => sum + bytesOf(type), 0);
    const index = JSON.stringify({ metadata: { total_size }, weight_map }, null, 2) + "\n";
    await replaceFile(`${folder}/${indexName}`, (write) => write(new TextEncoder().encode(index)));
  }
  for await (const { name } of Deno.readDir(folder)) {
    if (ownName.test(name) && !kept.has(name)) await Deno.remove(`${folder}/${name}`);
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

type Write = (bytes: Uint8Array<ArrayBufferLike>) => Promise<void>;

/** Writes a new file and puts it in the place of `path`; a failure leaves `path` as it was. */
async function replaceFile(path: string, fill: (write: Write) => Promise<void>): Promise<void> {
  const temporary = `${path}.tmp-${crypto.randomUUID().slice(0, 8)}`;
  const file = await Deno.open(temporary, { write: true, createNew: true });
  try {
    try {
      await fill(async (bytes) => {
        for (let done = 0; done < bytes.length;) done += await file.write(bytes.subarray(done));
      });
      await file.sync();
    } finally {
      file.close();
    }
    await Deno.rename(temporary, path);
  } catch (error) {
    await Deno.remove(temporary).catch(() => {});
    throw error;
  }
}
