/** Qwen 3. */
import type { BackboneOf } from "../architecture/architecture.ts";
import type { CausalLM } from "../task/causal_lm.ts";
import { taskOf } from "../task/task_of.ts";
import { qwen3, type Qwen3Config } from "./qwen3.ts";

export { qwen3, Qwen3Backbone } from "./qwen3.ts";
export type { Qwen3Config } from "./qwen3.ts";

/** Makes tasks of Qwen 3. */
export const Qwen3CausalLM = taskOf(qwen3);
/** A Qwen 3 that generates, scores, and is fine-tuned. */
export type Qwen3CausalLM = CausalLM<BackboneOf<Qwen3Config>>;
