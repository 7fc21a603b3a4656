/** What stands for `native.ts` in a browser, by the `browser` field of `package.json`. */
import { liveBytes } from "@tessera/mesh";
import type * as native from "./native.ts";

/** Refuses: a browser loads no native libraries. */
export const openOnnx: typeof native.openOnnx = () =>
  Promise.reject(
    new Error(
      'Cannot open backend "cpu": it calls ONNX Runtime, a native library, which a browser does not load; ' +
        'open "webgpu", or "tfjs-cpu" where there is no GPU',
    ),
  );

/** Memory of programs by how long each value is needed, whatever runs them. */
export const memoryOn: typeof native.memoryOn = () => (graph) => liveBytes(graph).peak;

/** The fastest backend that runs on the processor. */
export const processorBackend: typeof native.processorBackend = "tfjs-cpu";
