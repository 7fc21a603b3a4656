/**
 * A folder in memory: files that a user gave to a page, that a page fetched, or that are written to it.
 *
 * A `Blob` is a handle to bytes that the browser keeps, for a picked file on the user's disk: a checkpoint is read from it
 * tensor by tensor and is never in memory as a whole. Reading on the spot takes a worker, which has `FileReaderSync`;
 * where there is none, a file is read whole when it is opened.
 */
import type { FileBytes, FileEntry, Folder, WriteBytes } from "./files.ts";

/** A folder in memory. */
export interface BlobFolder extends Folder {
  /** The files in it, by name. */
  readonly files: ReadonlyMap<string, Blob>;
}

/** A file that was picked, or bytes that are to be known by a name. */
export type NamedBlob = File | readonly [name: string, content: Blob];

/**
 * Makes a folder of files, which messages call by `path`. Only names count, so the files of one folder belong together.
 *
 * @throws {Error} when two files have one name.
 */
export function blobFolder(files: Iterable<NamedBlob> = [], path = "the given files"): BlobFolder {
  const all = new Map<string, Blob>();
  for (const entry of files) {
    const [name, content] = entry instanceof Blob ? [entry.name, entry] : entry;
    if (all.has(name)) {
      throw new Error(`Cannot use ${path}: two files are called "${name}"; give the files of one folder only`);
    }
    all.set(name, content);
  }
  return new OpenBlobFolder(path, all);
}

/**
 * Fetches files that lie side by side under an address, which need not list them.
 *
 * @throws {Error} when one cannot be fetched.
 */
export async function fetchFolder(address: string | URL, names: readonly string[]): Promise<BlobFolder> {
  const base = String(address).replace(/\/?$/, "/");
  const files = await Promise.all(names.map(async (name) => {
    const response = await fetch(base + name);
    if (!response.ok) throw new Error(`Cannot fetch "${base}${name}": the server answered ${response.status}`);
    return [name, await response.blob()] as const;
  }));
  return blobFolder(files, base);
}

class OpenBlobFolder implements BlobFolder {
  readonly #files: Map<string, Blob>;

  constructor(readonly path: string, files: Map<string, Blob>) {
    this.#files = files;
  }

  get files(): ReadonlyMap<string, Blob> {
    return this.#files;
  }

  file(name: string): FileEntry {
    return new BlobFile(`${this.path}/${name}`, name, this.#files);
  }

  list(): Promise<string[]> {
    return Promise.resolve([...this.#files.keys()]);
  }
}

class BlobFile implements FileEntry {
  readonly #name: string;
  readonly #files: Map<string, Blob>;

  constructor(readonly path: string, name: string, files: Map<string, Blob>) {
    this.#name = name;
    this.#files = files;
  }

  exists(): Promise<boolean> {
    return Promise.resolve(this.#files.has(this.#name));
  }

  async text(): Promise<string | null> {
    return await this.#files.get(this.#name)?.text() ?? null;
  }

  // deno-lint-ignore require-await -- a missing file is a rejection
  async stream(): Promise<ReadableStream<Uint8Array<ArrayBuffer>>> {
    return this.#content("read").stream();
  }

  // deno-lint-ignore require-await -- a missing file is a rejection
  async blob(): Promise<Blob> {
    return this.#content("read");
  }

  async open(): Promise<FileBytes> {
    return await openBlob(this.path, this.#content("open"));
  }

  async write(fill: (write: WriteBytes) => Promise<void>): Promise<void> {
    const parts: Blob[] = [];
    // As blobs, the bytes are the browser's to keep, and the caller may use its memory again.
    await fill((bytes) => {
      parts.push(new Blob([bytes as Uint8Array<ArrayBuffer>]));
      return Promise.resolve();
    });
    this.#files.set(this.#name, new Blob(parts));
  }

  remove(): Promise<void> {
    this.#files.delete(this.#name);
    return Promise.resolve();
  }

  #content(verb: string): Blob {
    const content = this.#files.get(this.#name);
    if (content === undefined) throw new Error(`Cannot ${verb} "${this.path}": there is no such file`);
    return content;
  }
}

/** The part of the browser's `FileReaderSync` that is used; Deno and pages have none, workers do. */
interface SyncReader {
  readAsArrayBuffer(blob: Blob): ArrayBuffer;
}

async function openBlob(path: string, blob: Blob): Promise<FileBytes> {
  const { FileReaderSync } = globalThis as { FileReaderSync?: new () => SyncReader };
  if (FileReaderSync !== undefined) {
    const reader = new FileReaderSync();
    return new BlobBytes(path, blob.size, (begin, end) => reader.readAsArrayBuffer(blob.slice(begin, end)));
  }
  const whole = await blob.arrayBuffer();
  return new BlobBytes(path, blob.size, (begin, end) => whole.slice(begin, end));
}

class BlobBytes implements FileBytes {
  readonly mapped = false;
  #read: ((begin: number, end: number) => ArrayBuffer) | null;

  constructor(readonly path: string, readonly size: number, read: (begin: number, end: number) => ArrayBuffer) {
    this.#read = read;
  }

  buffer(begin: number, end: number): ArrayBuffer {
    if (this.#read === null) {
      throw new Error(`Cannot read "${this.path}": it was closed; read what is needed before close()`);
    }
    return this.#read(begin, end);
  }

  copy(begin: number, target: Uint8Array<ArrayBuffer>): void {
    target.set(new Uint8Array(this.buffer(begin, begin + target.length)));
  }

  release(): void {}

  close(): void {
    this.#read = null;
  }
}
