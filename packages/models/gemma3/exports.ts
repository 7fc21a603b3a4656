/** Gemma 3, of text and with images. */
import type { BackboneOf } from "../architecture/architecture.ts";
import type { CausalLM } from "../task/causal_lm.ts";
import { taskOf } from "../task/task_of.ts";
import { gemma3, type Gemma3Config } from "./gemma3.ts";
import { gemma3Vision, type Gemma3VisionConfig } from "./gemma3_vision.ts";

export { gemma3, Gemma3Backbone } from "./gemma3.ts";
export type { Gemma3Config } from "./gemma3.ts";
export { gemma3Vision, Gemma3VisionBackbone } from "./gemma3_vision.ts";
export type { Gemma3VisionConfig } from "./gemma3_vision.ts";

/** Makes tasks of Gemma 3. */
export const Gemma3CausalLM = taskOf(gemma3);
/** A Gemma 3 that generates, scores, and is fine-tuned. */
export type Gemma3CausalLM = CausalLM<BackboneOf<Gemma3Config>>;

/** Makes tasks of Gemma 3 with images. */
export const Gemma3VisionCausalLM = taskOf(gemma3Vision);
/** A Gemma 3 that sees images in its texts, generates, scores, and is fine-tuned. */
export type Gemma3VisionCausalLM = CausalLM<BackboneOf<Gemma3VisionConfig>>;
