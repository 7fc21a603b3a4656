/**
 * The cache that Hugging Face's tools share: for each repository a folder `models--owner--name`, in it `blobs` named by their
 * checksums, `snapshots/<commit>` with a link for each file, and `refs/<revision>` with the commit of a branch or tag.
 */
import { environmentVariable, fileOf, folderOf, isFolder } from "@tessera/files";
import { type EnvironmentReader, expandHome, hubHome } from "../hub_access.ts";
import type { RepositoryHandle } from "../hub_handle.ts";
import { missingFiles, type RepositoryPart } from "./repository_files.ts";

/** The folder of the cache: that of `HF_HUB_CACHE`, or `hub` in the folder of Hugging Face's tools. */
function hubCache(environment: EnvironmentReader): string {
  return expandHome(environment("HF_HUB_CACHE") ?? `${hubHome(environment)}/hub`, environment);
}

/** The folder of the cache that holds a repository's files. */
export function repositoryFolder(repository: string, environment: EnvironmentReader = environmentVariable): string {
  return `${hubCache(environment)}/models--${repository.replaceAll("/", "--")}`;
}

/** Whether a revision is a commit, whose files never change. */
export function isCommit(revision: string): boolean {
  return /^[0-9a-f]{40}$/.test(revision);
}

/** A snapshot in the cache. */
export interface CachedSnapshot {
  /** Its folder. */
  readonly folder: string;
  /** The files of the requested part that it lacks, as far as that is known without the hub. */
  readonly missing: readonly string[];
}

/** The snapshot of a revision in a repository's folder, whole or not; `null` when there is none. */
export async function cachedSnapshot(
  { repository, revision }: RepositoryHandle,
  part: RepositoryPart,
  environment: EnvironmentReader = environmentVariable,
): Promise<CachedSnapshot | null> {
  const home = repositoryFolder(repository, environment);
  const commit = isCommit(revision) ? revision : (await fileOf(`${home}/refs/${revision}`).text())?.trim();
  if (commit === undefined || !/^[\w.-]+$/.test(commit)) return null;
  const folder = `${home}/snapshots/${commit}`;
  return await isFolder(folder) ? { folder, missing: await missingFiles(folderOf(folder), part) } : null;
}
