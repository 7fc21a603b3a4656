/**
 * A checkpoint folder as one store of tensors, be it `model.safetensors` or an index with shards.
 *
 * As in Transformers, `model.safetensors` wins where both are present.
 */
import { z } from "zod";
import type { HostTensor } from "@tessera/core";
import { type Folder, folderOf, type OpenOptions } from "./files.ts";
import { readJson } from "./json_file.ts";
import { CheckpointError, CheckpointRangeError, didYouMean, listNames } from "@tessera/text";
import {
  type AxisRange,
  openSafetensors,
  type ReadOptions,
  type SafetensorsFile,
  type TensorStore,
} from "./safetensors.ts";
import type { TensorInfo } from "./safetensors_header.ts";

/** The tensors of a checkpoint folder, over all its files. */
export interface Checkpoint extends TensorStore {
  /** The folder. */
  readonly folder: string;
  /** The names of the files that hold the tensors. */
  readonly files: readonly string[];
}

/** The name of a checkpoint that is one file. */
export const singleName = "model.safetensors";
/** The name of the index of a checkpoint in shards. */
export const indexName = "model.safetensors.index.json";

const indexSchema = z.looseObject({ weight_map: z.record(z.string(), z.string()) });

/** The file of each tensor, by the index of a folder. Throws when there is none, or one that is malformed. */
export async function readIndex(folder: Folder): Promise<Record<string, string>> {
  return (await readJson(folder.file(indexName), indexSchema)).weight_map;
}

/** What to do with weights in another format, by file name extension. */
const otherFormats: { readonly [extension: string]: string } = {
  bin: "load it with Transformers and save it with save_pretrained(folder, safe_serialization=True)",
  pt: "load it with Transformers and save it with save_pretrained(folder)",
  pth: "convert it with Transformers' convert_*_weights_to_hf.py script and save_pretrained(folder)",
  gguf: "load it with Transformers' from_pretrained(folder, gguf_file=...) and save it with save_pretrained(folder)",
  h5: "load it with Keras and export it with export_to_transformers(folder)",
  msgpack:
    "load it with Transformers' from_pretrained(folder, from_flax=True) and save it with save_pretrained(folder)",
};

/**
 * Opens the checkpoint in a folder: every header is checked, no data is read.
 *
 * @throws {Error} when the folder or a file is missing, or the files contradict the index.
 * @throws {SyntaxError} when an index or header is malformed.
 * @throws {RangeError} when a file is damaged.
 */
export async function openCheckpoint(from: string | Folder, options: OpenOptions = {}): Promise<Checkpoint> {
  const source = folderOf(from);
  const { path: folder } = source;
  const present = await listFiles(source);
  if (present.has(singleName)) {
    return new OpenCheckpoint(
      folder,
      new Map([[singleName, await openSafetensors(source.file(singleName), options)]]),
    );
  }
  if (!present.has(indexName)) {
    throw new CheckpointError(`Cannot open the checkpoint "${folder}": ${otherWeights(present)}`);
  }

  const weights = await readIndex(source);
  const names = [...new Set(Object.values(weights))];
  const missing = names.filter((name) => !present.has(name));
  if (missing.length > 0) {
    throw new CheckpointError(
      `Cannot open the checkpoint "${folder}": "${indexName}" names ${listNames(missing)}, ` +
        `which the folder lacks; download the missing files`,
    );
  }
  const files = new Map<string, SafetensorsFile>();
  try {
    for (const name of names) files.set(name, await openSafetensors(source.file(name), options));
    for (const [name, file] of files) {
      const lacking = Object.keys(weights).filter((tensor) => weights[tensor] === name && !file.tensors.has(tensor));
      if (lacking.length === 0) continue;
      throw new CheckpointError(
        `Cannot open the checkpoint "${folder}": "${indexName}" promises ${listNames(lacking)} in "${name}", ` +
          `which holds no such tensor; download both files again`,
      );
    }
    return new OpenCheckpoint(folder, files);
  } catch (error) {
    for (const file of files.values()) file.close();
    throw error;
  }
}

async function listFiles(folder: Folder): Promise<Set<string>> {
  const names = await folder.list();
  if (names !== null) return new Set(names);
  throw new CheckpointError(
    `Cannot open the checkpoint "${folder.path}": there is no such folder; check the path or download the model`,
  );
}

/** What these files are instead of a checkpoint, and what to do with them. */
export function otherWeights(present: ReadonlySet<string>): string {
  const nothing = `found neither "${singleName}" nor "${indexName}"`;
  for (const name of [...present].sort()) {
    const advice = otherFormats[name.slice(name.lastIndexOf(".") + 1)];
    if (advice !== undefined) return `${nothing}, but "${name}": ${advice}`;
  }
  const others = [...present].filter((name) => name.endsWith(".safetensors")).sort();
  if (others.length > 0) return `${nothing}, but ${listNames(others)}: rename it, or download the index too`;
  return `${nothing}; download the model's weights into the folder`;
}

class OpenCheckpoint implements Checkpoint {
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly metadata: Readonly<Record<string, string>>;
  readonly #files: ReadonlyMap<string, SafetensorsFile>;
  readonly #fileOf: ReadonlyMap<string, SafetensorsFile>;

  constructor(readonly folder: string, files: ReadonlyMap<string, SafetensorsFile>) {
    const tensors = new Map<string, TensorInfo>();
    const fileOf = new Map<string, SafetensorsFile>();
    for (const [name, file] of files) {
      for (const [tensor, info] of file.tensors) {
        const other = fileOf.get(tensor);
        if (other !== undefined) {
          throw new CheckpointError(
            `Cannot open the checkpoint "${folder}": "${tensor}" is in "${other.path}" and in "${file.path}"; ` +
              `remove the file that belongs to another checkpoint, or download "${name}" again`,
          );
        }
        tensors.set(tensor, info);
        fileOf.set(tensor, file);
      }
    }
    this.tensors = tensors;
    this.metadata = Object.assign({}, ...[...files.values()].map((file) => file.metadata));
    this.#files = files;
    this.#fileOf = fileOf;
  }

  get files(): readonly string[] {
    return [...this.#files.keys()];
  }

  read(name: string, options: ReadOptions = {}): HostTensor {
    return this.#find(name).read(name, options);
  }

  readSlice(name: string, ranges: readonly AxisRange[], options: ReadOptions = {}): HostTensor {
    return this.#find(name).readSlice(name, ranges, options);
  }

  release(name: string): void {
    this.#find(name).release(name);
  }

  close(): void {
    for (const file of this.#files.values()) file.close();
  }

  #find(name: string): SafetensorsFile {
    const file = this.#fileOf.get(name);
    if (file !== undefined) return file;
    throw new CheckpointRangeError(
      `Cannot read "${name}" from the checkpoint "${this.folder}": it has no such tensor` +
        didYouMean(name, this.tensors.keys()),
    );
  }
}
