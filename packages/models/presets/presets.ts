/** All presets, and how one is found by its name. */
import { parseHandle, type RepositoryHandle } from "@tessera/hub";
import { checkOptions, nearestName } from "@tessera/text";
import { buildOptionNames, type BuildOptions, type BuiltModel } from "../architecture/architecture.ts";
import { architectures, type PresetName } from "../registry.ts";

/** A published model under KerasHub's name, or its repository's. */
export interface Preset {
  /** The repository on Hugging Face that holds its files, such as `google/gemma-2-9b`. */
  readonly repository: string;
  /** What it is, in a few words, such as `Gemma 2 9B, instruction-tuned`. */
  readonly title: string;
  /** The published number of parameters. */
  readonly parameters: number;
  /** Makes the model from the dimensions that are built in, without values. */
  readonly build: (options: BuildOptions) => BuiltModel;
}

const tables = Object.fromEntries(
  architectures.flatMap((architecture) =>
    Object.entries(architecture.presets).map(([name, { repository, title, parameters, config, text = {} }]) => {
      const build = (options: BuildOptions) => architecture.build(config, { ...options, text });
      return [name, { repository, title, parameters, build }];
    })
  ),
) as Record<PresetName, Preset>;

/** Every preset, by its name. */
export const presets: Readonly<Record<PresetName, Preset>> = tables;

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
 * @throws {TypeError} when an option has an unknown name.
 */
export function buildPreset(
  name: PresetName | (string & NonNullable<unknown>),
  options: BuildOptions = {},
): BuiltModel {
  const preset = presetOf(name);
  checkOptions(`build "${name}"`, options, buildOptionNames);
  return preset.build(options);
}
