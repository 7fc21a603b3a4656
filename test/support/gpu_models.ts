/** The tests of whole models that every GPU has to pass. */
import type { Backend } from "tessera";
import { assertGemma3Vision } from "./gemma3_goldens.ts";
import { assertLikeTransformers, firstOfEach, textCheckpoints } from "./goldens.ts";
import { golden } from "./models.ts";
import { assertPaliGemma } from "./pali_goldens.ts";

/** Adds the tests that models of every architecture on a GPU are what they are in Transformers, to 1e-3. */
export function testModelsOn(backend: Backend, gpu: string): void {
  const others = firstOfEach(textCheckpoints().filter(({ family }) => family !== "gemma")).map(({ name }) => name);
  for (const name of ["gemma/gemma2_gqa", "gemma/gemma2_bf16_shards", "gemma/gemma2_f16", ...others]) {
    Deno.test(
      `${name} has the logits and the greedy tokens of Transformers on ${gpu}`,
      () => assertLikeTransformers(backend, name, 1e-3),
    );
  }

  Deno.test(
    `pali2_gqa_window has the logits, the loss and the greedy tokens of Transformers on ${gpu}`,
    () => assertPaliGemma(backend, golden("pali_gemma/pali2_gqa_window"), 1e-3),
  );

  Deno.test(
    `gemma3v_mqa_f16_rows has the logits, the loss and the greedy tokens of Transformers on ${gpu}`,
    () => assertGemma3Vision(backend, golden("gemma3_vision/gemma3v_mqa_f16_rows"), 1e-3),
  );
}
