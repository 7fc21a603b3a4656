/** Gemma 1 or Gemma 2. */
import type { BackboneOf } from "../architecture/architecture.ts";
import type { CausalLM } from "../task/causal_lm.ts";
import { taskOf } from "../task/task_of.ts";
import { gemma, type GemmaConfig } from "./gemma.ts";

export { gemma, gemmaAttentionScale, GemmaBackbone, gemmaLayerTypes } from "./gemma.ts";
export type { GemmaConfig } from "./gemma.ts";

/** Makes tasks of Gemma 1 or Gemma 2. */
export const GemmaCausalLM = taskOf(gemma);
/** A Gemma 1 or Gemma 2 that generates, scores, and is fine-tuned. */
export type GemmaCausalLM = CausalLM<BackboneOf<GemmaConfig>>;
