/**
 * NumPy's archives of arrays, `.npz`: a ZIP file whose entries are `.npy` files.
 *
 * Formats: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html.
 */
import { unzipSync } from "fflate";

/** An array of numbers, row-major. */
export interface NpyArray {
  /** The length of each axis. */
  readonly shape: readonly number[];
  /** The elements. */
  readonly data: Float32Array;
}

const magic = "\x93NUMPY";

/** The readers of the dtypes that weights have. */
const readers: Readonly<Record<string, (bytes: ArrayBuffer) => Float32Array>> = {
  "<f4": (bytes) => new Float32Array(bytes),
  "<f8": (bytes) => Float32Array.from(new Float64Array(bytes)),
  "<f2": (bytes) => Float32Array.from(new Float16Array(bytes)),
};

/**
 * The arrays of an archive by name.
 *
 * @throws {SyntaxError} when it is not one, or an entry is damaged.
 * @throws {TypeError} when an array has a dtype or an order that is not read.
 */
export function readNpz(bytes: Uint8Array): Map<string, NpyArray> {
  let entries: Record<string, Uint8Array>;
  try {
    entries = unzipSync(bytes);
  } catch (cause) {
    throw new SyntaxError(`Cannot read an .npz file of ${bytes.length} bytes: it is no ZIP archive`, { cause });
  }
  return new Map(
    Object.entries(entries).map(([file, entry]) => {
      const name = file.replace(/\.npy$/, "");
      return [name, readNpy(name, entry)];
    }),
  );
}

function readNpy(name: string, bytes: Uint8Array): NpyArray {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 12 || String.fromCharCode(...bytes.subarray(0, 6)) !== magic) {
    throw new SyntaxError(`Cannot read "${name}": it is no .npy file`);
  }
  const start = bytes[6] === 1 ? 10 : 12;
  const length = bytes[6] === 1 ? view.getUint16(8, true) : view.getUint32(8, true);
  const header = new TextDecoder().decode(bytes.subarray(start, start + length));
  const dtype = /'descr': '([^']*)'/.exec(header)?.[1] ?? "";
  const shape = (/'shape': \(([^)]*)\)/.exec(header)?.[1] ?? "").split(",").filter((n) => n.trim() !== "").map(Number);
  const read = Object.hasOwn(readers, dtype) ? readers[dtype]! : null;
  if (read === null || header.includes("'fortran_order': True")) {
    throw new TypeError(
      `Cannot read "${name}": it has dtype ${dtype || "unknown"}${read === null ? "" : " in Fortran's order"}; ` +
        `expected one of ${Object.keys(readers).join(", ")} in C's order`,
    );
  }
  const data = read(Uint8Array.from(bytes.subarray(start + length)).buffer);
  if (data.length === shape.reduce((product, axis) => product * axis, 1)) return { shape, data };
  throw new SyntaxError(`Cannot read "${name}": it holds ${data.length} elements, expected [${shape.join(",")}]`);
}
