/**
 * The hub on loopback with what takes uploads: the account of the token, new repositories, Git LFS with a storage server of its own
 * (as S3 is), whole and in parts, and commits. It checks digests, sizes and that the token stays with the hub, and what was pushed
 * is there to be downloaded.
 */
import { createHash } from "node:crypto";
import { Buffer } from "node:buffer";
import { type HubServer, type ServedRepository, serveHub } from "./hub_server.ts";

/** How a hub takes uploads. */
export interface UploadHubOptions {
  /** The repositories that are there. */
  readonly repositories?: Readonly<Record<string, ServedRepository>>;
  /** What the token may do: "read", "write" or "fineGrained"; "write" unless given. */
  readonly role?: string;
  /** The organizations of the account `me`, with what it may do in each. */
  readonly organizations?: Readonly<Record<string, string>>;
  /** The size from which files are sent in parts of this size; never unless given. */
  readonly partBytes?: number;
  /** Whether large files are forgotten once they have been checked. */
  readonly isForgetful?: boolean;
  /** Organizations in which no repository may be made. */
  readonly closed?: readonly string[];
  /** Repositories that the token may not write to. */
  readonly fixed?: readonly string[];
  /** Whether repositories are public, whatever is asked for. */
  readonly isOpen?: boolean;
}

/** A commit that was made. */
export interface ServedCommit {
  /** The repository. */
  readonly repository: string;
  /** Its one line. */
  readonly summary: string;
  /** The paths of files that were sent with it. */
  readonly small: readonly string[];
  /** The paths of large files that it names. */
  readonly large: readonly string[];
  /** The paths that it removes. */
  readonly deleted: readonly string[];
}

/** A hub that takes uploads. */
export interface UploadHub extends HubServer {
  /** The commits, in order. */
  readonly commits: ServedCommit[];
  /** The content of large files by SHA-256. */
  readonly objects: Map<string, Uint8Array<ArrayBuffer>>;
  /** The requests to the storage: `PUT /<oid>` or `PUT /<oid>/<part>`. */
  readonly stored: string[];
  /** For each of the next connections to the storage, after how many bytes it is dropped. */
  readonly drops: number[];
  /** How many of the next requests to the storage find that their address has expired. */
  readonly expiring: { requests: number };
}

