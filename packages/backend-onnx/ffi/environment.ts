/**
 * The process-wide half of ONNX Runtime: one thread pool and one memory arena that every session shares.
 *
 * ONNX Runtime has a single environment per process. Sessions made with `newSession` use its threads and its arena, so
 * that many programs neither oversubscribe the cores nor each keep the memory of their largest run.
 */

import { cString, openLibrary, type OrtLibrary } from "./library.ts";
import type { OrtApi } from "./api_table.ts";

/** How ONNX Runtime uses the machine. All sessions of a process share it. */
export interface EnvironmentOptions {
  /** The shared library; that of the installed package `onnxruntime-node` by default. */
  readonly libraryPath?: string;
  /** How many threads compute; the number of cores that the process may use by default. */
  readonly threads?: number;
  /** Whether idle threads wait in a busy loop: faster between small ops, and keeps the cores warm. True by default. */
  readonly spinning?: boolean;
  /** The least severe message that ONNX Runtime prints: 0 verbose, 1 info, 2 warning, 3 error, 4 fatal; 3 by default. */
  readonly logLevel?: number;
}

/** A running ONNX Runtime. */
export interface Environment {
  /** The C API. */
  readonly api: OrtApi;
  /** The library that is used. */
  readonly library: OrtLibrary;
  /** How many threads compute. */
  readonly threads: number;
  /** The `OrtEnv`. */
  readonly env: bigint;
  /** The allocator that asks the operating system each time: for buffers that live long. */
  readonly allocator: bigint;
  /** The `OrtMemoryInfo` of host memory: where the devices of this environment keep their tensors. */
  readonly memory: bigint;
  /** Calls a function when the environment is about to be freed. */
  beforeRelease(body: () => void): void;
  /** Keeps the environment alive until one more `release`. */
  retain(): void;
  /** Frees the environment once everyone who acquired or retained it has released it. */
  release(): void;
}

interface Shared {
  readonly environment: Environment;
  readonly key: string;
}

let shared: Shared | null = null;

/**
 * The environment of this process; started by the first caller and shared by the later ones.
 *
 * @throws {RangeError} when `threads` is not a positive integer.
 * @throws {Error} when ONNX Runtime cannot be opened, or runs already with other options.
 */
export function acquireEnvironment(options: EnvironmentOptions = {}): Environment {
  const threads = options.threads ?? navigator.hardwareConcurrency;
  if (!Number.isInteger(threads) || threads < 1) {
    throw new RangeError(`Cannot start ONNX Runtime with ${threads} threads: a positive integer is needed`);
  }
  const { spinning = true, logLevel = 3, libraryPath } = options;
  const key = JSON.stringify({ threads, spinning, logLevel, libraryPath });
  if (shared !== null && shared.key !== key) {
    throw new Error(
      `Cannot start ONNX Runtime with ${key}: this process runs it with ${shared.key}; use one set of options, ` +
        `or dispose the first backend and its programs before making the second`,
    );
  }
  shared ??= { key, environment: start(openLibrary(libraryPath), threads, spinning, logLevel) };
  shared.environment.retain();
  return shared.environment;
}

/** The out-parameter of a C function: eight bytes that a pointer is written to. */
export function outPointer(): BigUint64Array<ArrayBuffer> {
  return new BigUint64Array(1);
}

function start(library: OrtLibrary, threads: number, spinning: boolean, logLevel: number): Environment {
  const { api } = library;
  const out = outPointer();
  api.createThreadingOptions(out);
  const threading = out[0]!;
  api.setGlobalIntraOpNumThreads(threading, threads);
  api.setGlobalInterOpNumThreads(threading, 1);
  api.setGlobalSpinControl(threading, spinning ? 1 : 0);
  api.createEnvWithGlobalThreadPools(logLevel, cString("tessera"), threading, out);
  const env = out[0]!;
  api.releaseThreadingOptions(threading);
  api.createCpuMemoryInfo(arenaAllocator, defaultMemory, out);
  const memory = out[0]!;
  registerArena(api, env, memory);
  api.getAllocatorWithDefaultOptions(out);
  const allocator = out[0]!;
  const endings: (() => void)[] = [];
  let users = 0;
  function release(): void {
    if (--users > 0) return;
    shared = null;
    for (const body of endings) body();
    api.unregisterAllocator(env, memory);
    api.releaseMemoryInfo(memory);
    api.releaseEnv(env);
  }
  return {
    api,
    library,
    threads,
    env,
    allocator,
    memory,
    beforeRelease: (body) => void endings.push(body),
    retain: () => void users++,
    release,
  };
}

const arenaAllocator = 1;
const defaultMemory = 0;

/**
 * How the arena that all sessions share takes memory: by the size requested, not by powers of two (1), and with little left over
 * in a block that is larger than what it is used for, where 128 MiB could be.
 */
const arenaSettings = { arena_extend_strategy: 1n, max_dead_bytes_per_chunk: 65_536n } as const;

function registerArena(api: OrtApi, env: bigint, memory: bigint): void {
  const keys = Object.keys(arenaSettings).map(cString);
  const keyPointers = BigUint64Array.from(keys, (key) => addressOf(key));
  const out = outPointer();
  api.createArenaCfgV2(keyPointers, BigUint64Array.from(Object.values(arenaSettings)), keys.length, out);
  api.createAndRegisterAllocator(env, memory, out[0]!);
  api.releaseArenaCfg(out[0]!);
}

/** The address of the first byte of an array. The caller keeps the array alive for as long as the address is used. */
export function addressOf(array: ArrayBufferView<ArrayBufferLike>): bigint {
  return Deno.UnsafePointer.value(Deno.UnsafePointer.of(array as Uint8Array<ArrayBuffer>));
}
