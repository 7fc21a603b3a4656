/** What stands for `native.ts` in a browser, by the `browser` field of `package.json`. */
import { liveBytes } from "@tessera/mesh";
import type * as native from "./native.ts";

function refuse(name: string): () => Promise<never> {
  return () =>
    Promise.reject(
      new Error(
        `Cannot open backend "${name}": it calls ONNX Runtime, a native library, which a browser does not load; ` +
          'open "webgpu", or "tfjs-cpu" where there is no GPU',
      ),
    );
}

/** Refuses: a browser loads no native libraries. */
export const openOnnx: typeof native.openOnnx = refuse("cpu");

/** Refuses as well. */
export const openCuda: typeof native.openCuda = refuse("onnx-cuda");

/** Finds nothing: WebGPU is how a browser reaches a GPU. */
export const findCuda: typeof native.findCuda = () =>
  Promise.resolve({ gpus: [], obstacle: "a browser loads no native libraries" });

/** Memory of programs by how long each value is needed, whatever runs them. */
export const memoryOn: typeof native.memoryOn = () => (graph) => liveBytes(graph).peak;

/** The fastest backend that runs on the processor. */
export const processorBackend: typeof native.processorBackend = "tfjs-cpu";
