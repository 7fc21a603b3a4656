/**
 * Where results are pushed to, and whether they may be: what is wrong with a handle, a token or a right is found here, before
 * anybody trains for hours to be refused at the end.
 */
import { z } from "zod";
import { nearestName } from "@tessera/text";
import { type EnvironmentReader, type HubAccess, type HubOptions, readHubAccess } from "../hub_access.ts";
import { type HubRequest, requestHub } from "../hub_request.ts";
import { standardErrorDisplay } from "../download/download_options.ts";
import { withRedaction } from "../hub_secrets.ts";
import { listRepository, readAnswer, type RepositoryFile } from "../hub_listing.ts";
import { kindOf, type PushKind } from "./push_folder.ts";
import { askModes } from "./upload_commit.ts";

/** Who can see a repository. */
export type Visibility = "private" | "public";

/** How the hub is asked. */
export interface PushAccess extends HubOptions {
  /** Ends it. */
  readonly signal?: AbortSignal;
  /** Reads the environment; the process's own unless given. */
  readonly environment?: EnvironmentReader;
}

/** A repository that may be pushed to. */
export interface PushTarget {
  /** The repository, such as `me/my-gemma`. */
  readonly repository: string;
  /** Its page. */
  readonly url: string;
  /** Who can see it; `null` while it is to be made. */
  readonly visibility: Visibility | null;
  /** The files that it has, by name. */
  readonly files: ReadonlyMap<string, RepositoryFile>;
  /** The hub that has it. */
  readonly access: HubAccess;
}

const part = /^(?=.{1,96}$)[A-Za-z0-9_]([\w.-]*[A-Za-z0-9_])?$/;

/**
 * The repository of a handle such as `hf://me/my-gemma`.
 *
 * @throws {RangeError} when it is no handle, or has a name that the hub does not allow.
 */
export function repositoryToPush(handle: string): string {
  const [, owner, name] = /^hf:\/\/([^/@]+)\/([^/@]+)$/.exec(handle) ?? [];
  if (owner === undefined || name === undefined) {
    throw new RangeError(
      `Cannot push to "${handle}": expected "hf://" with an owner and a name, as in "hf://me/my-gemma"`,
    );
  }
  const wrong = [owner, name].find((text) => !part.test(text) || /--|\.\.|\.git$/.test(text));
  if (wrong === undefined) return `${owner}/${name}`;
  throw new RangeError(
    `Cannot push to "${handle}": "${wrong}" is no name on the hub; expected up to 96 letters, digits, ".", "-" and "_", ` +
      'without "." or "-" at its ends, "--", "..", or ".git" at its end',
  );
}

const account = z.object({
  name: z.string(),
  orgs: z.array(z.object({ name: z.string(), roleInOrg: z.string().optional() })).nullish(),
  auth: z.object({ accessToken: z.object({ role: z.string(), displayName: z.string().optional() }).optional() })
    .nullish(),
});

/**
 * Checks, without changing anything, that an adapter or a whole model may be pushed to a handle such as `hf://me/my-gemma`.
 *
 * @throws {RangeError} when it is no handle.
 * @throws {Error} when there is no token, when it may not write there, when the repository holds something else, or when the hub
 * cannot be reached.
 */
export async function checkPush(handle: string, kind: PushKind, options: PushAccess = {}): Promise<PushTarget> {
  const repository = repositoryToPush(handle);
  const onWait = options.onWait ?? ("process" in globalThis ? standardErrorDisplay().print : undefined);
  const access = await readHubAccess(options.environment, { ...options, onWait });
  return await withRedaction(access, options.signal, () => checkTarget(access, repository, kind, options.signal));
}

async function checkTarget(
  access: HubAccess,
  repository: string,
  kind: PushKind,
  signal: AbortSignal | undefined,
): Promise<PushTarget> {
  const purpose = `push to ${repository}`;
  const about = { purpose, repository, ...(signal === undefined ? {} : { signal }) };
  const { endpoint, tokenSource } = access;
  const ownToken = `a token with write access from ${endpoint}/settings/tokens`;
  if (tokenSource === null) throw new Error(`Cannot ${purpose}: there is no token; set HF_TOKEN to ${ownToken}`);
  const who = await requestHub(access, "/api/whoami-v2", { ...about, understood: [401, 403] });
  if (!who.ok) {
    await who.body?.cancel();
    throw new Error(
      `Cannot ${purpose}: the hub does not know the token of ${tokenSource}; set HF_TOKEN to ${ownToken}`,
    );
  }
  const user = await readAnswer(access, who, account, about);
  if (user.auth?.accessToken?.role === "read") {
    throw new Error(`Cannot ${purpose}: the token of ${tokenSource} may only read; set HF_TOKEN to ${ownToken}`);
  }
  checkOwner(repository, user);
  const visibility = await visibilityOf(repository, access, about);
  const { files } = visibility === null
    ? { files: new Map<string, RepositoryFile>() }
    : await listRepository(access, { repository, revision: "main" }, about);
  checkKind(repository, kind, files);
  return { repository, url: `${endpoint}/${repository}`, visibility, files, access };
}

