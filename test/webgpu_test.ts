/** The same models on WebGPU: parity with Transformers. */
import { withGpu } from "@tessera/backend-webgpu/testing";
import { openBackend } from "tessera";
import { assertLikeTransformers } from "./support/goldens.ts";

await withGpu(async () => {
  const backend = await openBackend("webgpu");
  for (const name of ["gemma/gemma2_gqa", "gemma/gemma2_bf16_shards", "gemma/gemma2_f16", "llama/llama3_gqa"]) {
    Deno.test(
      `${name} has the logits and the greedy tokens of Transformers on WebGPU`,
      () => assertLikeTransformers(backend, name, 1e-3),
    );
  }
});
