/**
 * One file of a repository, downloaded into the cache: `blobs/<checksum>.incomplete` grows, and gets its name when its checksum
 * is right.
 *
 * What was written before a dropped connection, Ctrl-C or `kill -9` stays, and the next download resumes after it. The lock
 * is that of Hugging Face's own tools, `flock` on `.locks/<repository>/<checksum>.lock`, which ends with its process.
 */
import { createHash, type Hash } from "node:crypto";
import { formatDuration, HubError } from "@tessera/text";
import type { HubAccess } from "../hub_access.ts";
import { BodyError, piecesOf } from "../hub_body.ts";
import { timeFor } from "../hub_limits.ts";
import { backoff, requestHub, withWord } from "../hub_request.ts";
import type { RepositoryFile } from "../hub_listing.ts";

/** A file that is to be downloaded. */
export interface BlobDownload {
  /** How the hub is asked. */
  readonly access: HubAccess;
  /** The repository that has it. */
  readonly repository: string;
  /** The commit that it is of. */
  readonly commit: string;
  /** The file. */
  readonly file: RepositoryFile;
  /** The repository's folder in the cache. */
  readonly home: string;
  /** Called with the number of its bytes that are here, which falls when some turn out to be wrong. */
  readonly onSize: (bytes: number) => void;
  /** Ends it. */
  readonly signal: AbortSignal;
}

/** How often a connection may fail in a row without a byte, some two minutes in all. */
const mostTries = 9;
/** The bytes that are gathered for one write. */
const writeBytes = 2 ** 20;

/** The path of a file's blob in a repository's folder. */
export function blobPath(home: string, { etag }: RepositoryFile): string {
  return `${home}/blobs/${etag}`;
}

/** The path of a blob while it is loading. */
export function incompletePath(home: string, file: RepositoryFile): string {
  return `${blobPath(home, file)}.incomplete`;
}

/** The size of a file, through links, in bytes; `null` when there is none. */
export async function sizeOfFile(path: string): Promise<number | null> {
  try {
    return (await Deno.stat(path)).size;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

/**
 * Downloads a blob from where an earlier download stopped, and hands it to `use` while no other process can touch it.
 *
 * @throws {Error} when the hub refuses or keeps failing, the disk is full, or the bytes are not those that the checksum is of.
 */
export async function downloadBlob(download: BlobDownload, use: (blob: string) => Promise<void>): Promise<void> {
  const { access, home, file, signal } = download;
  const name = home.slice(home.lastIndexOf("/") + 1);
  const locks = `${home.slice(0, -name.length)}.locks/${name}`;
  await Deno.mkdir(`${home}/blobs`, { recursive: true });
  await Deno.mkdir(locks, { recursive: true });
  using lock = await Deno.open(`${locks}/${file.etag}.lock`, { read: true, write: true, create: true });
  // The lock ends with its process, so wait for this.
  await withWord(access, `Waiting for another download of ${describe(download)}`, async () => {
    while (!await tryLock(lock)) await access.wait(200, signal);
  });
  const blob = blobPath(home, file);
  if (await sizeOfFile(blob) !== file.size) {
    await fill(download);
    try {
      await Deno.rename(incompletePath(home, file), blob);
    } catch (error) {
      // Without locks, another process may have been faster.
      if (await sizeOfFile(blob) !== file.size) throw error;
    }
  }
  download.onSize(file.size);
  await use(blob);
}

/** Whether a lock is taken, or cannot be: some network disks have none, and there two processes write the same bytes to the same offsets. */
async function tryLock(lock: Deno.FsFile): Promise<boolean> {
  try {
    return await lock.tryLock(true);
  } catch {
    return true;
  }
}

/** What there is of a blob. */
interface Growing {
  readonly file: Deno.FsFile;
  /** The checksum of the bytes so far. */
  hash: Hash;
  /** The number of bytes so far. */
  size: number;
}

/** Fills the incomplete file of a blob, and checks it. */
async function fill(download: BlobDownload): Promise<void> {
  const { file, home, signal } = download;
  const path = incompletePath(home, file);
  using opened = await Deno.open(path, { read: true, write: true, create: true });
  const blob: Growing = { file: opened, hash: newHash(file), size: 0 };
  await rehash(blob, download);
  let isResumed = blob.size > 0;
  for (;;) {
    await fetchRest(blob, download);
    const found = blob.hash.digest("hex");
    if (found === file.etag) break;
    if (!isResumed) {
      await Deno.remove(path);
      throw new Error(
        `Cannot use ${describe(download)}: its checksum is ${found}, expected ${file.etag}; it was removed, so ` +
          "download it again, and look at what stands between this machine and the hub if that happens twice",
      );
    }
    // What an earlier process left may be what is wrong.
    signal.throwIfAborted();
    isResumed = false;
    await startAgain(blob, download);
  }
  await opened.sync();
}

/** A checksum by the name of the blob: SHA-256, or the SHA-1 of git, which counts the size too. */
function newHash({ etag, size }: RepositoryFile): Hash {
  return etag.length === 64 ? createHash("sha256") : createHash("sha1").update(`blob ${size}\0`);
}

function describe({ file, repository }: BlobDownload): string {
  return `"${file.name}" of ${repository}`;
}

/** Reads what an earlier download left. */
async function rehash(blob: Growing, { file, signal }: BlobDownload): Promise<void> {
  if ((await blob.file.stat()).size > file.size) await blob.file.truncate(0);
  const buffer = new Uint8Array(writeBytes);
  for (let count; (count = await blob.file.read(buffer)) !== null; blob.size += count) {
    signal.throwIfAborted();
    blob.hash.update(buffer.subarray(0, count));
  }
}

async function startAgain(blob: Growing, { file, onSize }: BlobDownload): Promise<void> {
  onSize(0);
  await blob.file.truncate(0);
  await blob.file.seek(0, Deno.SeekMode.Start);
  [blob.hash, blob.size] = [newHash(file), 0];
}

/** Fetches what is missing, however often the connection is dropped, as long as bytes come now and then. */
async function fetchRest(blob: Growing, download: BlobDownload): Promise<void> {
  const { access, file, signal } = download;
  const totalMs = timeFor(file.size, access.limits) + access.limits.waitMs;
  const endsAt = performance.now() + totalMs;
  for (let failed = 0; blob.size < file.size;) {
    const begin = blob.size;
    let cause: unknown;
    try {
      await fetchOnce(blob, download, endsAt);
      cause = new Error("The connection ended early");
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof BodyError)) throw error;
      cause = error;
    }
    if (blob.size >= file.size) return;
    if (performance.now() >= endsAt || cause instanceof BodyError && cause.isOver) {
      throw new HubError(
        `Cannot download ${describe(download)}: only ${blob.size} of its ${file.size} bytes have come in ` +
          `${formatDuration(totalMs / 1000)}; what is here is kept, so run the same again to resume`,
        "unreachable",
        { cause },
      );
    }
    failed = blob.size > begin ? 0 : failed + 1;
    if (failed >= mostTries) {
      throw new HubError(
        `Cannot download ${describe(download)}: the connection was dropped ${failed} times at byte ${blob.size} of ` +
          `${file.size} (${(cause as Error).message}); what is here is kept, so run the same again to resume`,
        "unreachable",
        { cause },
      );
    }
    if (failed > 0) await access.wait(backoff(failed), signal);
  }
}

