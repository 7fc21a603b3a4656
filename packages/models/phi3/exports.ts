/** Phi-3. */
import type { CausalLM } from "../task/causal_lm.ts";
import { taskOf } from "../task/task_of.ts";
import { phi3, type Phi3Backbone } from "./phi3.ts";

export { phi3, Phi3Backbone } from "./phi3.ts";
export type { Phi3Config } from "./phi3.ts";
export type { LongRope } from "./longrope.ts";

/** Makes tasks of Phi-3. */
export const Phi3CausalLM = taskOf(phi3);
/** A Phi-3 that generates, scores, and is fine-tuned. */
export type Phi3CausalLM = CausalLM<Phi3Backbone>;
