/**
 * Where the files of a repository lie on this machine, or come to lie.
 *
 * Looked for, in this order: `<models>/<name>` for each name that it has here and `<models>/<repository>`, where `<models>` is the
 * folder that `TESSERA_MODELS` names, or `models` in the working folder; then the cache that Hugging Face's own tools share, in
 * the folder that `HF_HUB_CACHE` or `HF_HOME` names, or `.cache/huggingface` of the user's home. What is nowhere is downloaded to
 * that cache.
 */
import { environmentVariable, isFolder } from "@tessera/files";
import {
  cachedSnapshot,
  type DownloadOptions,
  downloadRepository,
  type EnvironmentReader,
  repositoryFolder,
  type RepositoryHandle,
  showDownloads,
} from "@tessera/hub";
import { HubError } from "@tessera/text";

/** A folder or preset as a user names it, found. */
export interface FoundPreset {
  /** The folder that holds its files; `null` when there is none on this machine, or one of the cache that lacks some. */
  readonly folder: string | null;
  /** Where its files were looked for, in order; empty for a path. */
  readonly lookedIn: readonly string[];
}

/** A repository in a folder of the user's own, under its own name or another; `null` when there is none. */
async function findOwn(
  { repository, revision }: RepositoryHandle,
  names: readonly string[],
  environment: EnvironmentReader,
): Promise<FoundPreset> {
  const models = environment("TESSERA_MODELS") ?? "models";
  // Such a folder does not say which revision it holds.
  const own = revision === "main" ? [repository] : [];
  const lookedIn = [...names, ...own].map((name) => `${models}/${name}`);
  for (const folder of lookedIn) {
    if (await isFolder(folder)) return { folder, lookedIn };
  }
  return { folder: null, lookedIn };
}

/** Finds the files of a repository on this machine, under its own name or others. */
export async function findRepository(
  handle: RepositoryHandle,
  names: readonly string[] = [],
  { environment = environmentVariable }: Pick<DownloadOptions, "environment"> = {},
): Promise<FoundPreset> {
  const own = await findOwn(handle, names, environment);
  if (own.folder !== null) return own;
  const cached = await cachedSnapshot(handle, "model", environment);
  return {
    folder: cached === null || cached.missing.length > 0 ? null : cached.folder,
    lookedIn: [...own.lookedIn, repositoryFolder(handle.repository, environment)],
  };
}

/**
 * The folder with the files of a repository, which are downloaded where they are not on this machine. Downloads are shown on
 * standard error unless there is a `reporter`, which may be `null`.
 *
 * @throws {Error} when the files cannot be downloaded; the message says why, and where they were looked for.
 */
export async function folderOfRepository(
  handle: RepositoryHandle,
  names: readonly string[] = [],
  options: DownloadOptions = {},
): Promise<string> {
  const { environment = environmentVariable, reporter = showDownloads(), signal } = options;
  const { folder, lookedIn } = await findOwn(handle, names, environment);
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
    return await downloadRepository(handle, { ...options, reporter, check });
  } catch (cause) {
    signal?.throwIfAborted();
    if (cause === refusal || !(cause instanceof Error) || lookedIn.length === 0) throw cause;
    const places = lookedIn.map((path) => `"${path}"`).join(" and ");
    const message = `${cause.message}; there is none in ${places} either`;
    throw cause instanceof HubError ? new HubError(message, cause.code, { cause }) : new Error(message, { cause });
  }
}
