/**
 * The bytes of a file, as a memory map where the system allows it and as positioned reads elsewhere.
 *
 * A map costs no memory of its own: pages come in when they are touched and go again under pressure, so a checkpoint larger
 * than memory opens at once. It is private and writable (`MAP_PRIVATE`, `PROT_WRITE`): writing to a view copies the page
 * and never reaches the file. Mapping calls the C library, which takes the FFI permission for every library (`--allow-ffi`).
 *
 * Ownership: a map stays until its file is closed **and** every buffer that it handed out has been collected, so a view
 * never points at nothing. Native code that was given the address of a view must keep the view itself alive.
 * The file must not be truncated in place while it is open, as with any memory map; replacing it by a rename is safe.
 */

import type { FileBytes, OpenOptions } from "./files.ts";

/**
 * Opens a file for reading.
 *
 * @throws {Error} when the path is missing, unreadable or not a file.
 */
export async function openBytes(path: string, options: OpenOptions = {}): Promise<FileBytes> {
  let stat: Deno.FileInfo;
  try {
    stat = await Deno.stat(path);
  } catch (cause) {
    const reason = cause instanceof Deno.errors.NotFound ? "there is no such file" : (cause as Error).message;
    throw new Error(`Cannot open "${path}": ${reason}`, { cause });
  }
  if (!stat.isFile) throw new Error(`Cannot open "${path}": it is not a file`);
  const address = options.map ?? true ? mapFile(path, stat.size) : null;
  return address === null ? new ReadFile(path, stat.size) : new MappedFile(path, stat.size, address);
}

/** A file that is read in chunks. */
class ReadFile implements FileBytes {
  readonly mapped = false;
  readonly #file: Deno.FsFile;
  #open = true;

  constructor(readonly path: string, readonly size: number) {
    this.#file = Deno.openSync(path);
  }

  buffer(begin: number, end: number): ArrayBuffer {
    const bytes = new Uint8Array(end - begin);
    this.copy(begin, bytes);
    return bytes.buffer;
  }

  copy(begin: number, target: Uint8Array<ArrayBuffer>): void {
    checkOpen(this.path, this.#open);
    this.#file.seekSync(begin, Deno.SeekMode.Start);
    for (let done = 0; done < target.length;) {
      const count = this.#file.readSync(target.subarray(done));
      if (count === null) {
        throw new RangeError(
          `Cannot read "${this.path}": it ends at byte ${begin + done} of ${this.size}; it was cut short while open`,
        );
      }
      done += count;
    }
  }

  release(): void {}

  close(): void {
    if (this.#open) this.#file.close();
    this.#open = false;
  }
}

/** A file in the address space of the process. */
class MappedFile implements FileBytes {
  readonly mapped = true;
  readonly #map: Mapping;
  #open = true;

  constructor(readonly path: string, readonly size: number, address: Deno.PointerObject) {
    this.#map = { address, size, holders: 0 };
    hold(this, this.#map);
  }

  buffer(begin: number, end: number, alignment: number): ArrayBuffer {
    checkOpen(this.path, this.#open);
    if (begin % alignment !== 0 || begin === end) {
      const bytes = new Uint8Array(end - begin);
      this.copy(begin, bytes);
      return bytes.buffer;
    }
    const view = Deno.UnsafePointerView.getArrayBuffer(this.#map.address, end - begin, begin);
    hold(view, this.#map);
    return view;
  }

  copy(begin: number, target: Uint8Array<ArrayBuffer>): void {
    checkOpen(this.path, this.#open);
    if (target.length > 0) Deno.UnsafePointerView.copyInto(this.#map.address, target, begin);
  }

  release(begin: number, end: number): void {
    checkOpen(this.path, this.#open);
    // Pages that reach beyond the range stay.
    const [from, to] = [Math.ceil(begin / pageBytes) * pageBytes, Math.floor(end / pageBytes) * pageBytes];
    if (to <= from) return;
    const start = Deno.UnsafePointer.offset(this.#map.address, from);
    withLibc((libc) => libc.madvise(start, BigInt(to - from), adviseDontNeed));
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    holders.unregister(this);
    release(this.#map);
  }
}

function checkOpen(path: string, open: boolean): void {
  if (!open) throw new Error(`Cannot read "${path}": it was closed; read what is needed before close()`);
}

/** A mapped range of memory, unmapped when nothing holds it any more. */
interface Mapping {
  readonly address: Deno.PointerObject;
  readonly size: number;
  holders: number;
}

const holders = new FinalizationRegistry<Mapping>(release);

function hold(holder: object, map: Mapping): void {
  map.holders++;
  holders.register(holder, map, holder);
}

function release(map: Mapping): void {
  if (--map.holders === 0) withLibc((libc) => libc.munmap(map.address, BigInt(map.size)));
}

const symbols = {
  open: { parameters: ["buffer", "i32"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
  // off_t has 64 bits on every system that Deno runs on.
  mmap: { parameters: ["pointer", "usize", "i32", "i32", "i32", "i64"], result: "pointer" },
  munmap: { parameters: ["pointer", "usize"], result: "i32" },
  madvise: { parameters: ["pointer", "usize", "i32"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

/** The C library and the value of `MAP_NORESERVE`, by system; positioned reads serve the systems that are not listed. */
const systems: Partial<Record<typeof Deno.build.os, { libc: string; noReserve: number }>> = {
  linux: { libc: "libc.so.6", noReserve: 0x4000 },
  darwin: { libc: "libSystem.B.dylib", noReserve: 0x40 },
};
const protReadWrite = 1 | 2;
const mapPrivate = 2;
/** `MADV_DONTNEED`. */
const adviseDontNeed = 4;
/** The largest page that one of these systems has by default. */
const pageBytes = 2 ** 16;
const mapFailed = 0xffff_ffff_ffff_ffffn;

/**
 * Runs `use` with the C library, or gives null where it cannot be called.
 *
 * The library is loaded for each call: that costs well below a millisecond and leaves no resource open.
 */
function withLibc<T>(use: (libc: Deno.DynamicLibrary<typeof symbols>["symbols"], noReserve: number) => T): T | null {
  const system = systems[Deno.build.os];
  // Asked first, because loading without the permission would prompt.
  if (system === undefined || Deno.permissions.querySync({ name: "ffi" }).state !== "granted") return null;
  let library: Deno.DynamicLibrary<typeof symbols>;
  try {
    library = Deno.dlopen(system.libc, symbols);
  } catch {
    return null;
  }
  try {
    return use(library.symbols, system.noReserve);
  } finally {
    library.close();
  }
}

/** The address of a private map of the whole file, or null where mapping is not possible. */
function mapFile(path: string, size: number): Deno.PointerObject | null {
  if (size === 0) return null;
  return withLibc((libc, noReserve) => {
    const descriptor = libc.open(new TextEncoder().encode(`${path}\0`), 0);
    if (descriptor < 0) return null;
    // Without MAP_NORESERVE, Linux refuses a private writable map that is larger than memory.
    const address = libc.mmap(null, BigInt(size), protReadWrite, mapPrivate | noReserve, descriptor, 0n);
    libc.close(descriptor);
    return address === null || Deno.UnsafePointer.value(address) === mapFailed ? null : address;
  });
}
