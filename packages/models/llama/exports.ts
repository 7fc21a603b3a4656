/** Llama 3. */
import type { BackboneOf } from "../architecture/architecture.ts";
import type { CausalLM } from "../task/causal_lm.ts";
import { taskOf } from "../task/task_of.ts";
import { llama, type LlamaConfig } from "./llama.ts";

export { llama, Llama3Backbone, llamaHeadDim, llamaScaling } from "./llama.ts";
export type { LlamaConfig } from "./llama.ts";

/** Makes tasks of Llama 3. */
export const Llama3CausalLM = taskOf(llama);
/** A Llama 3 that generates, scores, and is fine-tuned. */
export type Llama3CausalLM = CausalLM<BackboneOf<LlamaConfig>>;
