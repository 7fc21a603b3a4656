/**
 * Downloading what Tessera reads of a repository into the cache that Hugging Face's tools share.
 *
 * A snapshot is complete before `refs/<revision>` names it, so that a half-downloaded one is never taken for a whole one, here or
 * in Python.
 */
import { dirname } from "node:path";
import { statfs } from "node:fs/promises";
import { checkOptions, formatBytes, HubError, listNames } from "@tessera/text";
import { blobPath, downloadBlob, incompletePath, sizeOfFile } from "./blob_download.ts";
import { environmentVariable, fileOf, folderOf, indexName, isFolder, readIndex, writeText } from "@tessera/files";
import { type Download, downloadOptionNames, type DownloadOptions } from "./download_options.ts";
import { type HubAccess, readHubAccess } from "../hub_access.ts";
import type { HubLimits } from "../hub_limits.ts";
import { cachedSnapshot, isCommit, repositoryFolder } from "./hub_cache.ts";
import { formatHandle, parseHandle, type RepositoryHandle } from "../hub_handle.ts";
import { withRedaction } from "../hub_secrets.ts";
import { listRepository, type RepositoryFile, type RepositoryListing } from "../hub_listing.ts";
import { filesOfPart } from "./repository_files.ts";

/** How many files are downloaded at a time. */
const lanes = 4;

/**
 * Downloads what is not in the cache of a repository such as `hf://google/gemma-2-9b` or `hf://google/gemma-2-9b@main`, and
 * gives the folder of the snapshot. A branch's newest commit is asked for; what the cache has of it serves where the hub
 * cannot be asked.
 *
 * @throws {TypeError} when an option has an unknown name.
 * @throws {RangeError} when it is no handle.
 * @throws {Error} when the repository lacks what is needed, the hub refuses or cannot be reached, the disk is full, or a file
 * is not what it should be; what is complete or can be resumed stays.
 */
export async function downloadRepository(
  handle: string | RepositoryHandle,
  options: DownloadOptions = {},
): Promise<string> {
  const { part = "model", environment = environmentVariable, signal = new AbortController().signal } = options;
  const wanted = typeof handle === "string" ? parseRequired(handle) : handle;
  checkOptions(`download "${formatHandle(wanted)}"`, options, downloadOptionNames);
  const { wait, limits, reporter } = options;
  const access = await readHubAccess(environment, { wait, limits, onWait: (text) => reporter?.waiting?.(text) });
  return await withRedaction(
    access,
    signal,
    () => downloadTo(access, wanted, { ...options, part, environment, signal }),
  );
}

async function downloadTo(
  access: HubAccess,
  wanted: RepositoryHandle,
  options: DownloadOptions & Required<Pick<DownloadOptions, "part" | "environment" | "signal">>,
): Promise<string> {
  const { part, environment, signal } = options;
  const { repository, revision } = wanted;
  const cached = await cachedSnapshot(wanted, part, environment);
  const isWhole = cached !== null && cached.missing.length === 0;
  if (isWhole && (access.isOffline || isCommit(revision))) return cached.folder;
  const home = repositoryFolder(repository, environment);
  if (access.isOffline) {
    throw new HubError(
      `Cannot load "${formatHandle(wanted)}": ${whyOffline(home, cached?.missing ?? null)}`,
      "offline",
    );
  }
  let listing: RepositoryListing;
  try {
    listing = await listRepository(access, wanted, { signal, ...(isWhole ? { tries: 1, timeout: 10_000 } : {}) });
  } catch (error) {
    signal.throwIfAborted();
    if (isWhole) return cached.folder;
    if (cached === null) throw error;
    const lacks = `the snapshot "${cached.folder}" lacks ${listNames(cached.missing)}`;
    const code = error instanceof HubError ? error.code : "unreachable";
    throw new HubError(`${(error as Error).message}; ${lacks}`, code, { cause: error });
  }
  const names = filesOfPart(repository, new Set(listing.files.keys()), part);
  const target: Target = { access, repository, home, commit: listing.commit, signal };
  const folder = snapshotFolder(target);
  const completes = await isFolder(folder);
  if (names.includes(indexName)) {
    await place(target, await absentFiles(folder, [fileNamed(listing, indexName, access.limits)]), () => {});
    names.push(...await shardsOf(target, listing));
  }
  const absent = await absentFiles(folder, names.map((name) => fileNamed(listing, name, access.limits)));
  if (absent.length > 0) await downloadFiles(target, absent, { revision, completes }, options);
  if ((part === "model" || part === "adapter") && !isCommit(revision)) {
    const ref = fileOf(`${home}/refs/${revision}`);
    if (await ref.text() !== listing.commit) await writeText(ref, listing.commit);
  }
  return folder;
}

function parseRequired(text: string): RepositoryHandle {
  const handle = parseHandle(text);
  if (handle !== null) return handle;
  throw new RangeError(`Cannot download "${text}": expected a handle such as "hf://google/gemma-2-9b"`);
}

function whyOffline(home: string, missing: readonly string[] | null): string {
  const found = missing === null
    ? `"${home}" has no snapshot of it`
    : `its snapshot in "${home}" lacks ${listNames(missing)}`;
  return `${found}, and HF_HUB_OFFLINE is set, so nothing is downloaded; unset it to go online`;
}

/** Where files come from and go to. */
interface Target {
  readonly access: HubAccess;
  readonly repository: string;
  readonly home: string;
  readonly commit: string;
  readonly signal: AbortSignal;
}

function snapshotFolder({ home, commit }: Target): string {
  return `${home}/snapshots/${commit}`;
}

