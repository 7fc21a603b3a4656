/**
 * Where the files of a preset lie on this machine, or come to lie.
 *
 * Looked for, in this order: `<models>/<preset name>` (not for a handle) and `<models>/<repository>`, where `<models>` is the folder that
 * `TESSERA_MODELS` names, or `models` in the working folder; then the cache that Hugging Face's own tools share, in the folder
 * that `HF_HUB_CACHE` or `HF_HOME` names, or `.cache/huggingface` of the user's home. What is nowhere is downloaded to that cache.
 */
import { environmentVariable, isFolder } from "@tessera/files";
import {
  cachedSnapshot,
  type DownloadOptions,
  downloadRepository,
  type EnvironmentReader,
  repositoryFolder,
  showDownloads,
} from "@tessera/hub";
import { handleOf, isPresetName, presetHint } from "./presets.ts";

/** A folder or preset as a user names it, found. */
export interface FoundPreset {
  /** The folder that holds its files; `null` when there is none on this machine, or one of the cache that lacks some. */
  readonly folder: string | null;
  /** Where its files were looked for, in order; empty for a path. */
  readonly lookedIn: readonly string[];
}

/** A preset in a folder of the user's own; `null` when there is none. */
async function findOwn(name: string, environment: EnvironmentReader): Promise<FoundPreset> {
  if (await isFolder(name)) return { folder: name, lookedIn: [] };
  const handle = handleOf(name);
  if (handle === null) {
    // A path gets the error of the file that is missing from it.
    if (/[/\\]/.test(name)) return { folder: name, lookedIn: [] };
    throw new RangeError(
      `Cannot load "${name}": there is no such folder and no preset of that name${presetHint(name)}`,
    );
  }
  const models = environment("TESSERA_MODELS") ?? "models";
  const { repository, revision } = handle;
  // Such a folder does not say which revision it holds.
  const own = revision === "main" ? [`${models}/${repository}`] : [];
  const lookedIn = [...(isPresetName(name) ? [`${models}/${name}`] : []), ...own];
  for (const folder of lookedIn) {
    if (await isFolder(folder)) return { folder, lookedIn };
  }
  return { folder: null, lookedIn };
}

/**
 * Finds the files of a preset's name, of a handle such as `hf://google/gemma-2-9b`, or of a folder, on this machine; a folder of
 * that name goes first.
 *
 * @throws {RangeError} when it is a bare name that neither a folder nor a preset has, or a handle of another kind.
 */
export async function findPreset(
  name: string,
  { environment = environmentVariable }: Pick<DownloadOptions, "environment"> = {},
): Promise<FoundPreset> {
  const own = await findOwn(name, environment);
  if (own.folder !== null) return own;
  const handle = handleOf(name)!;
  const cached = await cachedSnapshot(handle, "model", environment);
  return {
    folder: cached === null || cached.missing.length > 0 ? null : cached.folder,
    lookedIn: [...own.lookedIn, repositoryFolder(handle.repository, environment)],
  };
}

/**
 * The folder with the files of a preset's name or of a handle, which are downloaded where they are not on this machine, or
 * the folder itself. Downloads are shown on standard error unless there is a `reporter`, which may be `null`.
 *
 * @throws {RangeError} when it is a bare name that neither a folder nor a preset has, or a handle of another kind.
 * @throws {Error} when the files cannot be downloaded; the message says why, and where they were looked for.
 */
export async function folderOfPreset(name: string, options: DownloadOptions = {}): Promise<string> {
  const { environment = environmentVariable, reporter = showDownloads(), signal } = options;
  const { folder, lookedIn } = await findOwn(name, environment);
  if (folder !== null) return folder;
  let refusal: unknown = null;
  const check = async (path: string) => {
    try {
      await options.check?.(path);
    } catch (error) {
      refusal = error;
      throw error;
    }
  };
  try {
    return await downloadRepository(handleOf(name)!, { ...options, reporter, check });
  } catch (cause) {
    signal?.throwIfAborted();
    if (cause === refusal || !(cause instanceof Error) || lookedIn.length === 0) throw cause;
    const places = lookedIn.map((path) => `"${path}"`).join(" and ");
    throw new Error(`${cause.message}; there is none in ${places} either`, { cause });
  }
}
