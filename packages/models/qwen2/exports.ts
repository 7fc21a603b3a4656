/** Qwen 2.5. */
import type { BackboneOf } from "../architecture/architecture.ts";
import type { CausalLM } from "../task/causal_lm.ts";
import { taskOf } from "../task/task_of.ts";
import { qwen2, type Qwen2Config } from "./qwen2.ts";

export { qwen2, Qwen2Backbone, qwen2HeadDim } from "./qwen2.ts";
export type { Qwen2Config } from "./qwen2.ts";

/** Makes tasks of Qwen 2.5. */
export const Qwen2CausalLM = taskOf(qwen2);
/** A Qwen 2.5 that generates, scores, and is fine-tuned. */
export type Qwen2CausalLM = CausalLM<BackboneOf<Qwen2Config>>;
