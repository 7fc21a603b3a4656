/** Where the files of a preset lie on this machine, or come to lie; `repository_folder.ts` says where is looked. */
import { isFolder } from "@tessera/files";
import type { DownloadOptions } from "@tessera/hub";
import { handleOf, isPresetName, presetHint } from "./presets.ts";
import { findRepository, folderOfRepository, type FoundPreset } from "./repository_folder.ts";

/**
 * A path, or a repository of the Hub and the names that it has here.
 *
 * @throws {RangeError} when it is a bare name that neither a folder nor a preset has, or a handle of another kind.
 */
async function resolve(name: string) {
  if (await isFolder(name)) return { folder: name } as const;
  const handle = handleOf(name);
  if (handle !== null) return { handle, names: isPresetName(name) ? [name] : [] } as const;
  // A path gets the error of the file that is missing from it.
  if (/[/\\]/.test(name)) return { folder: name } as const;
  throw new RangeError(`Cannot load "${name}": there is no such folder and no preset of that name${presetHint(name)}`);
}

/**
 * Finds the files of a preset's name, of a handle such as `hf://google/gemma-2-9b`, or of a folder, on this machine; a folder of
 * that name goes first.
 *
 * @throws {RangeError} when it is a bare name that neither a folder nor a preset has, or a handle of another kind.
 */
export async function findPreset(
  name: string,
  options: Pick<DownloadOptions, "environment"> = {},
): Promise<FoundPreset> {
  const found = await resolve(name);
  if ("folder" in found) return { folder: found.folder, lookedIn: [] };
  return await findRepository(found.handle, found.names, options);
}

/**
 * The folder with the files of a preset's name or of a handle, which are downloaded where they are not on this machine, or
 * the folder itself. Downloads are shown on standard error unless there is a `reporter`, which may be `null`.
 *
 * @throws {RangeError} when it is a bare name that neither a folder nor a preset has, or a handle of another kind.
 * @throws {Error} when the files cannot be downloaded; the message says why, and where they were looked for.
 */
export async function folderOfPreset(name: string, options: DownloadOptions = {}): Promise<string> {
  const found = await resolve(name);
  return "folder" in found ? found.folder : await folderOfRepository(found.handle, found.names, options);
}
