/**
 * Where each function stands in ONNX Runtime's `OrtApi` struct, and its C signature.
 *
 * `OrtApi` is a table of function pointers that only ever grows at its end, so an index that holds for one API version
 * holds for every later one. These indices are read off `onnxruntime_c_api.h` (in field order), which
 * https://github.com/microsoft/onnxruntime keeps under `include/onnxruntime/core/session`. This file is the only one
 * that knows them; `openLibrary` exercises it before anything relies on it.
 */

/** The API version requested from the library; every function in the table is older. */
export const apiVersion = 24;

/** The library versions that the table was checked against: the major version, and the smallest minor version. */
export const supportedLibrary = { major: 1, minMinor: 24, tested: "1.30.0" } as const;

/** How one function of the table is called. Every handle and pointer crosses as a `usize`, that is, a `bigint`. */
export interface ApiFunction {
  /** The position in `OrtApi`, counted in pointers. */
  readonly index: number;
  /** The parameter types, in Deno's names. */
  readonly parameters: readonly Deno.NativeType[];
  /** The result: a status to check, a status that comes later from another thread, text, or nothing. */
  readonly returns: "status" | "later" | "number" | "text" | "nothing";
}

const handle = "usize";
const out = "buffer";

type Row<P extends readonly Deno.NativeType[], R> = {
  readonly index: number;
  readonly parameters: P;
  readonly returns: R;
};

function status<const P extends readonly Deno.NativeType[]>(index: number, ...parameters: P): Row<P, "status"> {
  return { index, parameters, returns: "status" };
}

function later<const P extends readonly Deno.NativeType[]>(index: number, ...parameters: P): Row<P, "later"> {
  return { index, parameters, returns: "later" };
}

function release(index: number): Row<readonly ["usize"], "nothing"> {
  return { index, parameters: [handle], returns: "nothing" };
}

