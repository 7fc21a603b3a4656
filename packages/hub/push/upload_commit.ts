/**
 * Files as one commit to a repository: what is there already is not sent again, and all of it is there at once or not at all.
 *
 * The hub's API: https://github.com/huggingface/huggingface_hub/blob/main/src/huggingface_hub/_commit_api.py
 */
import { z } from "zod";
import { requestHub } from "../hub_request.ts";
import { readAnswer, type RepositoryFile } from "../hub_listing.ts";
import { sha256 } from "./sha256.ts";
import { type LargeFile, requestActions, type UploadContext, uploadObject } from "./upload_objects.ts";

/** A file that a repository is to have. */
export interface UploadFile {
  /** Its path in the repository. */
  readonly path: string;
  /** Its content. */
  readonly content: Blob;
}

/** How far an upload has come. */
export interface UploadProgress {
  /** What is being done: reading large files for their digests, or sending them. */
  readonly phase: "hash" | "upload";
  /** The bytes that are done. */
  readonly done: number;
  /** The bytes in all. */
  readonly total: number;
}

/** What an upload is to change, and how it tells about itself. */
export interface CommitOptions {
  /** One line for the history. */
  readonly summary: string;
  /** Paths of files that the repository is to have no more. */
  readonly removed: readonly string[];
  /** The files that are there, by name. */
  readonly remote: ReadonlyMap<string, RepositoryFile>;
  /** Called as the work proceeds. */
  readonly onProgress: (progress: UploadProgress) => void;
}

/** What an upload came to. */
export interface Committed {
  /** The commit; `null` when everything was there already. */
  readonly commit: string | null;
  /** The paths of the files that the commit has changed. */
  readonly changed: readonly string[];
  /** The bytes of large files that were sent; none for those that the hub had from elsewhere. */
  readonly sentBytes: number;
}

/**
 * Makes the main branch of a repository have these files, in one commit.
 *
 * @throws {Error} when the hub cannot be reached or refuses; the repository is then as it was.
 */
export async function commitFiles(
  files: readonly UploadFile[],
  { summary, removed, remote, onProgress }: CommitOptions,
  context: UploadContext,
): Promise<Committed> {
  const large = await chooseLarge(files, context);
  const digests = await hashLarge(files.filter((file) => large.has(file)), onProgress, context);
  const lines: unknown[] = [];
  const changed: string[] = [];
  const toSend: LargeFile[] = [];
  for (const file of files) {
    const { path, content } = file;
    const known = remote.get(path)?.etag;
    const digest = digests.get(file);
    if (digest !== undefined) {
      if (known === digest) continue;
      toSend.push({ path, content, sha256: digest });
      lines.push({ key: "lfsFile", value: { path, algo: "sha256", oid: digest, size: content.size } });
    } else {
      const bytes = await content.bytes();
      if (known === await gitDigest(bytes)) continue;
      lines.push({ key: "file", value: { path, content: bytes.toBase64(), encoding: "base64" } });
    }
    changed.push(path);
  }
  for (const path of removed) lines.push({ key: "deletedFile", value: { path } });
  if (lines.length === 0) return { commit: null, changed, sentBytes: 0 };
  const sentBytes = await sendLarge(toSend, onProgress, context);
  const commit = await sendCommit([{ key: "header", value: { summary, description: "" } }, ...lines], context);
  return { commit, changed: [...changed, ...removed], sentBytes };
}

/** What the hub is told of a file that is to come. */
interface FileSample {
  /** Its path. */
  readonly path: string;
  /** Its size, in bytes. */
  readonly size: number;
  /** How it begins, in base64. */
  readonly sample: string;
}

const modes = z.object({ files: z.array(z.object({ path: z.string(), uploadMode: z.enum(["lfs", "regular"]) })) });
const sampleBytes = 512;

/**
 * Asks which files the hub wants apart from the repository, by their paths; nothing is changed, but it takes the right to write.
 *
 * @throws {Error} when the hub refuses.
 */
export async function askModes(
  files: readonly FileSample[],
  { access, repository, signal }: UploadContext,
): Promise<Set<string>> {
  const purpose = `push to ${repository}`;
  const response = await requestHub(access, `/api/models/${repository}/preupload/main`, {
    purpose,
    repository,
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ files }),
    ...(signal === undefined ? {} : { signal }),
  });
  const answer = await readAnswer(access, response, modes, { purpose, ...(signal === undefined ? {} : { signal }) });
  return new Set(answer.files.filter(({ uploadMode }) => uploadMode === "lfs").map(({ path }) => path));
}

/** The files that the hub wants apart; it knows by their names, their sizes and how they begin. */
async function chooseLarge(files: readonly UploadFile[], context: UploadContext): Promise<Set<UploadFile>> {
  const samples = await Promise.all(files.map(async ({ path, content }) => ({
    path,
    size: content.size,
    sample: (await content.slice(0, sampleBytes).bytes()).toBase64(),
  })));
  const large = await askModes(samples, context);
  // Git LFS has no empty files.
  return new Set(files.filter(({ path, content }) => content.size > 0 && large.has(path)));
}

async function hashLarge(
  files: readonly UploadFile[],
  onProgress: (progress: UploadProgress) => void,
  { signal }: UploadContext,
): Promise<Map<UploadFile, string>> {
  const total = files.reduce((sum, { content }) => sum + content.size, 0);
  const digests = new Map<UploadFile, string>();
  let done = 0;
  for (const file of files) {
    digests.set(
      file,
      await sha256(file.content, (bytes) => {
        signal?.throwIfAborted();
        done += bytes;
        onProgress({ phase: "hash", done, total });
      }),
    );
  }
  return digests;
}

async function sendLarge(
  files: readonly LargeFile[],
  onProgress: (progress: UploadProgress) => void,
  context: UploadContext,
): Promise<number> {
  const actions = files.length === 0 ? new Map<LargeFile, never>() : await requestActions(files, context);
  const total = [...actions.keys()].reduce((sum, { content }) => sum + content.size, 0);
  let before = 0;
  for (const [file, where] of actions) {
    await uploadObject(file, where, context, (sent) => onProgress({ phase: "upload", done: before + sent, total }));
    before += file.content.size;
  }
  return total;
}

const committed = z.object({ commitOid: z.string() });

async function sendCommit(lines: readonly unknown[], { access, repository, signal }: UploadContext): Promise<string> {
  const purpose = `commit to ${repository}`;
  const response = await requestHub(access, `/api/models/${repository}/commit/main`, {
    purpose,
    repository,
    method: "POST",
    headers: { "content-type": "application/x-ndjson" },
    body: lines.map((line) => JSON.stringify(line)).join("\n"),
    understood: [409, 412],
    ...(signal === undefined ? {} : { signal }),
  });
  if (!response.ok) {
    await response.body?.cancel();
    throw new Error(`Cannot commit to ${repository}: somebody else has changed it meanwhile; push again`);
  }
  return (await readAnswer(access, response, committed, { purpose, ...(signal === undefined ? {} : { signal }) }))
    .commitOid;
}

/** The name that git gives to the content of a file. */
async function gitDigest(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const head = new TextEncoder().encode(`blob ${bytes.length}\0`);
  const whole = new Uint8Array(head.length + bytes.length);
  whole.set(head);
  whole.set(bytes, head.length);
  return new Uint8Array(await crypto.subtle.digest("SHA-1", whole)).toHex();
}
