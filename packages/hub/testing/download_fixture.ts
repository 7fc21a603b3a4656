/** What the tests of downloads share. */
import { downloadRepository } from "../download/download.ts";
import type { DownloadOptions } from "../download/download_options.ts";
import { type HubServer, type ServedRepository, type ServedRequest, serveHub } from "./hub_server.ts";

/** A hub, an empty cache, and what downloads from one to the other. */
export interface DownloadFixture {
  /** The hub, which has `me/model`. */
  readonly hub: HubServer;
  /** The folder of the repository in the cache. */
  readonly home: string;
  /** Downloads `hf://me/model` as an environment says. */
  readonly download: (options?: DownloadOptions, variables?: Readonly<Record<string, string>>) => Promise<string>;
  /** The variables of the environment. */
  readonly variables: Readonly<Record<string, string>>;
}

/** Runs a test with a hub that has `me/model`, and an empty cache. */
export async function withDownloads(
  repository: ServedRepository,
  run: (fixture: DownloadFixture) => Promise<void>,
): Promise<void> {
  await using hub = serveHub({ "me/model": repository });
  const root = await Deno.makeTempDir({ prefix: "tessera-hub-" });
  const variables = { HF_ENDPOINT: hub.endpoint, HF_HOME: root };
  try {
    await run({
      hub,
      variables,
      home: `${root}/hub/models--me--model`,
      download: (options = {}, more = {}) => {
        const all: Readonly<Record<string, string>> = { ...variables, ...more };
        const wait = () => Promise.resolve();
        return downloadRepository("hf://me/model", { wait, environment: (name) => all[name], ...options });
      },
    });
  } finally {
    await Deno.remove(root, { recursive: true });
  }
}

/** What a snapshot holds, by name. */
export async function contentsOf(folder: string): Promise<Record<string, Uint8Array>> {
  return Object.fromEntries(
    await Promise.all(names(folder).map(async (name) => [name, await Deno.readFile(`${folder}/${name}`)])),
  );
}

/** The files that Tessera reads of `shardedModel`, as they must be in a snapshot. */
export function expectedContents({ files }: ServedRepository): Record<string, Uint8Array> {
  const useless = /^(\.gitattributes|README\.md|.*\.(gguf|bin|pth))$/;
  return Object.fromEntries(
    Object.entries(files).filter(([name]) => !useless.test(name)).sort().map((
      [name, content],
    ) => [name, typeof content === "string" ? new TextEncoder().encode(content) : content]),
  );
}

/** The names in a folder, in order. */
export function names(folder: string): string[] {
  return Array.from(Deno.readDirSync(folder), ({ name }) => name).sort();
}

/** The requests for large files. */
export function cdnRequests({ requests }: HubServer): ServedRequest[] {
  return requests.filter(({ server }) => server === "cdn");
}

/** Leaves the first 1,000 bytes of a file in the cache, by a download that fails. */
export async function leavePart({ hub, download }: DownloadFixture, path: string): Promise<Error> {
  const server = "cdn";
  hub.faults.push({ path, server, cutAfter: 1000 }, { path, server, cutAfter: 0, times: 9 });
  return await download().then(() => {
    throw new Error(`The download of "${path}" did not fail`);
  }, (error) => error);
}
