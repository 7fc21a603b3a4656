/** What the hub has of a repository: its commit, and its files with their sizes and checksums. */
import { z } from "zod";
import { formatBytes, HubError } from "@tessera/text";
import type { HubAccess } from "./hub_access.ts";
import { BodyError, readText } from "./hub_body.ts";
import { type HubRequest, requestHub } from "./hub_request.ts";
import type { RepositoryHandle } from "./hub_handle.ts";
import { withRedaction } from "./hub_secrets.ts";
import { checkJson, parseJson } from "@tessera/files";

/** A file of a repository. */
export interface RepositoryFile {
  /** Its name; only files that lie in no folder are listed. */
  readonly name: string;
  /** Its size in bytes. */
  readonly size: number;
  /** What its blob is called: the SHA-256 of a large file, or the SHA-1 that git gives a small one. */
  readonly etag: string;
}

/** A repository at one commit. */
export interface RepositoryListing {
  /** The commit, 40 hexadecimal digits. */
  readonly commit: string;
  /** Its files by name. */
  readonly files: ReadonlyMap<string, RepositoryFile>;
}

const infoSchema = z.looseObject({ sha: z.string().regex(/^[0-9a-f]{40}$/) });

const treeSchema = z.array(z.looseObject({
  type: z.string(),
  path: z.string(),
  size: z.number().int().nonnegative().default(0),
  oid: z.string(),
  lfs: z.looseObject({ oid: z.string(), size: z.number().int().nonnegative() }).nullish(),
}));

/**
 * Asks the hub what a repository has.
 *
 * @throws {Error} when the hub cannot be reached, or has no such repository or revision.
 * @throws {TypeError} when it answers something else than a hub does.
 */
export async function listRepository(
  access: HubAccess,
  { repository, revision }: RepositoryHandle,
  options: Pick<HubRequest, "tries" | "timeout" | "signal"> & Partial<Pick<HubRequest, "purpose">> = {},
): Promise<RepositoryListing> {
  const api = `/api/models/${repository}`;
  const request = { purpose: `download "${repository}"`, repository, ...options };
  const answer = await requestHub(access, `${api}/revision/${encodeURIComponent(revision)}`, request);
  const { sha: commit } = await readAnswer(access, answer, infoSchema, request);
  const files = new Map<string, RepositoryFile>();
  const { listingPages, listingFiles } = access.limits;
  const refuse = (problem: string): never => {
    throw new HubError(`Cannot ${request.purpose}: the listing of "${repository}" ${problem}`, "unreachable");
  };
  // Pages that come one by one, each in its time, must end together.
  const endsAt = performance.now() + 5 * access.limits.graceMs;
  const asked = new Set<string>();
  let next: string | null = `${api}/tree/${commit}`;
  while (next !== null) {
    if (asked.size === listingPages) refuse(`has more than ${listingPages} pages; no model has`);
    if (asked.has(next)) refuse("leads back to a page that was read");
    if (performance.now() > endsAt) refuse("does not end in the time for it");
    asked.add(next);
    const page: Response = await requestHub(access, next, request);
    for (const { type, path: name, size, oid, lfs } of await readAnswer(access, page, treeSchema, request)) {
      if (type === "file" && isPlainName(name)) {
        files.set(name, { name, size: lfs?.size ?? size, etag: lfs?.oid ?? oid });
      }
    }
    if (files.size > listingFiles) refuse(`has more than ${listingFiles} files outside of folders; no model has`);
    const [, link] = /<([^>]+)>;\s*rel="next"/.exec(page.headers.get("link") ?? "") ?? [];
    // What leads to no address of the network is refused where it is asked.
    next = link === undefined ? null : URL.parse(link, page.url)?.href ?? link;
  }
  return { commit, files };
}

/**
 * The JSON of an answer, checked against a schema.
 *
 * @throws {HubError} when it stalls, does not end, or is too large.
 * @throws {SyntaxError} when it is no JSON, as from a proxy that asks for a login.
 * @throws {TypeError} when a field is missing or of the wrong kind.
 */
export async function readAnswer<S extends z.ZodType>(
  access: HubAccess,
  response: Response,
  schema: S,
  request: Pick<HubRequest, "purpose" | "signal">,
): Promise<z.output<S>> {
  return await withRedaction(access, request.signal, async () => {
    // An echoed token would be cut by the parser's message, and not be found in it.
    const text = access.hide(await readAnswerText(access, response, request));
    return checkJson(response.url, parseJson(response.url, text), schema);
  });
}

/**
 * The text of an answer.
 *
 * @throws {HubError} when it stalls, does not end, or is too large.
 */
export async function readAnswerText(
  access: HubAccess,
  response: Response,
  { purpose, signal }: Pick<HubRequest, "purpose" | "signal">,
): Promise<string> {
  const { answerBytes } = access.limits;
  const origin = new URL(response.url).origin;
  const fail = (problem: string, options?: ErrorOptions): never => {
    throw new HubError(
      `Cannot ${purpose}: the answer of ${origin} ${problem}; try again, or look at what stands between this machine and the hub`,
      "unreachable",
      options,
    );
  };
  const totalMs = access.limits.graceMs;
  try {
    const { text, isWhole } = await readText(response, access, {
      totalMs,
      what: `the answer of ${origin}`,
      maxBytes: answerBytes,
    });
    // Runtimes differ in whether they decompress what was asked for as it is; what they do is counted above.
    if (text.startsWith("\x1f\ufffd")) fail("is compressed, although it was asked for as it is");
    return isWhole ? text : fail(`has more than ${formatBytes(answerBytes)}`);
  } catch (cause) {
    signal?.throwIfAborted();
    if (!(cause instanceof BodyError)) throw cause;
    return fail(`broke off (${cause.message})`, { cause });
  }
}

/** Whether a name leads nowhere else than to a file of the folder that it is put into. */
function isPlainName(name: string): boolean {
  return /^[^/\\\0]+$/.test(name) && name !== "..";
}
