/**
 * Writes `lowering/testdata/cuda_kernels.txt`: the kernels that all samples of all ops need on CUDA, each of which ONNX Runtime's
 * CUDA engine was seen to have, since a program with a node elsewhere does not compile. Needs a GPU, or the stand-ins that
 * `test/oracle/make_cuda_stand_ins.py` makes:
 *
 * ```sh
 * LD_LIBRARY_PATH=<stand-ins> deno run -A packages/backend-onnx/testing/list_cuda_kernels.ts
 * ```
 */

import { cudaBackend } from "../cuda_backend.ts";
import { cudaTarget } from "../lowering/cuda.ts";
import { lower, prepare } from "../lowering/lower.ts";
import { sampleGraphs, signaturesOf } from "./signatures.ts";

const backend = cudaBackend();
const known = new Set<string>();
for (const graph of sampleGraphs()) {
  const program = await backend.compile(graph, { device: backend.devices[0]! });
  program.dispose();
  const { model } = lower(prepare(graph, cudaTarget.support, cudaTarget.rules), [], cudaTarget);
  signaturesOf(model).forEach((signature) => known.add(signature));
}
backend.dispose();
const file = new URL("../lowering/testdata/cuda_kernels.txt", import.meta.url);
await Deno.writeTextFile(file, `${[...known].toSorted().join("\n")}\n`);
console.log(`${known.size} kernels`);
