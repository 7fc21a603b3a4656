/** The causal language model of Gemma 1 and Gemma 2, by its own name. */
import type { GemmaConfig } from "@tessera/convert";
import type { Backend } from "@tessera/runtime";
import { type BuildOptions, gemmaModel, type TextConfig } from "./architectures.ts";
import { CausalLM } from "./causal_lm.ts";
import type { FromPresetOptions } from "./causal_lm_options.ts";
import { GemmaBackbone } from "./gemma.ts";
import type { PresetName } from "./presets/presets.ts";

/** A Gemma that generates, scores, and is fine-tuned: what `CausalLM.fromPreset` gives for a Gemma checkpoint. */
export type GemmaCausalLM = CausalLM<GemmaBackbone>;

/** The ways to make a Gemma. */
export interface GemmaCausalLMFactory {
  /**
   * Makes a model without values, from its dimensions alone: for `summary()`, or to be trained from random weights.
   *
   * @throws {RangeError} when a field is out of range or two fields contradict each other.
   */
  fromConfig(
    config: GemmaConfig,
    options: BuildOptions & { readonly backend: Backend; readonly text?: Partial<TextConfig> },
  ): GemmaCausalLM;
  /**
   * Loads a Gemma preset of that name, or a Gemma checkpoint folder.
   *
   * @throws {TypeError} when the checkpoint is of another architecture, and what `CausalLM.fromPreset` throws.
   */
  fromPreset(preset: PresetName | (string & NonNullable<unknown>), options: FromPresetOptions): Promise<GemmaCausalLM>;
}

function isGemma(lm: CausalLM): lm is GemmaCausalLM {
  return lm.backbone instanceof GemmaBackbone;
}

/** Makes Gemmas: `GemmaCausalLM.fromPreset(folder, { backend })`, `GemmaCausalLM.fromConfig({ … }, { backend })`. */
export const GemmaCausalLM: GemmaCausalLMFactory = {
  fromConfig(config, options) {
    const text = { contextLength: 8192, bosTokenId: 2, eosTokenIds: [1], padTokenId: 0, ...options.text };
    const backbone = new GemmaBackbone(config, options);
    const model = { ...gemmaModel(config, text, options), backbone };
    return new CausalLM({ model, backend: options.backend, tokenizer: null });
  },
  async fromPreset(preset, options) {
    const lm = await CausalLM.fromPreset(preset, options);
    if (isGemma(lm)) return lm;
    lm.dispose();
    throw new TypeError(
      `Cannot load "${preset}" as a GemmaCausalLM: it is a ${lm.name}; use CausalLM.fromPreset, which takes any architecture`,
    );
  },
};
