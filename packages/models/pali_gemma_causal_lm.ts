/** The task of PaliGemma 1 and PaliGemma 2, by its own name. */
import type { PaliGemmaConfig } from "@tessera/convert";
import type { Backend } from "@tessera/runtime";
import { type BuildOptions, paliGemmaModel, type TextConfig } from "./architectures.ts";
import { CausalLM } from "./causal_lm.ts";
import type { FromPresetOptions } from "./causal_lm_options.ts";
import { PaliGemmaBackbone } from "./pali_gemma.ts";
import type { PresetName } from "./presets/presets.ts";

/** A PaliGemma that captions, answers, detects, and is fine-tuned: what `CausalLM.fromPreset` gives for a PaliGemma checkpoint. */
export type PaliGemmaCausalLM = CausalLM<PaliGemmaBackbone>;

/** The ways to make a PaliGemma. */
export interface PaliGemmaCausalLMFactory {
  /**
   * Makes a model without values, from its dimensions alone: for `summary()`, or to be trained from random weights.
   *
   * @throws {RangeError} when a field is out of range or two fields contradict each other.
   */
  fromConfig(
    config: PaliGemmaConfig,
    options: BuildOptions & { readonly backend: Backend; readonly text?: Partial<TextConfig> },
  ): PaliGemmaCausalLM;
  /**
   * Loads a PaliGemma preset of that name, or a PaliGemma checkpoint folder.
   *
   * @throws {TypeError} when the checkpoint is of another architecture, and what `CausalLM.fromPreset` throws.
   */
  fromPreset(
    preset: PresetName | (string & NonNullable<unknown>),
    options: FromPresetOptions,
  ): Promise<PaliGemmaCausalLM>;
}

function isPaliGemma(lm: CausalLM): lm is PaliGemmaCausalLM {
  return lm.backbone instanceof PaliGemmaBackbone;
}

/** Makes PaliGemmas: `PaliGemmaCausalLM.fromPreset(folder, { backend })`, `PaliGemmaCausalLM.fromConfig({ … }, { backend })`. */
export const PaliGemmaCausalLM: PaliGemmaCausalLMFactory = {
  fromConfig(config, options) {
    const text = { contextLength: 8192, bosTokenId: 2, eosTokenIds: [1], padTokenId: 0, ...options.text };
    const backbone = new PaliGemmaBackbone(config, options);
    const model = { ...paliGemmaModel(config, text, options), backbone };
    return new CausalLM({ model, backend: options.backend, tokenizer: null });
  },
  async fromPreset(preset, options) {
    const lm = await CausalLM.fromPreset(preset, options);
    if (isPaliGemma(lm)) return lm;
    lm.dispose();
    throw new TypeError(
      `Cannot load "${preset}" as a PaliGemmaCausalLM: it is a ${lm.name}; use CausalLM.fromPreset, which takes any architecture`,
    );
  },
};
