/** All presets, and how one is found by its name. */
import { nearestName } from "@tessera/text";
import { parseHandle, type RepositoryHandle } from "@tessera/hub";
import type { BuildOptions, BuiltModel } from "../architectures.ts";
import { gemmaPresets } from "./gemma_presets.ts";
import { llamaPresets } from "./llama_presets.ts";
import { paliGemmaPresets } from "./pali_gemma_presets.ts";
import type { Preset, PresetTable } from "./preset.ts";

const tables = { ...gemmaPresets, ...llamaPresets, ...paliGemmaPresets };

/** The name of a preset, as KerasHub spells it. */
export type PresetName = keyof typeof tables;

/** Every preset, by its name under KerasHub. */
export const presets: PresetTable<PresetName> = tables;

/** Whether a text is the name of a preset. */
export function isPresetName(name: string): name is PresetName {
  return Object.hasOwn(presets, name);
}

/**
 * The repository on the Hugging Face Hub that a preset's name or a handle such as `hf://google/gemma-2-9b` stands for; `null` for
 * any other text.
 *
 * @throws {RangeError} when it is a handle of another kind, or one without an owner or a name.
 */
export function handleOf(name: string): RepositoryHandle | null {
  return isPresetName(name) ? { repository: presets[name].repository, revision: "main" } : parseHandle(name);
}

/** Whether a preset's dimensions are built in, so that it can be described without any file. */
export function isBuiltIn(name: string): boolean {
  const handle = handleOf(name);
  return handle !== null && handle.revision === "main" && ofRepository(handle.repository) !== undefined;
}

function ofRepository(repository: string): Preset | undefined {
  return Object.values<Preset>(presets).find((preset) => preset.repository === repository);
}

/**
 * The preset of a name, or of the repository that a handle names.
 *
 * @throws {RangeError} when there is none of that name; the message has the nearest ones.
 */
export function presetOf(name: string): Preset {
  if (isPresetName(name)) return presets[name];
  const handle = handleOf(name);
  if (handle !== null) {
    const found = ofRepository(handle.repository);
    if (found !== undefined) return found;
    throw new RangeError(`Cannot describe "${name}" without its files: no preset is of that repository`);
  }
  throw new RangeError(`Cannot find the preset "${name}"${presetHint(name)}`);
}

/** What to say of a name that is no preset's, to follow it: the preset that it most likely means, or all that there are. */
export function presetHint(name: string): string {
  // Names may be given without the language at their end.
  const byName = new Map(Object.keys(presets).flatMap((full) => [[full, full], [full.replace(/_en$/, ""), full]]));
  const near = nearestName(name, byName.keys());
  return near === null ? `; there are ${Object.keys(presets).join(", ")}` : `; did you mean "${byName.get(near)}"?`;
}

/**
 * The model of a preset, without values and without any file: for summaries and plans.
 *
 * @throws {RangeError} when there is no preset of that name.
 */
export function buildPreset(
  name: PresetName | (string & NonNullable<unknown>),
  options: BuildOptions = {},
): BuiltModel {
  return presetOf(name).build(options);
}
