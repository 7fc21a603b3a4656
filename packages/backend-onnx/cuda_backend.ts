/** The backend that runs graphs on NVIDIA's GPUs with ONNX Runtime. */

import type { Backend, Device } from "@tessera/runtime";
import { checkDevice, virtualDevices } from "@tessera/runtime/support";
import { backendOver, type OnnxBackendOptions } from "./backend.ts";
import type { ArenaUse } from "./ffi/arena.ts";
import { type Gpu, listGpus } from "./ffi/cuda_driver.ts";
import { checkCudnn, findCudaLibrary, loadingObstacle } from "./ffi/cuda_library.ts";
import { cudaPlace } from "./cuda_place.ts";
import { acquireEnvironment } from "./ffi/environment.ts";
import { cudaTarget } from "./lowering/cuda.ts";

/** How the CUDA backend is set up: `deviceCount` is the number of GPUs unless given; more devices than GPUs share them. */
export type CudaBackendOptions = OnnxBackendOptions;

/** ONNX Runtime on NVIDIA's GPUs. */
export interface CudaBackend extends Backend {
  /** The GPUs, in CUDA's order; device number `i` is on the GPU of that number, and those beyond the last start over. */
  readonly gpus: readonly Gpu[];
  /** What the memory of a device's GPU holds: buffers, intermediate values and outputs of all programs. */
  arenaUse(device?: Device): ArenaUse;
}

/** Whether CUDA can be used here. */
export interface CudaPresence {
  /** The GPUs; empty when there are none, or no driver. */
  readonly gpus: readonly Gpu[];
  /** Why they cannot be used; `null` when they can, as far as can be told without loading the engine. */
  readonly obstacle: string | null;
}

/** What is looked for, and how. */
export interface CudaProbes {
  /** Lists the GPUs. */
  readonly gpus: () => readonly Gpu[];
  /** Finds the engine's library. */
  readonly library: (libraryPath?: string) => string;
  /** Says what keeps it from loading. */
  readonly obstacle: (path: string) => string | null;
  /** Looks for cuDNN. */
  readonly cudnn: () => void;
}

const probes: CudaProbes = { gpus: listGpus, library: findCudaLibrary, obstacle: loadingObstacle, cudnn: checkCudnn };

/** Looks for GPUs and everything that ONNX Runtime needs to use them, without starting it. */
export function findCuda(libraryPath?: string, found: Partial<CudaProbes> = {}): CudaPresence {
  const probe = { ...probes, ...found };
  let gpus: readonly Gpu[] = [];
  try {
    gpus = someGpus(probe.gpus);
    const library = probe.library(libraryPath);
    probe.cudnn();
    // Elsewhere the system looks for what a library needs in other places when ONNX Runtime loads it.
    return { gpus, obstacle: Deno.build.os === "linux" ? probe.obstacle(library) : null };
  } catch (error) {
    return { gpus, obstacle: error instanceof Error ? error.message : String(error) };
  }
}

/**
 * Starts ONNX Runtime on the GPUs that NVIDIA's driver has; `CUDA_VISIBLE_DEVICES` chooses among them.
 *
 * @throws {RangeError} when the platform has no CUDA engine.
 * @throws {Error} when there is no GPU or no driver, or the engine or something that it needs is missing, with what to do.
 */
export function cudaBackend(options: CudaBackendOptions = {}, found: Partial<CudaProbes> = {}): CudaBackend {
  const { deviceCount, session = {}, ...environmentOptions } = options;
  const probe = { ...probes, ...found };
  const gpus = someGpus(probe.gpus);
  const libraryPath = probe.library(options.libraryPath);
  probe.cudnn();
  const devices = virtualDevices("cuda", deviceCount ?? gpus.length);
  const environment = acquireEnvironment(environmentOptions);
  const place = (device: Device) => {
    const index = devices.indexOf(device) % gpus.length;
    return cudaPlace(environment, libraryPath, gpus[index]!, index);
  };
  try {
    place(devices[0]!);
  } catch (error) {
    environment.release();
    throw error;
  }
  return {
    ...backendOver("onnx-cuda", devices, { environment, target: cudaTarget, options: session, placeOf: place }),
    gpus,
    arenaUse: (device = devices[0]!) => place(checkDevice("onnx-cuda", devices, device)).arenaUse(),
  };
}

/** The GPUs; at least one. */
function someGpus(list: () => readonly Gpu[]): readonly Gpu[] {
  let gpus: readonly Gpu[];
  try {
    gpus = list();
  } catch (cause) {
    if (cause instanceof Deno.errors.NotCapable) throw cause;
    throw new Error(`Cannot use CUDA: ${cause instanceof Error ? cause.message : cause}`, { cause });
  }
  if (gpus.length > 0) return gpus;
  const chosen = Deno.env.get("CUDA_VISIBLE_DEVICES");
  throw new Error(
    "Cannot use CUDA: NVIDIA's driver finds no GPU" +
      (chosen === undefined ? "" : ` among those that CUDA_VISIBLE_DEVICES="${chosen}" names`) +
      '; open "webgpu" or "cpu" instead',
  );
}
