/** The same models on NVIDIA's GPUs, and, where there are none, what runs on them with the processor in the GPU's place. */
import { separateBackend, withCuda } from "@tessera/backend-onnx/testing";
import { assertLikeTransformers } from "../support/goldens.ts";
import { testModelsOn } from "../support/gpu_models.ts";
import { assertTrainsAsProcessor } from "../support/same_training.ts";

Deno.test("gemma2_gqa has the logits and the greedy tokens of Transformers in separate memory", async () => {
  const backend = separateBackend();
  await assertLikeTransformers(backend, "gemma/gemma2_gqa", 2e-4);
  backend.dispose();
});

Deno.test("Ten steps of LoRA in separate memory are as on the processor, on a 2×2 mesh too", async () => {
  const backend = separateBackend(4);
  await assertTrainsAsProcessor(backend);
  backend.dispose();
});

withCuda("models as on the processor", (open) => {
  const backend = open(4);

  testModelsOn(backend, "CUDA");

  Deno.test("Ten steps of LoRA on CUDA are as on the processor, on a 2×2 mesh too", () =>
    assertTrainsAsProcessor(backend));
});
