/** The file system of this machine, through Deno. */
import { dirname, isAbsolute, join } from "node:path";
import { DiskBlob } from "./disk_blob.ts";
import { openBytes } from "./file_bytes.ts";
import type { FileBytes, FileEntry, Folder, OpenOptions, WriteBytes } from "./files.ts";

/** The folder at a path. */
export function diskFolder(path: string): Folder {
  return new DiskFolder(path);
}

/** The file at a path. */
export function diskFile(path: string): FileEntry {
  return new DiskFile(path);
}

/** Whether a path leads to a folder. */
export async function isFolder(path: string): Promise<boolean> {
  try {
    return (await Deno.stat(path)).isDirectory;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return false;
    throw error;
  }
}

/** The path that a file names, which starts, unless it is absolute, at the folder of that file. */
export function pathBeside(file: string, path: string): string {
  return isAbsolute(path) ? path : join(dirname(file), path);
}

/**
 * A blob whose streams tell how many bytes they have read since they began; one that is no file of this machine stays as it is and
 * tells nothing.
 */
export function countedBlob(blob: Blob, onRead: (done: number) => void): Blob {
  return blob instanceof DiskBlob ? blob.counted(onRead) : blob;
}

/** A variable of the environment; undefined when it is not set. */
export function environmentVariable(name: string): string | undefined {
  return Deno.env.get(name);
}

class DiskFolder implements Folder {
  constructor(readonly path: string) {}

  file(name: string): FileEntry {
    return diskFile(`${this.path}/${name}`);
  }

  async list(): Promise<string[] | null> {
    const names = [];
    try {
      for await (const { name, isDirectory } of Deno.readDir(this.path)) if (!isDirectory) names.push(name);
    } catch (cause) {
      if (cause instanceof Deno.errors.NotFound || cause instanceof Deno.errors.NotADirectory) return null;
      throw new Error(`Cannot list "${this.path}": ${(cause as Error).message}`, { cause });
    }
    return names;
  }
}

class DiskFile implements FileEntry {
  constructor(readonly path: string) {}

  async exists(): Promise<boolean> {
    return await Deno.stat(this.path).then(({ isFile }) => isFile, () => false);
  }

  async text(): Promise<string | null> {
    try {
      return await Deno.readTextFile(this.path);
    } catch (cause) {
      if (cause instanceof Deno.errors.NotFound) return null;
      throw new Error(`Cannot read "${this.path}": ${(cause as Error).message}`, { cause });
    }
  }

  async stream(): Promise<ReadableStream<Uint8Array<ArrayBuffer>>> {
    const fail = (problem: string, cause?: unknown): never => {
      throw new Error(`Cannot read "${this.path}": ${problem}`, { cause });
    };
    try {
      const file = await Deno.open(this.path);
      if ((await file.stat()).isDirectory) {
        file.close();
        fail("it is a folder, expected a file");
      }
      return file.readable;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) fail("there is no such file", error);
      if (error instanceof Deno.errors.IsADirectory) fail("it is a folder, expected a file", error);
      throw error;
    }
  }

  async blob(): Promise<Blob> {
    try {
      const { isFile, size } = await Deno.stat(this.path);
      if (isFile) return new DiskBlob(this.path, 0, size);
    } catch (cause) {
      if (!(cause instanceof Deno.errors.NotFound)) throw cause;
      throw new Error(`Cannot read "${this.path}": there is no such file`, { cause });
    }
    throw new Error(`Cannot read "${this.path}": it is not a file`);
  }

  async open(options: OpenOptions = {}): Promise<FileBytes> {
    return await openBytes(this.path, options);
  }

  async write(fill: (write: WriteBytes) => Promise<void>): Promise<void> {
    const folder = this.path.slice(0, Math.max(0, this.path.lastIndexOf("/")));
    if (folder !== "") await Deno.mkdir(folder, { recursive: true });
    const temporary = `${this.path}.tmp-${crypto.randomUUID().slice(0, 8)}`;
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
      await Deno.rename(temporary, this.path);
    } catch (error) {
      await Deno.remove(temporary).catch(() => {});
      throw error;
    }
  }

  async remove(): Promise<void> {
    await Deno.remove(this.path);
  }
}
