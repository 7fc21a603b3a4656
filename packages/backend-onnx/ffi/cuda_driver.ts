/** The GPUs that NVIDIA's driver reports, asked of the driver directly: its library has one name and a stable interface. */

import type { Platform } from "./library.ts";

/** A GPU. */
export interface Gpu {
  /** What the driver calls it, such as `NVIDIA H100 80GB HBM3`. */
  readonly name: string;
  /** The size of its memory, in bytes. */
  readonly bytes: number;
}

const driverFiles: Readonly<Record<string, string>> = { linux: "libcuda.so.1", windows: "nvcuda.dll" };

const symbols = {
  cuInit: { parameters: ["u32"], result: "i32" },
  cuDeviceGetCount: { parameters: ["buffer"], result: "i32" },
  cuDeviceGet: { parameters: ["buffer", "i32"], result: "i32" },
  cuDeviceGetName: { parameters: ["buffer", "i32", "i32"], result: "i32" },
  cuDeviceTotalMem_v2: { parameters: ["buffer", "i32"], result: "i32" },
} as const;

/** `CUDA_ERROR_NO_DEVICE`. */
const noDevice = 100;

/**
 * Every GPU that `CUDA_VISIBLE_DEVICES` leaves, in CUDA's order.
 *
 * @throws {Error} when the driver is not installed or does not start, with what to do about it.
 */
export function listGpus({ os }: Pick<Platform, "os"> = Deno.build): Gpu[] {
  const file = driverFiles[os];
  if (file === undefined) throw new Error(`NVIDIA has no driver for ${os}`);
  const { symbols: cuda } = openDriver(file);
  function check(result: number, what: string): void {
    if (result !== 0) throw new Error(`NVIDIA's driver fails to ${what} (CUDA error ${result})`);
  }
  function number(call: (out: Int32Array<ArrayBuffer>) => number, what: string): number {
    const out = new Int32Array(1);
    check(call(out), what);
    return out[0]!;
  }
  const started = cuda.cuInit(0);
  if (started === noDevice) return [];
  check(started, "start");
  const count = number((out) => cuda.cuDeviceGetCount(out), "count its GPUs");
  return Array.from({ length: count }, (_, i) => {
    const device = number((out) => cuda.cuDeviceGet(out, i), `find GPU ${i}`);
    const [name, bytes] = [new Uint8Array(256), new BigUint64Array(1)];
    check(cuda.cuDeviceGetName(name, name.length, device), `name GPU ${i}`);
    check(cuda.cuDeviceTotalMem_v2(bytes, device), `measure GPU ${i}`);
    return { name: new TextDecoder().decode(name.subarray(0, name.indexOf(0))), bytes: Number(bytes[0]!) };
  });
}

function openDriver(file: string): Deno.DynamicLibrary<typeof symbols> {
  try {
    return Deno.dlopen(file, symbols);
  } catch (cause) {
    if (cause instanceof Deno.errors.NotCapable) {
      throw new Deno.errors.NotCapable("Cannot look for NVIDIA's GPUs: run Deno with --allow-ffi (or -A)", { cause });
    }
    throw new Error(
      `NVIDIA's driver (${file}) does not open: install it, and start a container with its GPUs (docker run --gpus all)`,
      { cause },
    );
  }
}
