/** The backends that call native libraries. */
import type { CudaPresence } from "@tessera/backend-onnx";
import { halfSupport, memoryOfRun } from "@tessera/backend-onnx/memory";
import type { Backend, MemoryOfRun } from "@tessera/runtime";
import type { BackendOptions } from "./backends.ts";

/** Opens ONNX Runtime. */
export async function openOnnx(options: BackendOptions): Promise<Backend> {
  return (await import("@tessera/backend-onnx")).onnxBackend(options);
}

/** Opens ONNX Runtime on NVIDIA's GPUs. */
export async function openCuda(options: BackendOptions): Promise<Backend> {
  return (await import("@tessera/backend-onnx")).cudaBackend(options);
}

/** Looks for NVIDIA's GPUs and what is needed to use them. */
export async function findCuda(): Promise<CudaPresence> {
  return (await import("@tessera/backend-onnx")).findCuda();
}

/** Memory of programs on some hardware, in the dtypes that it computes in, as ONNX Runtime plans it. */
export function memoryOn({ computesHalf }: { readonly computesHalf: boolean }): MemoryOfRun {
  return (graph, donate) => computesHalf ? memoryOfRun(graph, donate, halfSupport) : memoryOfRun(graph, donate);
}

/** The fastest backend that runs on the processor. */
export const processorBackend: "cpu" | "tfjs-cpu" = "cpu";
