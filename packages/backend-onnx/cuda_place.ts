/** The memory and the engine of each GPU, through ONNX Runtime's CUDA engine. */

import { addressOf, type Environment, outPointer } from "./ffi/environment.ts";
import { type ArenaUse, statistics } from "./ffi/arena.ts";
import { loadingObstacle } from "./ffi/cuda_library.ts";
import type { Gpu } from "./ffi/cuda_driver.ts";
import { cString, OrtError, pathString } from "./ffi/library.ts";
import { copyingByOrt, separateMemory } from "./ffi/memory.ts";
import type { Place, Provider } from "./ffi/place.ts";
import { newSessionNow } from "./ffi/session.ts";
import { nothing } from "./nothing.ts";

/** ONNX Runtime's name of its CUDA engine. */
const provider = "CUDAExecutionProvider";

/** What `OrtAllocatorType` and `OrtMemType` call an arena and a device's own memory. */
const arenaAllocator = 1;
const defaultMemory = 0;

/**
 * How programs run on a GPU; see `docs/decisions/0029-onnx-cuda.md`.
 *
 * TF32 would round the factors of float32 products to 10 bits. Convolutions are not searched for the fastest kernel, since the
 * search takes longer than it saves in programs that run a few times per shape.
 */
const cudaOptions = {
  arena_extend_strategy: "kSameAsRequested",
  use_tf32: "0",
  cudnn_conv_algo_search: "HEURISTIC",
} as const;

/** A GPU as ONNX Runtime uses it. */
export interface CudaPlace extends Place {
  /** What its arena holds: buffers, intermediate values and outputs of all programs. */
  arenaUse(): ArenaUse;
}

/** Environments in which the engine is registered, so that ONNX Runtime copies between the host and GPUs, and their GPUs' places. */
const registered = new WeakMap<Environment, Map<number, CudaPlace>>();

/**
 * The place that a GPU is, which every backend over one environment shares.
 *
 * @throws {Error} when the engine does not load, with what is missing, or does not start.
 */
export function cudaPlace(environment: Environment, libraryPath: string, gpu: Gpu, index: number): CudaPlace {
  const places = registered.get(environment) ?? register(environment, libraryPath);
  const place = places.get(index) ?? openPlace(environment, libraryPath, gpu, index);
  places.set(index, place);
  return place;
}

function register(environment: Environment, libraryPath: string): Map<number, CudaPlace> {
  const { api, env } = environment;
  starting(libraryPath, () => api.registerExecutionProviderLibrary(env, cString(provider), pathString(libraryPath)));
  const places = new Map<number, CudaPlace>();
  registered.set(environment, places);
  return places;
}

function starting<T>(libraryPath: string, start: () => T): T {
  try {
    return start();
  } catch (cause) {
    if (!(cause instanceof OrtError)) throw cause;
    const reason = loadingObstacle(libraryPath) ?? cause.message;
    throw new Error(`Cannot start ONNX Runtime's CUDA engine: ${reason}`, { cause });
  }
}

function openPlace(environment: Environment, libraryPath: string, { name }: Gpu, index: number): CudaPlace {
  const { api, env } = environment;
  const options = strings({ device_id: String(index), ...cudaOptions });
  const engine: Provider = {
    name: provider,
    appendTo: (sessionOptions) => starting(libraryPath, () => append(environment, sessionOptions, options)),
  };
  const out = outPointer();
  api.createMemoryInfo(cString("Cuda"), arenaAllocator, index, defaultMemory, out);
  const memory = out[0]!;
  // The arena is handed out only by sessions that use it, so one that does nothing else lives as long as the place.
  const session = starting(libraryPath, () => {
    registerArena(environment, memory, options);
    return newSessionNow(environment, nothing().model, engine);
  });
  api.createAllocator(session, memory, out);
  const allocator = out[0]!;
  environment.beforeRelease(() => {
    api.releaseAllocator(allocator);
    api.releaseSession(session);
    api.unregisterAllocator(env, memory);
    api.releaseMemoryInfo(memory);
  });
  return {
    memory: separateMemory(environment, {
      name: `cuda:${index} (${name})`,
      allocator,
      copying: copyingByOrt(environment),
    }),
    provider: engine,
    arenaUse: () => statistics(environment, allocator),
  };
}

/** Gives all programs on a GPU one arena, which grows by the size requested. */
function registerArena({ api, env }: Environment, memory: bigint, { keys, values, count }: Strings): void {
  const sameAsRequested = 1n;
  const key = cString("arena_extend_strategy");
  const out = outPointer();
  api.createArenaCfgV2(BigUint64Array.of(addressOf(key)), BigUint64Array.of(sameAsRequested), 1, out);
  const configuration = out[0]!;
  try {
    api.createAndRegisterAllocatorV2(
      env,
      cString(provider),
      memory,
      configuration,
      keys.pointers,
      values.pointers,
      count,
    );
  } finally {
    api.releaseArenaCfg(configuration);
  }
}

function append({ api }: Environment, sessionOptions: bigint, { keys, values, count }: Strings): void {
  const out = outPointer();
  api.createCudaProviderOptions(out);
  const cuda = out[0]!;
  try {
    api.updateCudaProviderOptions(cuda, keys.pointers, values.pointers, count);
    api.sessionOptionsAppendExecutionProviderCudaV2(sessionOptions, cuda);
  } finally {
    api.releaseCudaProviderOptions(cuda);
  }
}

/** Options as two arrays of C strings. */
type Strings = ReturnType<typeof strings>;

function strings(options: Readonly<Record<string, string>>) {
  const array = (texts: readonly string[]) => {
    const bytes = texts.map(cString);
    return { bytes, pointers: BigUint64Array.from(bytes, addressOf) };
  };
  const [keys, values] = [array(Object.keys(options)), array(Object.values(options))];
  return { keys, values, count: keys.bytes.length };
}