const kinds: Readonly<Record<PushKind, string>> = { adapter: "an adapter", model: "a whole model" };

/** Refuses to mix an adapter and a whole model, which Transformers would put on top of each other. */
function checkKind(repository: string, kind: PushKind, files: ReadonlyMap<string, RepositoryFile>): void {
  const there = kindOf([...files.keys()]);
  if (there === null || there === kind) return;
  throw new Error(
    `Cannot push ${kinds[kind]} to ${repository}: it holds ${
      kinds[there]
    }, and Transformers would load both together; ` +
      "push to another name",
  );
}

/** Who can see a repository; `null` when there is none. */
async function visibilityOf(
  repository: string,
  access: HubAccess,
  about: Pick<HubRequest, "purpose" | "repository" | "signal">,
): Promise<Visibility | null> {
  const response = await requestHub(access, `/api/models/${repository}`, { ...about, understood: [401, 404] });
  if (response.ok) {
    const info = await readAnswer(access, response, z.object({ private: z.boolean() }), about);
    return info.private ? "private" : "public";
  }
  await response.body?.cancel();
  return null;
}

function checkOwner(repository: string, { name, orgs }: z.output<typeof account>): void {
  const owner = repository.slice(0, repository.indexOf("/"));
  const owners = [name, ...(orgs ?? []).map((org) => org.name)];
  const same = owners.find((one) => one.toLowerCase() === owner.toLowerCase());
  if (same === undefined) {
    const near = nearestName(owner, owners);
    throw new Error(
      `Cannot push to ${repository}: the token is that of "${name}", who ` +
        (owners.length === 1 ? "is in no organization" : `is in ${owners.slice(1).join(", ")}`) +
        `; push to "hf://${near ?? name}/${repository.slice(owner.length + 1)}", or use a token of "${owner}"`,
    );
  }
  if (orgs?.some((org) => org.name === same && org.roleInOrg === "read")) {
    throw new Error(
      `Cannot push to ${repository}: "${name}" may only read in "${owner}"; ask one of its administrators for the right to write`,
    );
  }
}

/**
 * Makes the repository of a target, or asks the hub whether files may go to the one that is there: before any work is done for it.
 *
 * @throws {Error} when the hub refuses, or makes a public repository where a private one was asked for.
 */
export async function prepareRepository(
  target: PushTarget,
  options: { readonly visibility: Visibility; readonly signal?: AbortSignal },
): Promise<PushTarget> {
  if (target.visibility === null) return await createRepository(target, options);
  const { access, repository } = target;
  const given = options.signal === undefined ? {} : { signal: options.signal };
  await askModes([{ path: "README.md", size: 1, sample: "IA==" }], { access, repository, ...given });
  return target;
}

async function createRepository(
  target: PushTarget,
  { visibility, signal }: { readonly visibility: Visibility; readonly signal?: AbortSignal },
): Promise<PushTarget> {
  const { repository, access } = target;
  const [organization, name] = repository.split("/");
  const purpose = `make the repository ${repository}`;
  const about = { purpose, repository, ...(signal === undefined ? {} : { signal }) };
  const response = await requestHub(access, "/api/repos/create", {
    ...about,
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ type: "model", name, organization, visibility }),
    // One that was made meanwhile, and one that the token may not make.
    understood: [409, 403],
  });
  await response.body?.cancel();
  if (response.status === 403) {
    throw new Error(
      `Cannot make the repository ${repository}: the token of ${access.tokenSource} may not do that; give it the right to write to ` +
        `the repositories of "${organization}" at ${access.endpoint}/settings/tokens, or ask an administrator of the organization`,
    );
  }
  const made = await visibilityOf(repository, access, about);
  if (made === "public" && visibility === "private" && response.ok) {
    throw new Error(
      `Cannot use the repository ${repository}: it was to be private, and ${access.endpoint} has made it public; nothing was sent`,
    );
  }
  return { ...target, visibility: made ?? visibility };
}
