/** Mistral. */
import type { BackboneOf } from "../architecture/architecture.ts";
import type { CausalLM } from "../task/causal_lm.ts";
import { taskOf } from "../task/task_of.ts";
import { mistral, type MistralConfig } from "./mistral.ts";

export { mistral, MistralBackbone } from "./mistral.ts";
export type { MistralConfig } from "./mistral.ts";

/** Makes tasks of Mistral. */
export const MistralCausalLM = taskOf(mistral);
/** A Mistral that generates, scores, and is fine-tuned. */
export type MistralCausalLM = CausalLM<BackboneOf<MistralConfig>>;
