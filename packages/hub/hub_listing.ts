/** What the hub has of a repository: its commit, and its files with their sizes and checksums. */
import { z } from "zod";
import { type HubAccess, type HubRequest, requestHub } from "./hub_access.ts";
import type { RepositoryHandle } from "./hub_handle.ts";
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
  const { sha: commit } = await readAnswer(answer, infoSchema);
  const files = new Map<string, RepositoryFile>();
  let next: string | URL | null = `${api}/tree/${commit}`;
  while (next !== null) {
    const page: Response = await requestHub(access, next, request);
    for (const { type, path: name, size, oid, lfs } of await readAnswer(page, treeSchema)) {
      if (type === "file" && isPlainName(name)) {
        files.set(name, { name, size: lfs?.size ?? size, etag: lfs?.oid ?? oid });
      }
    }
    const [, link] = /<([^>]+)>;\s*rel="next"/.exec(page.headers.get("link") ?? "") ?? [];
    next = link === undefined ? null : new URL(link, page.url);
  }
  return { commit, files };
}

/**
 * The JSON of an answer, checked against a schema.
 *
 * @throws {SyntaxError} when it is no JSON, as from a proxy that asks for a login.
 * @throws {TypeError} when a field is missing or of the wrong kind.
 */
export async function readAnswer<S extends z.ZodType>(response: Response, schema: S): Promise<z.output<S>> {
  return checkJson(response.url, parseJson(response.url, await response.text()), schema);
}

/** Whether a name leads nowhere else than to a file of the folder that it is put into. */
function isPlainName(name: string): boolean {
  return /^[^/\\\0]+$/.test(name) && name !== "..";
}
