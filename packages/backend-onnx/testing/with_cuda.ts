/** Tests that need one of NVIDIA's GPUs. */

import { type CudaBackend, cudaBackend, findCuda } from "../cuda_backend.ts";

/**
 * Registers tests of `onnx-cuda` where it can run, and says so where it cannot: as a test that fails when `TESSERA_BACKEND` asks for
 * it, as one that is ignored when there is a GPU that cannot be used, and else as text, since most computers have no such GPU.
 */
export function withCuda(what: string, register: (open: (deviceCount?: number) => CudaBackend) => void): void {
  const { gpus, obstacle } = findCuda();
  const isAskedFor = Deno.env.get("TESSERA_BACKEND") === "onnx-cuda";
  if (obstacle === null) {
    register((deviceCount) => cudaBackend({ threads: 2, ...(deviceCount === undefined ? {} : { deviceCount }) }));
  } else if (isAskedFor || gpus.length > 0) {
    Deno.test({
      name: `onnx-cuda: ${what}`,
      ignore: !isAskedFor,
      fn: () => {
        throw new Error(obstacle);
      },
    });
  } else {
    console.warn(`\nNOT TESTED, since there is no GPU of NVIDIA: onnx-cuda, ${what}. ${obstacle}\n`);
  }
}