/** Makes one request, and writes what it brings. */
async function fetchOnce(blob: Growing, download: BlobDownload, endsAt: number): Promise<void> {
  const { access, repository, commit, file, signal } = download;
  const response = await requestHub(access, `/${repository}/resolve/${commit}/${encodeURIComponent(file.name)}`, {
    purpose: `download ${describe(download)}`,
    repository,
    // An empty range would be an error.
    headers: blob.size === 0 ? {} : { range: `bytes=${blob.size}-` },
    understood: [416],
    tries: mostTries,
    signal,
  });
  const [, begin, total] = /^bytes (\d+)-\d+\/(\d+)$/.exec(response.headers.get("content-range") ?? "") ?? [];
  const isBehind = response.status === 206 && Number(begin) === blob.size && Number(total) === file.size;
  if (!isBehind && blob.size > 0) await startAgain(blob, download);
  if (response.status === 416 || response.status === 206 && !isBehind) return await response.body?.cancel();
  const totalMs = Math.max(0, endsAt - performance.now());
  await writeBody(piecesOf(response, access, { totalMs, what: `the rest of ${describe(download)}` }), blob, download);
}

/** Writes a body behind what is there; a buffer's worth at a time, and what there is of it when it breaks off. */
async function writeBody(
  pieces: AsyncIterable<Uint8Array<ArrayBuffer>>,
  blob: Growing,
  download: BlobDownload,
): Promise<void> {
  const { file, onSize } = download;
  const buffer = new Uint8Array(Math.min(writeBytes, Math.max(1, file.size)));
  let filled = 0;
  const flush = async () => {
    const bytes = buffer.subarray(0, filled);
    for (let done = 0; done < bytes.length;) done += await write(blob.file, bytes.subarray(done), download);
    blob.hash.update(bytes);
    blob.size += filled;
    filled = 0;
  };
  try {
    for await (const value of pieces) {
      if (blob.size + filled + value.length > file.size) {
        throw new Error(
          `Cannot download ${describe(download)}: the server sends more than the ${file.size} bytes that the hub lists`,
        );
      }
      onSize(blob.size + filled + value.length);
      for (let at = 0; at < value.length;) {
        const piece = value.subarray(at, at + buffer.length - filled);
        buffer.set(piece, filled);
        [filled, at] = [filled + piece.length, at + piece.length];
        if (filled === buffer.length) await flush();
      }
    }
  } finally {
    await flush();
  }
}

async function write(file: Deno.FsFile, bytes: Uint8Array, download: BlobDownload): Promise<number> {
  try {
    return await file.write(bytes);
  } catch (cause) {
    const { code, message } = cause as Error & { code?: string };
    if (code !== "ENOSPC") throw cause;
    throw new Error(
      `Cannot download ${describe(download)} to "${download.home}": the disk is full (${message}); make room, or set ` +
        "HF_HUB_CACHE to a folder on another disk, and run the same again to resume",
      { cause },
    );
  }
}
