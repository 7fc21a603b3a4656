/**
 * Where the files of a preset lie on this machine.
 *
 * Looked for, in this order: `<models>/<preset name>` (not for a handle) and `<models>/<repository>`, where `<models>` is the folder that
 * `TESSERA_MODELS` names, or `models` in the working folder; then the snapshot that Hugging Face's own tools have
 * downloaded, in the folder that `HF_HUB_CACHE` or `HF_HOME` names, or `.cache/huggingface` of the user's home.
 */
import { environmentVariable, fileOf, isFolder } from "@tessera/hub";
import { isPresetName, presetHint, repositoryOf } from "./presets.ts";

/** Reads the environment; the process's own unless a test gives another. */
export type EnvironmentReader = (name: string) => string | undefined;

/** A folder or preset as a user names it, found. */
export interface FoundPreset {
  /** The folder that holds its files; `null` when there is none on this machine. */
  readonly folder: string | null;
  /** Where its files were looked for, in order; empty for a path. */
  readonly lookedIn: readonly string[];
}

/**
 * Finds the files of a preset's name, of a handle such as `hf://google/gemma-2-9b`, or of a folder; a folder of that name goes
 * first.
 *
 * @throws {RangeError} when it is a bare name that neither a folder nor a preset has, or a handle of another kind.
 */
export async function findPreset(
  name: string,
  environment: EnvironmentReader = environmentVariable,
): Promise<FoundPreset> {
  if (await isFolder(name)) return { folder: name, lookedIn: [] };
  const repository = repositoryOf(name);
  if (repository === null) {
    // A path gets the error of the file that is missing from it.
    if (/[/\\]/.test(name)) return { folder: name, lookedIn: [] };
    throw new RangeError(
      `Cannot load "${name}": there is no such folder and no preset of that name${presetHint(name)}`,
    );
  }
  const models = environment("TESSERA_MODELS") ?? "models";
  const lookedIn = [...(isPresetName(name) ? [`${models}/${name}`] : []), `${models}/${repository}`];
  for (const folder of lookedIn) {
    if (await isFolder(folder)) return { folder, lookedIn };
  }
  const cached = `${hubCache(environment)}/models--${repository.replaceAll("/", "--")}`;
  return { folder: await snapshotOf(cached), lookedIn: [...lookedIn, cached] };
}

/**
 * The folder with the files of a preset's name or of a handle, or the folder itself.
 *
 * @throws {Error} when the files are not on this machine; the message says where they were looked for.
 */
export async function folderOfPreset(
  name: string,
  environment: EnvironmentReader = environmentVariable,
): Promise<string> {
  const { folder, lookedIn } = await findPreset(name, environment);
  if (folder !== null) return folder;
  throw new Error(
    `Cannot load the preset "${name}": its files are not in ${lookedIn.map((path) => `"${path}"`).join(", ")}; ` +
      `Tessera does not download them yet: download "${
        repositoryOf(name)
      }" from Hugging Face to one of these, or set ` +
      "TESSERA_MODELS to the folder that holds your models",
  );
}

function hubCache(environment: EnvironmentReader): string {
  const home = environment("HF_HOME") ??
    `${environment("HOME") ?? environment("USERPROFILE") ?? "~"}/.cache/huggingface`;
  return environment("HF_HUB_CACHE") ?? `${home}/hub`;
}

/** The snapshot of the main branch in a folder of Hugging Face's cache; `null` when there is none. */
async function snapshotOf(cached: string): Promise<string | null> {
  const commit = await fileOf(`${cached}/refs/main`).text();
  if (commit === null) return null;
  const folder = `${cached}/snapshots/${commit.trim()}`;
  return await isFolder(folder) ? folder : null;
}
