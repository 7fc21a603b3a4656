/**
 * Runs graphs with ONNX Runtime, on the processor or on NVIDIA's GPUs, through its C API: runs do not block the event loop,
 * programs share weights and memory, and donated state is updated in place.
 *
 * ```ts
 * import { hostTensor, trace } from "@tessera/core";
 * import { onnxBackend } from "@tessera/backend-onnx";
 *
 * const backend = onnxBackend();
 * const [device] = backend.devices;
 * const graph = trace("double", { x: { shape: [3], dtype: "float32" } }, ({ x }) => ({ y: x.mul(2) }));
 * const program = await backend.compile(graph, { device: device! });
 * const x = backend.upload(hostTensor("float32", [3], new Float32Array([1, 2, 3])));
 * const [y] = await program.run([x]);
 * console.log((await y!.read()).data);
 * ```
 *
 * @module
 */

export { onnxBackend } from "./backend.ts";
export type { OnnxBackend, OnnxBackendOptions } from "./backend.ts";
export { cudaBackend, findCuda } from "./cuda_backend.ts";
export type { CudaBackend, CudaBackendOptions, CudaPresence, CudaProbes } from "./cuda_backend.ts";
export type { ArenaUse } from "./ffi/arena.ts";
export type { EnvironmentOptions } from "./ffi/environment.ts";
export type { Gpu } from "./ffi/cuda_driver.ts";
export { OrtError } from "./ffi/library.ts";
export type { SessionOptions } from "./ffi/session.ts";
export { lower, prepare } from "./lowering/lower.ts";
export type { Lowered } from "./lowering/lower.ts";
export { memoryOfModel, memoryOfRun } from "./memory_plan.ts";
export { encodeModel } from "./model/encode.ts";
export { printModel } from "./model/print.ts";
export type { Attribute, Domain, Initializer, OnnxModel, OnnxNode, OnnxValue } from "./model/description.ts";
export type { ElementType } from "./ffi/element_type.ts";
