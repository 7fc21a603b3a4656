/** The backends that call native libraries. */
import type { Backend } from "@tessera/runtime";
import type { BackendOptions } from "./backends.ts";

/** Opens ONNX Runtime. */
export async function openOnnx(options: BackendOptions): Promise<Backend> {
  return (await import("@tessera/backend-onnx")).onnxBackend(options);
}
