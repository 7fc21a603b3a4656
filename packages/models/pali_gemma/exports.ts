/** PaliGemma 1 or PaliGemma 2. */
import type { BackboneOf } from "../architecture/architecture.ts";
import type { CausalLM } from "../task/causal_lm.ts";
import { taskOf } from "../task/task_of.ts";
import { paliGemma, type PaliGemmaConfig } from "./pali_gemma.ts";

export { paliGemma, PaliGemmaBackbone } from "./pali_gemma.ts";
export type { PaliGemmaConfig } from "./pali_gemma.ts";

/** Makes tasks of PaliGemma 1 or PaliGemma 2. */
export const PaliGemmaCausalLM = taskOf(paliGemma);
/** A PaliGemma 1 or PaliGemma 2 that generates, scores, and is fine-tuned. */
export type PaliGemmaCausalLM = CausalLM<BackboneOf<PaliGemmaConfig>>;
