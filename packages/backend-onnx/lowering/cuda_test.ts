import assert from "node:assert/strict";
import { apply, hostTensor, trace } from "@tessera/core";
import { sampleGraphs, signaturesOf } from "../testing/signatures.ts";
import { assertAgrees } from "../testing/run.ts";
import { separateBackend } from "../testing/separate.ts";
import { cudaTarget } from "./cuda.ts";
import { lower, prepare } from "./lower.ts";

function lowered(graph: ReturnType<typeof trace>) {
  return lower(prepare(graph, cudaTarget.support, cudaTarget.rules), [], cudaTarget).model;
}

// The list is what ONNX Runtime's own CUDA engine took of all these graphs; decision 0029 says how it was asked.
Deno.test("For CUDA, samples of all ops become nodes that the engine is known to have kernels for", async () => {
  const text = await Deno.readTextFile(new URL("./testdata/cuda_kernels.txt", import.meta.url));
  const known = new Set(text.split("\n"));
  for (const graph of sampleGraphs()) {
    const unknown = signaturesOf(lowered(graph)).filter((signature) => !known.has(signature));
    assert.deepEqual(unknown, [], `${graph.name} needs kernels that the engine was not seen to have`);
  }
});

Deno.test("For CUDA, integers beyond float32 are reduced, padded and compared exactly", async () => {
  const backend = separateBackend();
  try {
    const graph = trace("large", { x: { shape: [2, 3], dtype: "int32" } }, ({ x }) => ({
      sum: x.sum(1),
      least: apply("min", [x], { axes: [0], keepDims: false }),
      largest: apply("argMax", [x], { axis: 1 }),
      padded: apply("pad", [x], { low: [0, 1], high: [1, 0], value: 16777217 }),
    }));
    const values = Int32Array.of(16777216, 16777217, 1, -16777217, 2147483647, -2147483646);
    await assertAgrees(backend, graph, [hostTensor("int32", [2, 3], values)], 0);
  } finally {
    backend.dispose();
  }
});
