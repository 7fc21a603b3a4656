/**
 * Finds, opens and checks the ONNX Runtime shared library, and turns its C API into TypeScript functions.
 *
 * The library is the one that the npm package `onnxruntime-node` ships. The package's own JavaScript binding is not
 * loaded: it blocks the event loop and copies tensors (see `docs/decisions`).
 */

import { fileURLToPath } from "node:url";
import { type ApiFunction, apiTable, apiVersion, type OrtApi, supportedLibrary } from "./api_table.ts";

/** A platform, in Deno's spelling. */
export interface Platform {
  /** The operating system, as in `Deno.build.os`. */
  readonly os: string;
  /** The processor architecture, as in `Deno.build.arch`. */
  readonly arch: string;
}

/** An opened ONNX Runtime library. */
export interface OrtLibrary {
  /** The C API. */
  readonly api: OrtApi;
  /** The version that the library reports, such as `1.30.0`. */
  readonly version: string;
  /** The file that was opened. */
  readonly path: string;
}

const files: Readonly<Record<string, string>> = {
  "linux-x86_64": "linux/x64/libonnxruntime.so.1",
  "linux-aarch64": "linux/arm64/libonnxruntime.so.1",
  "darwin-aarch64": `darwin/arm64/libonnxruntime.${supportedLibrary.tested}.dylib`,
  "windows-x86_64": "win32/x64/onnxruntime.dll",
  "windows-aarch64": "win32/arm64/onnxruntime.dll",
};

/**
 * The path of the shared library inside the package `onnxruntime-node`, relative to the package's root.
 *
 * @throws {RangeError} when the package has no library for the platform.
 */
export function libraryFile(platform: Platform): string {
  const file = files[`${platform.os}-${platform.arch}`];
  if (file === undefined) {
    throw new RangeError(
      `Cannot run ONNX Runtime on ${platform.os}-${platform.arch}: "onnxruntime-node" ships libraries for ` +
        `${Object.keys(files).join(", ")}; pass "libraryPath" with one built for this platform`,
    );
  }
  return `bin/napi-v6/${file}`;
}

/**
 * The path of the shared library of the installed package `onnxruntime-node`.
 *
 * @throws {RangeError} when the package has no library for the platform.
 * @throws {Error} when the package is not installed.
 */
export function findLibrary(platform: Platform = Deno.build): string {
  const file = libraryFile(platform);
  let entry: string;
  try {
    entry = import.meta.resolve("onnxruntime-node");
  } catch (cause) {
    throw new Error(`Cannot find the package "onnxruntime-node": run "deno install" in the project`, { cause });
  }
  if (!entry.startsWith("file:")) {
    throw new Error(
      `Cannot find the package "onnxruntime-node" on disk (it resolves to ${entry}): run "deno install" in the project`,
    );
  }
  return fileURLToPath(new URL(`../${file}`, entry));
}

/**
 * Opens the ONNX Runtime library and checks that its function table is the one that this package knows.
 *
 * @throws {Error} when the library is missing, may not be opened, or is of an unsupported version.
 */
export function openLibrary(path: string = findLibrary()): OrtLibrary {
  const base = openBase(path);
  const version = base.version();
  checkVersion(version, path);
  const table = base.api(apiVersion);
  if (table === null) {
    throw new Error(`Cannot use ONNX Runtime ${version} at "${path}": it does not serve API version ${apiVersion}`);
  }
  const api = bindApi(table);
  checkTable(api, version, path);
  return { api, version, path };
}

interface Base {
  version(): string;
  api(version: number): Deno.PointerObject | null;
}

function openBase(path: string): Base {
  let library: Deno.DynamicLibrary<{ OrtGetApiBase: { parameters: []; result: "pointer" } }>;
  try {
    library = Deno.dlopen(path, { OrtGetApiBase: { parameters: [], result: "pointer" } });
  } catch (cause) {
    throw explain(cause, path);
  }
  const base = library.symbols.OrtGetApiBase();
  if (base === null) throw new Error(`Cannot use "${path}": OrtGetApiBase returned nothing`);
  const view = new Deno.UnsafePointerView(base);
  const getApi = new Deno.UnsafeFnPointer(view.getPointer(0)!, { parameters: ["u32"], result: "pointer" });
  const getVersion = new Deno.UnsafeFnPointer(view.getPointer(8)!, { parameters: [], result: "pointer" });
  return {
    version: () => Deno.UnsafePointerView.getCString(getVersion.call()!),
    api: (wanted) => getApi.call(wanted),
  };
}

