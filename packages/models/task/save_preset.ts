/** Writing a model as a checkpoint folder that Transformers loads. */
import { type SaveOptions, saveWeights } from "@tessera/convert";
import type { Folder } from "@tessera/files";
import { type Adaptable, loraAdapters } from "@tessera/lora";
import { checkOptions } from "@tessera/text";
import type { CausalLMParts } from "./causal_lm_options.ts";
import { saveOptionNames } from "./option_names.ts";
import { copyTextFiles, writeConfig } from "./preset_files.ts";

/** What `CausalLM.saveToPreset` does, which documents it. */
export async function savePreset(
  folder: Folder,
  lm: Adaptable,
  { model, preset }: CausalLMParts,
  options: SaveOptions,
): Promise<void> {
  checkOptions(`save "${lm.name}" to "${folder.path}"`, options, saveOptionNames);
  if (loraAdapters(lm).length > 0) {
    throw new Error(
      `Cannot save "${lm.name}" to "${folder.path}": it has LoRA adapters; call mergeLora() first, or saveAdapter() to save them alone`,
    );
  }
  const config = model.toHf(options.dtype ?? model.backbone.variableDType);
  await saveWeights(folder, model.rows, lm.variables, options);
  await writeConfig(folder, config, model.floatFields);
  if (preset !== undefined) await copyTextFiles(preset, folder);
}
