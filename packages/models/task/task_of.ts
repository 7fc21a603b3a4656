/** The task of one architecture by its own name, such as `GemmaCausalLM`. */
import type { Backend } from "@tessera/runtime";
import type { Architecture, BackboneOf, BuildOptions } from "../architecture/architecture.ts";
import { CausalLM } from "./causal_lm.ts";
import type { FromPresetOptions } from "./causal_lm_options.ts";
import type { PresetSource } from "./open_preset.ts";

/** The ways to make a task of one architecture: from dimensions alone, or from a preset, a handle or a folder. */
export interface TaskOf<Config> {
  /**
   * Makes a model without values, from its dimensions alone: for `summary()`, or to be trained from random weights.
   *
   * @throws {RangeError} when a field is out of range or two fields contradict each other.
   */
  fromConfig(
    config: Config,
    options: BuildOptions & { readonly backend: Backend },
  ): CausalLM<BackboneOf<Config>>;
  /**
   * Loads a preset, a handle or a checkpoint folder of this architecture.
   *
   * @throws {TypeError} when the checkpoint is of another architecture, and what `CausalLM.fromPreset` throws.
   */
  fromPreset(preset: PresetSource, options?: FromPresetOptions): Promise<CausalLM<BackboneOf<Config>>>;
}

/** The task of an architecture; its own name is for messages, where capitals do not follow from the architecture's. */
export function taskOf<Config>(
  architecture: Architecture<Config>,
  taskName: string = nameOfTask(architecture.name),
): TaskOf<Config> {
  const { Backbone: OwnBackbone } = architecture;
  const isOwn = (lm: CausalLM): lm is CausalLM<BackboneOf<Config>> => lm.backbone instanceof OwnBackbone;
  return {
    fromConfig(config, options) {
      return new CausalLM({ model: architecture.build(config, options), backend: options.backend, tokenizer: null });
    },
    async fromPreset(preset, options = {}) {
      const lm = await CausalLM.fromPreset(preset, options);
      if (isOwn(lm)) return lm;
      lm.dispose();
      throw new TypeError(
        `Cannot load "${
          typeof preset === "string" ? preset : preset.path
        }" as a ${taskName}: it is a ${lm.name}; use CausalLM.fromPreset, which takes any architecture`,
      );
    },
  };
}

/** `PaliGemmaCausalLM` of `pali_gemma`. */
function nameOfTask(name: string): string {
  return `${name.split("_").map((word) => word[0]!.toUpperCase() + word.slice(1)).join("")}CausalLM`;
}