/** The functions of `OrtApi` that this package calls, under their C names in lower camel case. */
export const apiTable = {
  createStatus: { index: 0, parameters: ["i32", "buffer"], returns: "number" },
  getErrorCode: { index: 1, parameters: [handle], returns: "number" },
  getErrorMessage: { index: 2, parameters: [handle], returns: "text" },
  // (env, model bytes, length, options, out session)
  createSessionFromArray: later(8, handle, handle, "usize", handle, handle),
  createSessionFromArrayNow: status(8, handle, "buffer", "usize", handle, out),
  // (session, run options, input names, inputs, count, output names, count, outputs)
  run: later(9, handle, handle, handle, handle, "usize", handle, "usize", handle),
  createSessionOptions: status(10, out),
  setOptimizedModelFilePath: status(11, handle, "buffer"),
  setSessionExecutionMode: status(13, handle, "i32"),
  enableProfiling: status(14, handle, "buffer"),
  enableMemPattern: status(16, handle),
  disableMemPattern: status(17, handle),
  enableCpuMemArena: status(18, handle),
  disableCpuMemArena: status(19, handle),
  setSessionLogSeverityLevel: status(22, handle, "i32"),
  setSessionGraphOptimizationLevel: status(23, handle, "i32"),
  createRunOptions: status(39, out),
  runOptionsSetTerminate: status(46, handle),
  // (allocator, shape, rank, element type, out value)
  createTensorAsOrtValue: status(48, handle, "buffer", "usize", "i32", out),
  // (memory info, data, bytes, shape, rank, element type, out value)
  createTensorWithDataAsOrtValue: status(49, handle, handle, "usize", "buffer", "usize", "i32", out),
  getTensorMutableData: status(51, handle, out),
  // (name, allocator type, device number, memory type, out memory info)
  createMemoryInfo: status(68, "buffer", "i32", "i32", "i32", out),
  // (allocator type, memory type, out memory info)
  createCpuMemoryInfo: status(69, "i32", "i32", out),
  getAllocatorWithDefaultOptions: status(78, out),
  releaseEnv: release(92),
  releaseStatus: release(93),
  releaseMemoryInfo: release(94),
  releaseSession: release(95),
  releaseValue: release(96),
  releaseRunOptions: release(97),
  releaseSessionOptions: release(100),
  // (severity, log id, threading options, out env)
  createEnvWithGlobalThreadPools: status(119, "i32", "buffer", handle, out),
  disablePerSessionThreads: status(120, handle),
  createThreadingOptions: status(121, out),
  releaseThreadingOptions: release(122),
  addSessionConfigEntry: status(130, handle, "buffer", "buffer"),
  // (session, memory info, out allocator)
  createAllocator: status(131, handle, handle, out),
  releaseAllocator: release(132),
  // (env, memory info, arena configuration)
  createAndRegisterAllocator: status(144, handle, handle, handle),
  setGlobalIntraOpNumThreads: status(147, handle, "i32"),
  setGlobalInterOpNumThreads: status(148, handle, "i32"),
  setGlobalSpinControl: status(149, handle, "i32"),
  // (options, name, value)
  addInitializer: status(150, handle, "buffer", handle),
  releaseArenaCfg: release(157),
  // (keys, values, count, out arena configuration)
  createArenaCfgV2: status(164, "buffer", "buffer", "usize", out),
  addRunConfigEntry: status(165, handle, "buffer", "buffer"),
  createPrepackedWeightsContainer: status(166, out),
  releasePrepackedWeightsContainer: release(167),
  // (env, model bytes, length, options, container, out session)
  createSessionFromArrayWithPrepackedWeightsContainer: later(169, handle, handle, "usize", handle, handle, handle),
  // (env, memory info)
  unregisterAllocator: status(177, handle, handle),
  // (session options, CUDA options)
  sessionOptionsAppendExecutionProviderCudaV2: status(204, handle, handle),
  createCudaProviderOptions: status(205, out),
  // (CUDA options, keys, values, count)
  updateCudaProviderOptions: status(206, handle, "buffer", "buffer", "usize"),
  releaseCudaProviderOptions: release(208),
  // (env, provider, memory info, arena configuration, keys, values, count)
  createAndRegisterAllocatorV2: status(259, handle, "buffer", handle, handle, "buffer", "buffer", "usize"),
  // (key-value pairs, key)
  getKeyValue: { index: 297, parameters: [handle, "buffer"], returns: "text" },
  releaseKeyValuePairs: release(300),
  // (allocator, out key-value pairs)
  allocatorGetStats: status(319, handle, out),
  // (env, name, path)
  registerExecutionProviderLibrary: status(301, handle, "buffer", "buffer"),
  // (env, sources, destinations, stream, count)
  copyTensors: status(386, handle, "buffer", "buffer", handle, "usize"),
  copyTensorsLater: later(386, handle, handle, handle, handle, "usize"),
  // (session, out subgraphs, out count)
  sessionGetEpGraphAssignmentInfo: status(407, handle, out, out),
  epAssignedSubgraphGetEpName: status(408, handle, out),
  // (subgraph, out nodes, out count)
  epAssignedSubgraphGetNodes: status(409, handle, out, out),
  epAssignedNodeGetName: status(410, handle, out),
} as const satisfies Record<string, ApiFunction>;

/** The C function of a row of the table, as TypeScript calls it: a status becomes an exception, a result is returned. */
export type Call<F extends ApiFunction> = (...args: Arguments<F["parameters"]>) => Result[F["returns"]];

type Arguments<P extends readonly Deno.NativeType[]> = { -readonly [I in keyof P]: Argument<P[I]> };

type Argument<P> = P extends "buffer"
  ? Uint8Array<ArrayBuffer> | BigUint64Array<ArrayBuffer> | BigInt64Array<ArrayBuffer>
  : P extends "usize" ? bigint | number
  : number;

interface Result {
  status: void;
  later: Promise<void>;
  number: bigint;
  text: string;
  nothing: void;
}

/** ONNX Runtime's C API as TypeScript functions. */
export type OrtApi = { readonly [K in keyof typeof apiTable]: Call<(typeof apiTable)[K]> };