/** The error to show when a library does not open: what went wrong, and what to do about it. */
function explain(cause: unknown, path: string): Error {
  if (cause instanceof Deno.errors.NotCapable) {
    return new Deno.errors.NotCapable(
      `Cannot open ONNX Runtime: calling a native library needs permission; run Deno with --allow-ffi (or -A)`,
      { cause },
    );
  }
  const reason = cause instanceof Error ? cause.message.replace(/^(Could not open library: )+/, "") : String(cause);
  return new Error(
    `Cannot open ONNX Runtime at "${path}": ${reason}; run "deno install" to restore the package "onnxruntime-node", ` +
      `or pass "libraryPath"`,
    { cause },
  );
}

/**
 * Checks that the function table holds for a library version.
 *
 * @throws {Error} when the version is not supported.
 */
export function checkVersion(version: string, path: string): void {
  const [major, minor] = version.split(".").map(Number);
  if (major === supportedLibrary.major && minor !== undefined && minor >= supportedLibrary.minMinor) return;
  throw new Error(
    `Cannot use ONNX Runtime ${version} at "${path}": version ${supportedLibrary.major}.${supportedLibrary.minMinor} or ` +
      `later in the ${supportedLibrary.major}.x line is needed (tested with ${supportedLibrary.tested}); run "deno install"`,
  );
}

/**
 * Makes a status and reads it back, which fails when the functions are not where the table has them.
 */
function checkTable(api: OrtApi, version: string, path: string): void {
  const code = 2;
  const text = "Tessera checks the function table";
  const made = api.createStatus(code, cString(text));
  const foundCode = Number(api.getErrorCode(made));
  const foundText = api.getErrorMessage(made);
  api.releaseStatus(made);
  if (foundCode !== code || foundText !== text) {
    throw new Error(`Cannot use ONNX Runtime ${version} at "${path}": its function table is not the expected one`);
  }
}

type Raw = (...args: readonly unknown[]) => unknown;

const results = { status: "usize", later: "usize", number: "usize", text: "pointer", nothing: "void" } as const;

function bindApi(table: Deno.PointerObject): OrtApi {
  const view = new Deno.UnsafePointerView(table);
  function raw(row: ApiFunction): Raw {
    const f = new Deno.UnsafeFnPointer(view.getPointer(row.index * 8) as Deno.PointerObject<never>, {
      parameters: [...row.parameters],
      result: results[row.returns],
      nonblocking: row.returns === "later",
    });
    return f.call.bind(f) as Raw;
  }
  function rawText(row: ApiFunction): (...args: readonly unknown[]) => string {
    const f = raw(row);
    return (...args) => Deno.UnsafePointerView.getCString(f(...args) as Deno.PointerObject);
  }
  const message = rawText(apiTable.getErrorMessage);
  const code = raw(apiTable.getErrorCode);
  const release = raw(apiTable.releaseStatus);
  /** Throws ONNX Runtime's message when a status is not "ok", and frees the status. */
  function check(status: unknown): void {
    if (status === 0n) return;
    const error = new OrtError(message(status), Number(code(status)));
    release(status);
    throw error;
  }
  const wrap: Record<ApiFunction["returns"], (row: ApiFunction) => Raw> = {
    status: (row) => {
      const f = raw(row);
      return (...args) => check(f(...args));
    },
    later: (row) => {
      const f = raw(row);
      return (...args) => (f(...args) as Promise<unknown>).then(check);
    },
    number: raw,
    nothing: raw,
    text: rawText,
  };
  const rows: [string, ApiFunction][] = Object.entries(apiTable);
  return Object.fromEntries(rows.map(([name, row]) => [name, wrap[row.returns](row)])) as unknown as OrtApi;
}

/** An error that ONNX Runtime reported. */
export class OrtError extends Error {
  /** ONNX Runtime's number for the kind of error (`OrtErrorCode`). */
  readonly code: number;
  /** The name of the class, which printed errors begin with. */
  override readonly name = "OrtError";

  /** Makes an error of ONNX Runtime's message and its number for the kind of error. */
  constructor(message: string, code: number) {
    super(message);
    this.code = code;
  }
}

const encoder = new TextEncoder();

/** Text as a C string: UTF-8 with a zero byte at its end. */
export function cString(text: string): Uint8Array<ArrayBuffer> {
  return encoder.encode(`${text}\0`);
}

/** A path as ONNX Runtime wants it: 16-bit characters on Windows, UTF-8 elsewhere. */
export function pathString(path: string): Uint8Array<ArrayBuffer> {
  if (Deno.build.os !== "windows") return cString(path);
  const units = Uint16Array.from(`${path}\0`, (character) => character.charCodeAt(0));
  return new Uint8Array(units.buffer);
}