/** Whether a file holds weights, which are never read into memory whole. */
function isWeights({ name }: RepositoryFile): boolean {
  return name.endsWith(".safetensors");
}

/** A file of a listing, which is known to be there. */
function fileNamed({ files }: RepositoryListing, name: string, { textBytes }: HubLimits): RepositoryFile {
  const file = files.get(name)!;
  if (!isWeights(file) && file.size > textBytes) {
    throw new HubError(
      `Cannot download "${name}": the hub lists it with ${
        formatBytes(file.size)
      }, and a file that is no weights has at most ` +
        formatBytes(textBytes),
      "unreachable",
    );
  }
  if (/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(file.etag)) return file;
  throw new TypeError(
    `Cannot download "${name}": the hub lists "${file.etag}" as its checksum, expected SHA-256 or SHA-1`,
  );
}

/** The files that the index, which is here, names. */
async function shardsOf(target: Target, { files }: RepositoryListing): Promise<string[]> {
  const shards = [...new Set(Object.values(await readIndex(folderOf(snapshotFolder(target)))))];
  const lacking = shards.filter((name) => !files.has(name));
  if (lacking.length === 0) return shards;
  throw new Error(
    `Cannot use the repository "${target.repository}": its "${indexName}" names ${
      listNames(lacking)
    }, which it does not have`,
  );
}

/** The files that a snapshot lacks, or has with another size. */
async function absentFiles(folder: string, files: readonly RepositoryFile[]): Promise<RepositoryFile[]> {
  const sizes = await Promise.all(files.map(({ name }) => sizeOfFile(`${folder}/${name}`)));
  return files.filter(({ size }, i) => sizes[i] !== size);
}

/** Announces the download, makes sure that there is room, and downloads. */
async function downloadFiles(
  target: Target,
  files: readonly RepositoryFile[],
  { revision, completes }: Pick<Download, "revision" | "completes">,
  { reporter, check }: DownloadOptions,
): Promise<void> {
  const { home, repository, commit } = target;
  const bytes = files.reduce((sum, { size }) => sum + size, 0);
  const here = await Promise.all(
    files.map(async (file) =>
      await sizeOfFile(blobPath(home, file)) ?? await sizeOfFile(incompletePath(home, file)) ?? 0
    ),
  );
  const present = here.reduce((sum, size) => sum + size, 0);
  await checkSpace(target, bytes - present);
  reporter?.begin({ repository, revision, commit, folder: home, completes, files, bytes, present });
  const sizes = new Map(files.map((file, i) => [file, here[i]!]));
  let done = present;
  const onSize = (file: RepositoryFile, size: number) => {
    done += size - sizes.get(file)!;
    sizes.set(file, size);
    reporter?.progress(done, bytes);
  };
  try {
    await place(target, files.filter((file) => !isWeights(file)), onSize);
    await check?.(snapshotFolder(target));
    await place(target, files.filter(isWeights), onSize);
  } finally {
    reporter?.end();
  }
}

/** Refuses a download that the disk has no room for, as far as the system tells. */
async function checkSpace({ home, repository }: Target, needed: number): Promise<void> {
  const free = await freeBytes(home);
  if (free === null || needed <= free) return;
  throw new Error(
    `Cannot download "${repository}" to "${home}": it needs ${formatBytes(needed)}, and the disk has ${
      formatBytes(free)
    } free; ` +
      "make room, or set HF_HUB_CACHE to a folder on another disk",
  );
}

/** The free bytes of the disk that holds a folder, which need not be there yet; `null` when they are not known. */
async function freeBytes(folder: string): Promise<number | null> {
  for (let path = folder;; path = dirname(path)) {
    try {
      const { bavail, bsize } = await statfs(path);
      return bavail * bsize;
    } catch (error) {
      if ((error as { code?: string }).code !== "ENOENT" || path === dirname(path)) return null;
    }
  }
}

/** Downloads files into the snapshot, the smallest first; the first failure ends them all. */
async function place(
  target: Target,
  files: readonly RepositoryFile[],
  onSize: (file: RepositoryFile, size: number) => void,
): Promise<void> {
  const failed = new AbortController();
  const signal = AbortSignal.any([target.signal, failed.signal]);
  const queue = [...files].sort((a, b) => a.size - b.size);
  const lane = async () => {
    for (let file; (file = queue.shift()) !== undefined;) {
      const next = file;
      const download = { ...target, file: next, signal, onSize: (size: number) => onSize(next, size) };
      await downloadBlob(download, (blob) => link(blob, `${snapshotFolder(target)}/${next.name}`, next));
    }
  };
  const results = await Promise.allSettled(Array.from({ length: Math.min(lanes, files.length) }, async () => {
    try {
      await lane();
    } catch (error) {
      failed.abort(error);
      throw error;
    }
  }));
  target.signal.throwIfAborted();
  // Lanes that were ended by another one have its error as their reason.
  for (const result of results) if (result.status === "rejected") throw failed.signal.reason;
}

/** Makes a file of a snapshot a link to its blob; where links cannot be made, the file itself is moved there. */
async function link(blob: string, path: string, { etag }: RepositoryFile): Promise<void> {
  await Deno.mkdir(dirname(path), { recursive: true });
  // A link that leads nowhere, or a file of another size, is replaced at once.
  const made = `${blob}.${crypto.randomUUID().slice(0, 8)}.link`;
  try {
    await Deno.symlink(`../../blobs/${etag}`, made, { type: "file" });
  } catch {
    await Deno.rename(blob, path);
    return;
  }
  await Deno.rename(made, path);
}
