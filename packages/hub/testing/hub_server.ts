/**
 * A hub on loopback for tests, with the paths, headers and redirects of Hugging Face's: small files come from it, large ones
 * (safetensors) from a second server, as from its CDN. Faults can be ordered, and every request is kept.
 */
import { createHash } from "node:crypto";

/** A repository that the server has. */
export interface ServedRepository {
  /** Its files by path; a text is UTF-8. */
  readonly files: Readonly<Record<string, string | Uint8Array<ArrayBuffer>>>;
  /** Whether its files need a token that was given access. */
  readonly gated?: boolean;
  /** Whether it does not exist for requests without the token. */
  readonly private?: boolean;
  /** Its commit, 40 hexadecimal digits; made from its files unless given. */
  readonly commit?: string;
  /** Sizes that it claims for files, where they are not the true ones. */
  readonly sizes?: Readonly<Record<string, number>>;
  /** How many files a page of its listing has; all unless given. */
  readonly pageSize?: number;
  /** Branches and tags beside `main`, which lead to the same commit. */
  readonly revisions?: readonly string[];
}

/** A request that was made. */
export interface ServedRequest {
  /** Which of the two servers it came to. */
  readonly server: "hub" | "cdn";
  /** The method. */
  readonly method: string;
  /** The path with its query. */
  readonly path: string;
  /** The range that was asked for; `null` for everything. */
  readonly range: string | null;
  /** The token that was sent; `null` without. */
  readonly authorization: string | null;
}

/** What goes wrong with the next request that fits. */
export interface Fault {
  /** Part of the path of the request. */
  readonly path: string;
  /** Which server it is; either unless given. */
  readonly server?: "hub" | "cdn";
  /** How many requests it is for; 1 unless given. */
  readonly times?: number;
  /** Answers with this status, and these headers. */
  readonly status?: number;
  /** The headers of that answer. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Drops the connection after this many bytes of the file. */
  readonly cutAfter?: number;
  /** Sends this many bytes of the file, and then nothing more. */
  readonly stallAfter?: number;
  /** Sends other bytes than the file has. */
  readonly wrongBytes?: boolean;
  /** Sends the whole file whatever range is asked for. */
  readonly ignoreRange?: boolean;
  /** Waits for this before it sends anything. */
  readonly until?: Promise<unknown>;
}

/** A hub that runs. */
export interface HubServer extends AsyncDisposable {
  /** Its address, for `HF_ENDPOINT`. */
  readonly endpoint: string;
  /** The token that may read gated and private repositories. */
  readonly token: string;
  /** The repositories, which may be changed. */
  readonly repositories: Map<string, ServedRepository>;
  /** All requests so far, which may be cleared. */
  readonly requests: ServedRequest[];
  /** What is to go wrong, in order. */
  readonly faults: Fault[];
}

/** Answers a request that the server does not know itself; `null` to leave it. */
export type HubHandler = (request: Request, url: URL) => Promise<Response | null>;

interface ServedFile {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** The git hash of a small file, or the SHA-256 of a large one. */
  readonly etag: string;
  readonly isLarge: boolean;
}

/** The SHA-1 by which git knows a file. */
export function gitHash(bytes: Uint8Array): string {
  return createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");
}

/** The commit of a repository that the server has. */
export function commitOf({ commit, files }: ServedRepository): string {
  return commit ??
    createHash("sha1").update(
      JSON.stringify(Object.entries(files).map(([name, content]) => [name, fileOf(name, content).etag])),
    ).digest("hex");
}

function fileOf(name: string, content: string | Uint8Array<ArrayBuffer>): ServedFile {
  const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
  const isLarge = /\.(safetensors|bin|gguf|pth)$/.test(name);
  return { bytes, isLarge, etag: isLarge ? createHash("sha256").update(bytes).digest("hex") : gitHash(bytes) };
}

function refuse(status: number, code: string, message: string): Response {
  return Response.json({ error: message }, {
    status,
    headers: { ...(code === "" ? {} : { "x-error-code": code }), "x-error-message": message },
  });
}

