/** Gemma 4's dense text decoders. */
import type { BackboneOf } from "../architecture/architecture.ts";
import type { CausalLM } from "../task/causal_lm.ts";
import { taskOf } from "../task/task_of.ts";
import type { Gemma4Config } from "./config.ts";
import { gemma4 } from "./gemma4.ts";

export { gemma4, Gemma4Backbone } from "./gemma4.ts";
export type { Gemma4Config } from "./config.ts";

/** Makes tasks of Gemma 4. */
export const Gemma4CausalLM = taskOf(gemma4);
/** A Gemma 4 that generates, scores, and is fine-tuned. */
export type Gemma4CausalLM = CausalLM<BackboneOf<Gemma4Config>>;
