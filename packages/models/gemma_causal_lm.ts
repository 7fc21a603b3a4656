/** The causal language model of Gemma 1 and Gemma 2, by its own name. */
import type { GemmaConfig } from "@tessera/convert";
import type { Backend } from "@tessera/runtime";
import { type BuildOptions, gemmaModel, type TextConfig } from "./architectures.ts";
import { CausalLM } from "./causal_lm.ts";
import { GemmaBackbone } from "./gemma.ts";

/** A Gemma that generates, scores, and is fine-tuned. */
export class GemmaCausalLM extends CausalLM<GemmaBackbone> {
  /**
   * Makes a model without values, from its dimensions alone: for `summary()`, or to be trained from random weights.
   *
   * @throws {RangeError} when a field is out of range or two fields contradict each other.
   */
  static fromConfig(
    config: GemmaConfig,
    options: BuildOptions & { readonly backend: Backend; readonly text?: Partial<TextConfig> },
  ): GemmaCausalLM {
    const text = { contextLength: 8192, bosTokenId: 2, eosTokenIds: [1], padTokenId: 0, ...options.text };
    const backbone = new GemmaBackbone(config, options);
    return new GemmaCausalLM({
      model: { ...gemmaModel(config, text, options), backbone },
      backend: options.backend,
      tokenizer: null,
    });
  }
}