/** Starts a hub with some repositories on a free port of loopback; `handler` answers what it has no paths for, such as uploads. */
export function serveHub(
  repositories: Readonly<Record<string, ServedRepository>>,
  handler: HubHandler = () => Promise.resolve(null),
): HubServer {
  const token = "hf_a_token_for_tests";
  const all = new Map(Object.entries(repositories));
  const requests: ServedRequest[] = [];
  const faults: Fault[] = [];

  function takeFault(server: "hub" | "cdn", path: string): Fault | undefined {
    const index = faults.findIndex((fault) => path.includes(fault.path) && (fault.server ?? server) === server);
    const fault = faults[index];
    if (fault === undefined) return undefined;
    const { times = 1 } = fault;
    faults.splice(index, 1, ...(times > 1 ? [{ ...fault, times: times - 1 }] : []));
    return fault;
  }

  function listen(server: "hub" | "cdn", answer: (request: Request, url: URL, fault?: Fault) => Promise<Response>) {
    const options = { hostname: "127.0.0.1", port: 0, onListen: () => {}, onError };
    return Deno.serve(options, async (request) => {
      const url = new URL(request.url);
      const path = url.pathname + url.search;
      const { method, headers } = request;
      requests.push({ server, method, path, range: headers.get("range"), authorization: headers.get("authorization") });
      const fault = takeFault(server, path);
      if (fault?.status !== undefined) {
        return new Response(null, { status: fault.status, ...(fault.headers ? { headers: fault.headers } : {}) });
      }
      await fault?.until;
      return await answer(request, url, fault);
    });
  }

  const cdn = listen("cdn", (request, url, fault) => {
    const [, name, ...path] = url.pathname.split("/").map(decodeURIComponent);
    const content = all.get(name!)?.files[path.join("/")];
    if (content === undefined) return Promise.resolve(new Response("gone", { status: 404 }));
    return Promise.resolve(sendFile(request, fileOf(path.join("/"), content), {}, fault));
  });

  const hub = listen("hub", async (request, url, fault) => {
    const asked = decodeURIComponent(url.pathname);
    // Small files of public repositories are served from there.
    const path = asked.replace(/^\/api\/resolve-cache\/models\/([^/]+\/[^/]+)\//, "/$1/resolve/");
    const [, name, rest] = /^\/(?:api\/models\/)?([^/]+\/[^/]+)\/(.*)$/.exec(path) ?? [];
    const repository = all.get(name ?? "");
    const isKnown = request.headers.get("authorization") === `Bearer ${token}`;
    if (request.headers.has("authorization") && !isKnown) {
      return refuse(401, "", "Invalid credentials in Authorization header");
    }
    const isRead = /^\/api\/models\/[^/]+\/[^/]+\/(revision|tree)\//.test(path) ||
      /^\/[^/]+\/[^/]+\/resolve\//.test(path);
    if (!isRead) return await handler(request, url) ?? refuse(404, "", "Not Found");
    if (repository === undefined || repository.private && !isKnown) {
      return refuse(isKnown ? 404 : 401, "RepoNotFound", "Repository not found");
    }
    const commit = commitOf(repository);
    const [, action, tail] = /^(revision|tree|resolve)\/(.*)$/.exec(rest!)!;
    const revision = ["main", commit, ...repository.revisions ?? []].find((known) =>
      tail === known || tail!.startsWith(`${known}/`)
    );
    if (revision === undefined) return refuse(404, "RevisionNotFound", `Invalid rev id: ${tail!.split("/")[0]}`);
    const files = Object.entries(repository.files);
    if (action === "revision") {
      const siblings = files.map(([rfilename]) => ({ rfilename }));
      return Response.json({
        id: name,
        modelId: name,
        sha: commit,
        private: repository.private ?? false,
        tags: [],
        siblings,
      });
    }
    if (action === "tree") return sendTree(repository, url);
    if (repository.gated && !isKnown) {
      return refuse(401, "GatedRepo", `Access to model ${name} is restricted. You must have access to it.`);
    }
    const filePath = tail!.slice(revision.length + 1);
    const content = repository.files[filePath];
    if (content === undefined) return refuse(404, "EntryNotFound", "Entry not found");
    const file = fileOf(filePath, content);
    if (!file.isLarge) {
      const isDirect = asked !== path || repository.gated || repository.private || fault !== undefined;
      const location = `/api/resolve-cache/models/${name}/${commit}/${filePath}`;
      const headers = { "x-repo-commit": commit, "x-linked-size": String(file.bytes.length) };
      return isDirect
        ? sendFile(request, file, headers, fault)
        : new Response(null, { status: 307, headers: { location } });
    }
    const headers = {
      location: `http://127.0.0.1:${cdn.addr.port}/${encodeURIComponent(name!)}/${filePath}?signature=x`,
      "x-repo-commit": commit,
      "x-linked-etag": `"${file.etag}"`,
      "x-linked-size": String(file.bytes.length),
    };
    return new Response(null, { status: 302, headers });
  });

  return {
    endpoint: `http://127.0.0.1:${hub.addr.port}`,
    token,
    repositories: all,
    requests,
    faults,
    [Symbol.asyncDispose]: async () => void await Promise.all([hub.shutdown(), cdn.shutdown()]),
  };
}

const dropped = new Error("Dropped as ordered");

function onError(error: unknown): Response {
  if (error !== dropped) console.error(error);
  return new Response(null, { status: 500 });
}

/** Sends a page of the listing, with a link to the next one. */
function sendTree(repository: ServedRepository, url: URL): Response {
  const tree = treeOf(repository, url.searchParams.get("recursive") === "true");
  const begin = Number(url.searchParams.get("cursor") ?? 0);
  const end = begin + (repository.pageSize ?? tree.length);
  const next = new URL(url);
  next.searchParams.set("cursor", String(end));
  return Response.json(tree.slice(begin, end), end < tree.length ? { headers: { link: `<${next}>; rel="next"` } } : {});
}

/** The listing of a repository's files, those in folders only when all are asked for. */
function treeOf(repository: ServedRepository, isRecursive: boolean): unknown[] {
  const files = Object.entries(repository.files);
  const folders = new Set(files.flatMap(([path]) => path.includes("/") ? [path.slice(0, path.indexOf("/"))] : []));
  const entries = files.filter(([path]) => isRecursive || !path.includes("/")).map(([path, content]) => {
    const { bytes, etag, isLarge } = fileOf(path, content);
    const size = repository.sizes?.[path] ?? bytes.length;
    const common = { type: "file", path, size };
    if (!isLarge) return { ...common, oid: etag };
    const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${etag}\nsize ${bytes.length}\n`;
    const oid = gitHash(new TextEncoder().encode(pointer));
    return { ...common, oid, lfs: { oid: etag, size, pointerSize: pointer.length } };
  });
  return [
    ...[...folders].map((path) => ({ type: "directory", path, oid: gitHash(new TextEncoder().encode(path)), size: 0 })),
    ...entries,
  ];
}

/** Sends a file or the range of it that is asked for, with what is to go wrong. */
function sendFile(
  request: Request,
  file: ServedFile,
  extra: Readonly<Record<string, string>>,
  fault: Fault = { path: "" },
): Response {
  const { length } = file.bytes;
  const headers: Record<string, string> = { ...extra, etag: `"${file.etag}"`, "accept-ranges": "bytes" };
  const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.get("range") ?? "") ?? [];
  const isPart = from !== undefined && !fault.ignoreRange;
  const [begin, end] = isPart ? [Number(from), to ? Number(to) + 1 : length] : [0, length];
  if (begin >= length && isPart) {
    return new Response(null, { status: 416, headers: { "content-range": `bytes */${length}` } });
  }
  let bytes = file.bytes.slice(begin, Math.min(end, length));
  if (fault.wrongBytes) bytes = bytes.map((byte) => byte ^ 1);
  headers["content-length"] = String(bytes.length);
  if (isPart) headers["content-range"] = `bytes ${begin}-${begin + bytes.length - 1}/${length}`;
  const status = isPart ? 206 : 200;
  if (request.method === "HEAD") return new Response(null, { status, headers });
  const sent = fault.cutAfter ?? fault.stallAfter;
  if (sent === undefined) return new Response(bytes, { status, headers });
  const body = new ReadableStream({
    async start(controller) {
      controller.enqueue(bytes.slice(0, sent));
      if (fault.cutAfter === undefined) return;
      // What was sent is on its way before the connection ends.
      await new Promise((resolve) => setTimeout(resolve, 50));
      controller.error(dropped);
    },
  });
  return new Response(body, { status, headers });
}
