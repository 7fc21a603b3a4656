/** Making a task of a preset, a handle or a folder: found or downloaded, checked, and only then given its weights. */
import { loadWeights } from "@tessera/convert";
import { type Folder, folderOf, openCheckpoint } from "@tessera/files";
import { distribution } from "@tessera/mesh";
import { disposeValues, initialize } from "@tessera/nn";
import { buildModel } from "../registry.ts";
import type { CausalLM } from "./causal_lm.ts";
import type { CausalLMParts, FromPresetOptions } from "./causal_lm_options.ts";
import { checkDistribution, checkWeights } from "./distribute.ts";
import { readHfConfig } from "../architecture/hf_config.ts";
import { readGenerationConfig } from "../generation/generation_config.ts";
import { generationDefaults } from "../generation/generation_defaults.ts";
import { tokenizerOf } from "./preset_files.ts";
import { findPreset, folderOfPreset } from "../presets/find_folder.ts";
import { buildPreset, handleOf, isBuiltIn } from "../presets/presets.ts";

/** What `CausalLM.fromPreset` does, which documents it, with a task that `make` makes from its parts. */
export async function loadPreset(
  preset: string | Folder,
  options: FromPresetOptions,
  make: (parts: CausalLMParts) => CausalLM,
): Promise<CausalLM> {
  const { backend, seed = 0, loadWeights: load = true } = options;
  const chosen = options.distribution === undefined ? distribution() : options.distribution;
  const where = chosen ?? backend.devices[0]!;
  const follow = options.distribution === undefined ? {} : { distribution: options.distribution };
  if (typeof preset === "string" && !load && isBuiltIn(preset) && (await findPreset(preset)).folder === null) {
    const model = buildPreset(preset, options);
    const lm = make({ model, backend, tokenizer: null, ...follow });
    if (chosen !== null) checkDistribution(lm, chosen);
    initialize(lm.variables, backend, { seed, where });
    return lm;
  }
  const outline = async (from: string | Folder) => {
    const folder = folderOf(from);
    const model = buildModel(await readHfConfig(folder), options);
    const tokenizer = await tokenizerOf(folder);
    const generation = generationDefaults(await readGenerationConfig(folder));
    const handle = typeof preset === "string" && folder.path !== preset ? handleOf(preset) : null;
    const base = handle === null ? {} : { baseModel: handle.repository };
    const lm = make({ model, backend, tokenizer, generation, preset: folder, ...base, ...follow });
    if (chosen !== null) checkDistribution(lm, chosen);
    await checkWeights(lm, backend, chosen);
    return { folder, model, lm };
  };
  // What is refused is refused before weights are downloaded.
  const hub = { ...options, part: load ? "model" : "text", check: outline } as const;
  const { folder, model, lm } = await outline(
    typeof preset === "string" ? await folderOfPreset(preset, hub) : preset,
  );
  const { variables } = lm;
  if (load) {
    const checkpoint = await openCheckpoint(folder);
    try {
      const { redundant, copies, rows, names } = model;
      const progress = options.onProgress === undefined ? {} : { onProgress: options.onProgress };
      await loadWeights(checkpoint, rows, variables, backend, { redundant, copies, names, where, ...progress });
    } catch (error) {
      disposeValues(variables);
      throw error;
    } finally {
      checkpoint.close();
    }
  } else {
    initialize(variables, backend, { seed, where });
  }
  return lm;
}