/** Starts a hub that takes uploads, for the account `me`. */
export function serveUploadHub(options: UploadHubOptions = {}): UploadHub {
  const {
    role = "write",
    organizations = {},
    partBytes,
    isForgetful = false,
    closed = [],
    fixed = [],
    isOpen = false,
  } = options;
  const objects = new Map<string, Uint8Array<ArrayBuffer>>();
  const known = new Set<string>();
  const parts = new Map<string, Uint8Array<ArrayBuffer>>();
  const commits: ServedCommit[] = [];
  const stored: string[] = [];
  const drops: number[] = [];
  const expiring = { requests: 0 };

  // What a dropped connection leaves unread is no error of the server.
  const onError = () => new Response(null, { status: 500 });
  const storage = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {}, onError }, async (request) => {
    const { pathname } = new URL(request.url);
    const [, oid = "", part] = pathname.split("/");
    stored.push(`${request.method} ${pathname}`);
    const wrong = (problem: string) => new Response(problem, { status: 418 });
    if (request.headers.has("authorization")) return wrong("the token must stay with the hub");
    if (request.method === "POST") {
      const { parts: named } = await request.json() as { parts: { partNumber: number; etag: string }[] };
      const pieces = named.map(({ partNumber, etag }) => {
        const piece = parts.get(`${oid}/${partNumber}`);
        return piece !== undefined && etag === `"part-${partNumber}"` ? piece : null;
      });
      if (pieces.includes(null)) return wrong("a part is missing or has another ETag");
      if (isForgetful) known.add(oid);
      else if (!keep(oid, new Uint8Array(Buffer.concat(pieces as Uint8Array[])))) return wrong("another digest");
      return new Response();
    }
    // S3 takes no body of unknown length.
    const length = request.headers.get("content-length");
    if (length === null) return wrong("there is no Content-Length");
    if (expiring.requests > 0) {
      expiring.requests--;
      await request.body?.cancel();
      return new Response("Request has expired", { status: 403 });
    }
    if (isForgetful) {
      const hash = createHash("sha256");
      let bytes = 0;
      for await (const piece of request.body!) {
        hash.update(piece);
        bytes += piece.length;
      }
      const isWhole = bytes === Number(length);
      if (!isWhole || part === undefined && hash.digest("hex") !== oid) return wrong("another digest or size");
      if (part === undefined) known.add(oid);
      else parts.set(pathname.slice(1), new Uint8Array(0));
      return new Response(null, { headers: { etag: `"part-${part}"` } });
    }
    const bytes = await request.bytes();
    if (bytes.length !== Number(length)) return wrong("another size than announced");
    if (part === undefined) return keep(oid, bytes) ? new Response() : wrong("another digest");
    parts.set(pathname.slice(1), bytes);
    return new Response(null, { headers: { etag: `"part-${part}"` } });
  });
  const door = openDoor(storage.addr.port, drops);

  function keep(oid: string, bytes: Uint8Array<ArrayBuffer>): boolean {
    if (createHash("sha256").update(bytes).digest("hex") !== oid) return false;
    objects.set(oid, bytes);
    known.add(oid);
    return true;
  }

  function addressOf(oid: string, size: number): unknown {
    const href = `http://127.0.0.1:${door.port}/${oid}`;
    if (partBytes === undefined || size < partBytes) return { href };
    const count = Math.ceil(size / partBytes);
    const numbers = Array.from({ length: count }, (_, i) => i + 1);
    const header = Object.fromEntries(numbers.map((n) => [String(n).padStart(5, "0"), `${href}/${n}`]));
    return { href, header: { chunk_size: String(partBytes), ...header } };
  }

  async function answer(request: Request, { pathname }: URL): Promise<Response | null> {
    if (pathname === "/api/whoami-v2") {
      if (!request.headers.has("authorization")) return Response.json({ error: "Unauthorized" }, { status: 401 });
      const orgs = Object.entries(organizations).map(([name, roleInOrg]) => ({ type: "org", name, roleInOrg }));
      const auth = { type: "access_token", accessToken: { displayName: "laptop", role } };
      return Response.json({ type: "user", id: "1", name: "me", fullname: "Me", orgs, auth });
    }
    if (!request.headers.has("authorization")) return Response.json({ error: "Unauthorized" }, { status: 401 });
    if (pathname === "/api/repos/create") {
      const { name, organization, visibility, type = "model" } = await request.json();
      const repository = `${organization}/${name}`;
      if (type !== "model" || closed.includes(organization)) {
        return Response.json({ error: "You don't have the rights to create a model" }, { status: 403 });
      }
      if (hub.repositories.has(repository)) return Response.json({ error: "You already created it" }, { status: 409 });
      hub.repositories.set(repository, {
        files: { ".gitattributes": "*.safetensors filter=lfs diff=lfs merge=lfs -text\n" },
        private: visibility === "private" && !isOpen,
      });
      return Response.json({ url: `${hub.endpoint}/${repository}`, id: repository });
    }
    const [, repository = "", action] =
      /^\/([^/]+\/[^/]+?)(\/preupload\/main|\/commit\/main|\.git\/info\/lfs\/objects\/batch)?$/
        .exec(pathname.replace("/api/models/", "/")) ?? [];
    const served = hub.repositories.get(repository);
    if (served === undefined) return null;
    if (action === undefined) return Response.json({ id: repository, private: served.private ?? false });
    if (fixed.includes(repository)) return Response.json({ error: "You may not write here" }, { status: 403 });
    if (action === "/preupload/main") return preupload(await request.json());
    if (action === "/commit/main") return commit(repository, served, await request.text());
    const { objects: asked } = await request.json() as { objects: { oid: string; size: number }[] };
    return Response.json({
      transfer: "basic",
      objects: asked.map(({ oid, size }) =>
        known.has(oid) ? { oid, size } : { oid, size, actions: { upload: addressOf(oid, size) } }
      ),
    });
  }

  function preupload({ files }: { files: { path: string; size: number; sample: string }[] }): Response {
    return Response.json({
      files: files.map(({ path, size, sample }) => {
        Uint8Array.fromBase64(sample);
        const isLarge = /\.safetensors$/.test(path) || size > 10_000_000;
        return { path, uploadMode: isLarge ? "lfs" : "regular", shouldIgnore: false };
      }),
    });
  }

  function commit(repository: string, served: ServedRepository, text: string): Response {
    const files = new Map(Object.entries(served.files));
    const made = { repository, summary: "", small: [] as string[], large: [] as string[], deleted: [] as string[] };
    for (const { key, value } of text.trimEnd().split("\n").map((line) => JSON.parse(line))) {
      if (key === "header") made.summary = value.summary;
      else if (key === "file" && value.encoding === "base64") {
        files.set(value.path, Uint8Array.fromBase64(value.content));
        made.small.push(value.path);
      } else if (key === "lfsFile" && value.algo === "sha256" && known.has(value.oid)) {
        const bytes = objects.get(value.oid) ?? new Uint8Array(0);
        if (!isForgetful && bytes.length !== value.size) return Response.json({ error: "Wrong size" }, { status: 400 });
        files.set(value.path, bytes);
        made.large.push(value.path);
      } else if (key === "deletedFile" && files.delete(value.path)) made.deleted.push(value.path);
      else return Response.json({ error: `Cannot take ${JSON.stringify({ key, path: value.path })}` }, { status: 400 });
    }
    if (made.summary === "") return Response.json({ error: "There is no summary" }, { status: 400 });
    hub.repositories.set(repository, { ...served, files: Object.fromEntries(files) });
    commits.push(made);
    const commitOid = createHash("sha1").update(text).digest("hex");
    return Response.json({ success: true, commitOid, commitUrl: `${hub.endpoint}/${repository}/commit/${commitOid}` });
  }

  const hub: HubServer = serveHub(options.repositories ?? {}, answer);
  return {
    ...hub,
    commits,
    objects,
    stored,
    drops,
    expiring,
    [Symbol.asyncDispose]: async () => {
      door.close();
      await Promise.all([hub[Symbol.asyncDispose](), storage.shutdown()]);
    },
  };
}

/** A way to a server, which drops connections after a number of bytes. */
function openDoor(to: number, drops: number[]): { readonly port: number; close(): void } {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  async function pass(inner: Deno.Conn): Promise<void> {
    const outer = await Deno.connect({ hostname: "127.0.0.1", port: to });
    const left = drops.shift();
    const forward = left === undefined ? inner.readable : inner.readable.pipeThrough(cutAfter(left));
    await Promise.allSettled([forward.pipeTo(outer.writable), outer.readable.pipeTo(inner.writable)]);
    for (const end of [inner, outer]) {
      try {
        end.close();
      } catch {
        // It was closed with its stream.
      }
    }
  }
  (async () => {
    for await (const inner of listener) pass(inner).catch(() => {});
  })().catch(() => {});
  return { port: (listener.addr as Deno.NetAddr).port, close: () => listener.close() };
}

function cutAfter(bytes: number): TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>> {
  let left = bytes;
  return new TransformStream({
    transform: (piece, controller) => {
      left -= piece.length;
      if (left < 0) controller.error(new Error("Dropped"));
      else controller.enqueue(piece);
    },
  });
}
