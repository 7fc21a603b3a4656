/**
 * Large files, which the hub keeps apart from the repository by their SHA-256: Git LFS's batch API, with the hub's own way of
 * sending a file in parts.
 *
 * - https://github.com/git-lfs/git-lfs/blob/main/docs/api/batch.md
 * - https://github.com/huggingface/huggingface_hub/blob/main/src/huggingface_hub/lfs.py
 */
import { z } from "zod";
import { countedBlob } from "@tessera/files";
import type { HubAccess } from "../hub_access.ts";
import { type HubRequest, requestHub } from "../hub_request.ts";
import { readAnswer } from "../hub_listing.ts";

/** A file that is to be sent, whose digest is known. */
export interface LargeFile {
  /** Its path in the repository. */
  readonly path: string;
  /** Its content. */
  readonly content: Blob;
  /** The SHA-256 of its content, in hexadecimal digits. */
  readonly sha256: string;
}

/** Where files go, and who is told of it. */
export interface UploadContext {
  /** The hub. */
  readonly access: HubAccess;
  /** The repository, such as `google/gemma-2-9b`. */
  readonly repository: string;
  /** Ends the upload. */
  readonly signal?: AbortSignal;
}

const action = z.object({ href: z.string(), header: z.record(z.string(), z.string()).optional() });

const answer = z.object({
  objects: z.array(z.object({
    oid: z.string(),
    actions: z.object({ upload: action.optional(), verify: action.optional() }).nullish(),
    error: z.object({ message: z.string() }).optional(),
  })),
});

/** Where a large file goes. */
type Actions = NonNullable<z.output<typeof answer>["objects"][number]["actions"]>;

const lfsJson = "application/vnd.git-lfs+json";
const filesInBatch = 100;
const partsAtOnce = 4;
/** A busy or lost connection is waited for about two minutes. */
const tries = 9;

/** Asks where large files go; one that the hub has already is left out. */
export async function requestActions(
  files: readonly LargeFile[],
  { access, repository, signal }: UploadContext,
): Promise<Map<LargeFile, Actions>> {
  const found = new Map<LargeFile, Actions>();
  for (let begin = 0; begin < files.length; begin += filesInBatch) {
    const batch = files.slice(begin, begin + filesInBatch);
    const about = { purpose: `upload to ${repository}`, repository, ...(signal === undefined ? {} : { signal }) };
    const response = await requestHub(access, `/${repository}.git/info/lfs/objects/batch`, {
      ...about,
      method: "POST",
      headers: { "accept": lfsJson, "content-type": lfsJson },
      body: JSON.stringify({
        operation: "upload",
        transfers: ["basic", "multipart"],
        hash_algo: "sha256",
        ref: { name: "main" },
        objects: batch.map(({ sha256, content }) => ({ oid: sha256, size: content.size })),
      }),
      tries,
    });
    const { objects } = await readAnswer(access, response, answer, about);
    for (const { oid, actions, error } of objects) {
      const file = batch.find(({ sha256 }) => sha256 === oid);
      if (file === undefined) continue;
      if (error !== undefined) throw new Error(`Cannot upload "${file.path}" to ${repository}: ${error.message}`);
      if (actions?.upload) found.set(file, actions);
    }
  }
  return found;
}

/**
 * Sends a large file; `onSent` is told how many of its bytes are on their way.
 *
 * @throws {Error} when it cannot be sent.
 */
export async function uploadObject(
  file: LargeFile,
  actions: Actions,
  context: UploadContext,
  onSent: (bytes: number) => void,
): Promise<void> {
  // An address expires after a while, and is then asked for again.
  if (!(await send(file, actions, context, onSent, [400, 401, 403]))) {
    const fresh = (await requestActions([file], context)).get(file);
    if (fresh !== undefined) await send(file, fresh, context, onSent, []);
  }
  const { verify } = actions;
  if (verify === undefined) return;
  const body = JSON.stringify({ oid: file.sha256, size: file.content.size });
  await (await post(verify.href, body, file, context)).body?.cancel();
}

/** Sends a file whole or in parts, as the hub wants it; false when it answered with one of the refused statuses. */
async function send(
  file: LargeFile,
  { upload }: Actions,
  context: UploadContext,
  onSent: (bytes: number) => void,
  refused: readonly number[],
): Promise<boolean> {
  const { href, header = {} } = upload!;
  const partBytes = Number(header["chunk_size"] ?? 0);
  if (!(partBytes > 0)) return (await put(href, file.content, file, context, onSent, refused)).ok;
  const numbers = Object.keys(header).filter((key) => /^\d+$/.test(key)).sort((a, b) => Number(a) - Number(b));
  const count = Math.ceil(file.content.size / partBytes);
  if (numbers.length !== count) {
    throw new Error(
      `Cannot upload "${file.path}" to ${context.repository}: the hub asks for ${numbers.length} parts of ${partBytes} bytes, ` +
        `the file has ${count}`,
    );
  }
  const sent = new Array<number>(count).fill(0);
  const parts: { partNumber: number; etag: string }[] = [];
  let [next, isRefused] = [0, false];
  async function sendParts(): Promise<void> {
    while (next < count && !isRefused) {
      const i = next++;
      const content = file.content.slice(i * partBytes, Math.min(file.content.size, (i + 1) * partBytes));
      const response = await put(header[numbers[i]!]!, content, file, context, (bytes) => {
        sent[i] = bytes;
        onSent(sent.reduce((sum, part) => sum + part, 0));
      }, refused);
      const etag = response.headers.get("etag");
      if (!response.ok) isRefused = true;
      else if (etag === null) {
        throw new Error(
          `Cannot upload "${file.path}" to ${context.repository}: part ${i + 1} was answered without an ETag`,
        );
      } else parts[i] = { partNumber: Number(numbers[i]), etag };
    }
  }
  await Promise.all(Array.from({ length: Math.min(partsAtOnce, count) }, sendParts));
  if (isRefused) return false;
  await (await post(href, JSON.stringify({ oid: file.sha256, parts }), file, context)).body?.cancel();
  return true;
}

async function put(
  href: string,
  content: Blob,
  file: LargeFile,
  context: UploadContext,
  onSent: (bytes: number) => void,
  understood: readonly number[],
): Promise<Response> {
  // A try that follows another counts from the beginning.
  const response = await requestFor(href, file, context, {
    method: "PUT",
    body: countedBlob(content, onSent),
    understood,
  });
  await response.body?.cancel();
  if (response.ok) onSent(content.size);
  return response;
}

async function post(
  href: string,
  body: string,
  file: LargeFile,
  context: UploadContext,
): Promise<Response> {
  const headers = { "accept": lfsJson, "content-type": lfsJson };
  return await requestFor(href, file, context, { method: "POST", headers, body });
}

/** A request for a file to an address that the hub has given. */
async function requestFor(
  href: string,
  { path }: LargeFile,
  { access, repository, signal }: UploadContext,
  request: Pick<HubRequest, "method" | "headers" | "body" | "understood">,
): Promise<Response> {
  return await requestHub(access, href, {
    ...request,
    purpose: `upload "${path}" to ${repository}`,
    repository,
    tries,
    ...(signal === undefined ? {} : { signal }),
  });
}
