/**
 * Folders and files, wherever they are: on this machine by path, or in memory, as in a page that a user gave files to.
 *
 * Everything that reads or writes checkpoints takes a path or a `Folder`. A path means this machine's file system, which
 * only Deno has; `disk.ts` is the one module that touches it, and bundlers put `no_disk.ts` in its place for a browser.
 */
import { diskFile, diskFolder } from "./disk.ts";

/** Read access to the bytes of one open file. */
export interface FileBytes {
  /** The file. */
  readonly path: string;
  /** Its size when it was opened, in bytes. */
  readonly size: number;
  /** Whether buffers are views of a memory map. */
  readonly mapped: boolean;
  /** The bytes from `begin` to `end`: a view when the file is mapped and `begin` is a multiple of `alignment`, else a copy. */
  buffer(begin: number, end: number, alignment: number): ArrayBuffer;
  /** Fills `target` with the bytes from `begin` on. */
  copy(begin: number, target: Uint8Array<ArrayBuffer>): void;
  /** Frees the memory of a map from `begin` to `end`, until it is read again; what was written there is lost. */
  release(begin: number, end: number): void;
  /** Gives up the file; buffers stay valid. */
  close(): void;
}

/** How a file is opened. */
export interface OpenOptions {
  /** Whether to use a memory map where possible; true unless given. */
  readonly map?: boolean;
}

/** Adds bytes to the end of a file that is being written. */
export type WriteBytes = (bytes: Uint8Array) => Promise<void>;

/** A file that is there, or that may come to be there. */
export interface FileEntry {
  /** Where it is, for messages. */
  readonly path: string;
  /** Whether there is a file. */
  exists(): Promise<boolean>;
  /** Its content as text, or null when there is no such file. Throws when it cannot be read. */
  text(): Promise<string | null>;
  /** Its content from the beginning. Throws when there is no such file. */
  stream(): Promise<ReadableStream<Uint8Array<ArrayBuffer>>>;
  /** Its content as a blob, which is read when it is used. Throws when there is no such file. */
  blob(): Promise<Blob>;
  /** Opens it for reading anywhere. Throws when there is no such file. */
  open(options?: OpenOptions): Promise<FileBytes>;
  /** Replaces it, and makes its folder, once `fill` has written everything; when that fails, it stays as it was. */
  write(fill: (write: WriteBytes) => Promise<void>): Promise<void>;
  /** Removes it. Throws when there is no such file. */
  remove(): Promise<void>;
}

/** A folder of files. */
export interface Folder {
  /** Where it is, for messages. */
  readonly path: string;
  /** The file of a name, whether it is there or not. */
  file(name: string): FileEntry;
  /** The names of the files in it, folders left out, or null when there is no such folder. Throws when it cannot be read. */
  list(): Promise<string[] | null>;
}

/** A folder, whose path on this machine stands for it. */
export function folderOf(folder: string | Folder): Folder {
  return typeof folder === "string" ? diskFolder(folder) : folder;
}

/** A file, whose path on this machine stands for it. */
export function fileOf(file: string | FileEntry): FileEntry {
  return typeof file === "string" ? diskFile(file) : file;
}

/** Replaces a file by a text. */
export async function writeText(file: FileEntry, text: string): Promise<void> {
  await file.write((write) => write(new TextEncoder().encode(text)));
}
