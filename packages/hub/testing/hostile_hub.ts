/** A server on loopback that answers as no hub should: bodies that stall, trickle or do not end, and whatever a test wants. */
import { gzipSync } from "node:zlib";
import { type HubAccess, type HubOptions, readHubAccess } from "../hub_access.ts";

/** A server that runs. */
export interface HostileHub extends AsyncDisposable {
  /** Its address. */
  readonly endpoint: string;
  /** The paths that were asked for, in order. */
  readonly paths: string[];
}

/** Serves answers on a free port of loopback. */
export function serveHostile(answer: (request: Request, url: URL) => Response | Promise<Response>): HostileHub {
  const paths: string[] = [];
  const ended = new AbortController();
  const options = {
    hostname: "127.0.0.1",
    port: 0,
    signal: ended.signal,
    onListen: () => {},
    onError: () => new Response(null, { status: 500 }),
  };
  const server = Deno.serve(options, (request) => {
    const url = new URL(request.url);
    paths.push(url.pathname + url.search);
    return answer(request, url);
  });
  return {
    endpoint: `http://127.0.0.1:${server.addr.port}`,
    paths,
    // Connections that stall would keep a shutdown waiting.
    [Symbol.asyncDispose]: async () => {
      ended.abort();
      await server.finished;
    },
  };
}

/** A body that begins with a text, and then sends nothing more and does not end. */
export function stalledBody(begin: string): ReadableStream<Uint8Array<ArrayBuffer>> {
  return new ReadableStream({ start: (controller) => controller.enqueue(new TextEncoder().encode(begin)) });
}

/** A body of one byte every so many milliseconds, without an end. */
export function trickle(everyMs: number): ReadableStream<Uint8Array<ArrayBuffer>> {
  let timer: ReturnType<typeof setInterval> | undefined;
  return new ReadableStream({
    start: (controller) => {
      timer = setInterval(() => controller.enqueue(new Uint8Array([32])), everyMs);
    },
    cancel: () => clearInterval(timer),
  });
}

/** An answer of a few kilobytes that becomes a thousand times as large, `bytes` spaces, when it is decompressed. */
export function bomb(bytes: number): Response {
  const headers = { "content-encoding": "gzip", "content-type": "application/json" };
  return new Response(new Uint8Array(gzipSync(new Uint8Array(bytes).fill(32))), { headers });
}

/** Access to a server, with what was said of waiting; nothing is waited for unless `wait` is given. */
export async function accessWith(
  { endpoint }: { readonly endpoint: string },
  variables: Readonly<Record<string, string>> = {},
  options: HubOptions = {},
): Promise<{ readonly access: HubAccess; readonly said: string[]; readonly waits: number[] }> {
  const said: string[] = [];
  const waits: number[] = [];
  const environment: Readonly<Record<string, string>> = { HF_ENDPOINT: endpoint, HOME: "/nobody", ...variables };
  const wait = (milliseconds: number) => {
    waits.push(milliseconds);
    return Promise.resolve();
  };
  const onWait = (text: string) => void said.push(text);
  return { access: await readHubAccess((name) => environment[name], { wait, onWait, ...options }), said, waits };
}
