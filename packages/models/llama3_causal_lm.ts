/** The causal language model of Llama 3, by its own name. */
import type { LlamaConfig } from "@tessera/convert";
import type { Backend } from "@tessera/runtime";
import { type BuildOptions, llamaModel, type TextConfig } from "./architectures.ts";
import { CausalLM } from "./causal_lm.ts";
import type { FromPresetOptions } from "./causal_lm_options.ts";
import { Llama3Backbone } from "./llama.ts";
import type { PresetName } from "./presets/presets.ts";

/** A Llama 3 that generates, scores, and is fine-tuned: what `CausalLM.fromPreset` gives for a Llama checkpoint. */
export type Llama3CausalLM = CausalLM<Llama3Backbone>;

/** The ways to make a Llama 3. */
export interface Llama3CausalLMFactory {
  /**
   * Makes a model without values, from its dimensions alone: for `summary()`, or to be trained from random weights.
   *
   * @throws {RangeError} when a field is out of range or two fields contradict each other.
   */
  fromConfig(
    config: LlamaConfig,
    options: BuildOptions & { readonly backend: Backend; readonly text?: Partial<TextConfig> },
  ): Llama3CausalLM;
  /**
   * Loads a Llama preset of that name, or a Llama checkpoint folder.
   *
   * @throws {TypeError} when the checkpoint is of another architecture, and what `CausalLM.fromPreset` throws.
   */
  fromPreset(preset: PresetName | (string & NonNullable<unknown>), options: FromPresetOptions): Promise<Llama3CausalLM>;
}

function isLlama(lm: CausalLM): lm is Llama3CausalLM {
  return lm.backbone instanceof Llama3Backbone;
}

/** Makes Llamas: `Llama3CausalLM.fromPreset(folder, { backend })`, `Llama3CausalLM.fromConfig({ … }, { backend })`. */
export const Llama3CausalLM: Llama3CausalLMFactory = {
  fromConfig(config, options) {
    const contextLength = config.ropePretrainingSequenceLength == null ? 8192 : 131_072;
    const text = { contextLength, bosTokenId: 128_000, eosTokenIds: [128_001], padTokenId: null, ...options.text };
    const backbone = new Llama3Backbone(config, options);
    const model = { ...llamaModel(config, text, options), backbone };
    return new CausalLM({ model, backend: options.backend, tokenizer: null });
  },
  async fromPreset(preset, options) {
    const lm = await CausalLM.fromPreset(preset, options);
    if (isLlama(lm)) return lm;
    lm.dispose();
    throw new TypeError(
      `Cannot load "${preset}" as a Llama3CausalLM: it is a ${lm.name}; use CausalLM.fromPreset, which takes any architecture`,
    );
  },
};
