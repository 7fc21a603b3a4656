/** SmolLM 3. */
import type { BackboneOf } from "../architecture/architecture.ts";
import type { CausalLM } from "../task/causal_lm.ts";
import { taskOf } from "../task/task_of.ts";
import { smolLM3, type SmolLM3Config } from "./smollm3.ts";

export { smolLM3, SmolLM3Backbone } from "./smollm3.ts";
export type { SmolLM3Config } from "./smollm3.ts";

/** Makes tasks of SmolLM 3. */
export const SmolLM3CausalLM = taskOf(smolLM3, "SmolLM3CausalLM");
/** A SmolLM 3 that generates, scores, and is fine-tuned. */
export type SmolLM3CausalLM = CausalLM<BackboneOf<SmolLM3Config>>;
