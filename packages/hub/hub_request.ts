/** Requests to a hub: tries, redirects, and how long each may take. */
import { formatDuration, HubError } from "@tessera/text";
import { countedBlob } from "@tessera/files";
import type { HubAccess } from "./hub_access.ts";
import { timeFor } from "./hub_limits.ts";
import { explainRefusal, unreachable } from "./hub_refusal.ts";
import { redactError, withRedaction } from "./hub_secrets.ts";

/** A request to the hub. */
export interface HubRequest {
  /** What it is for, to follow "Cannot", such as `download "config.json" of google/gemma-2-9b`. */
  readonly purpose: string;
  /** The repository that it is about, such as `google/gemma-2-9b`. */
  readonly repository: string;
  /** The method; GET unless given. */
  readonly method?: string;
  /** Headers in addition to those of every request. */
  readonly headers?: Readonly<Record<string, string>>;
  /** The body, which can be sent again. */
  readonly body?: string | Uint8Array<ArrayBuffer> | Blob;
  /** Statuses besides 2xx that the caller handles; they are not errors. */
  readonly understood?: readonly number[];
  /** How often it is tried when the hub is busy or cannot be reached; 4 unless given. */
  readonly tries?: number;
  /**
   * The milliseconds in which an answer to GET and HEAD must begin, 30,000 unless given; of a body that is sent, those in which some
   * of it must be taken, 120,000 unless given, and three times as many for the answer.
   */
  readonly timeout?: number;
  /** Ends it, and the reading of its body. */
  readonly signal?: AbortSignal;
}

/** The milliseconds before try number `failed + 1`. */
export function backoff(failed: number): number {
  return Math.min(30_000, 500 * 2 ** (failed - 1));
}

/**
 * Asks the hub for a path, such as `/api/models/google/gemma-2-9b`, or for an address that it has given; tries again when it is
 * busy or the connection fails, and follows redirects to addresses of http and https.
 *
 * @throws {HubError} when the hub cannot be reached, asks to wait too long, or refuses, saying what would help; no message has the
 * token or a password.
 * @throws the signal's reason when it is aborted.
 */
export async function requestHub(access: HubAccess, path: string, request: HubRequest): Promise<Response> {
  return await withRedaction(access, request.signal, () => requestPath(access, path, request));
}

async function requestPath(access: HubAccess, path: string, request: HubRequest): Promise<Response> {
  const { purpose, repository, understood = [], tries = 4, signal } = request;
  if (access.isOffline) {
    throw new HubError(
      `Cannot ${purpose}: HF_HUB_OFFLINE is set, so nothing is fetched; unset it to go online`,
      "offline",
    );
  }
  access.checkToken(purpose);
  const url = path.startsWith("/") ? new URL(access.endpoint + path) : webAddress(path, null, access, purpose);
  let waited = 0;
  async function wait(milliseconds: number, why: string): Promise<void> {
    waited += milliseconds;
    const text = `Waiting ${formatDuration(milliseconds / 1000)} to ask ${access.endpoint} again: ${why}`;
    await withWord(access, text, () => access.wait(milliseconds, signal));
  }
  for (let failed = 1;; failed++) {
    let response: Response;
    try {
      response = await followRedirects(access, url, request);
    } catch (cause) {
      signal?.throwIfAborted();
      if (cause instanceof HubError) throw cause;
      const reason = unreachable(access, cause);
      if (failed >= tries) throw new HubError(`Cannot ${purpose}: ${reason}`, "unreachable", { cause });
      await wait(backoff(failed), reason);
      continue;
    }
    if (response.ok || understood.includes(response.status)) return response;
    const { status } = response;
    const isBusy = status === 429 || status === 408 || status >= 500;
    const askedMs = askedToWait(response);
    const { code, reason } = await explainRefusal(access, response, { repository, askedMs });
    if (!isBusy || failed >= tries) throw new HubError(`Cannot ${purpose}: ${reason}`, code);
    const nextMs = askedMs ?? backoff(failed);
    if (waited + nextMs > access.limits.waitMs) {
      throw new HubError(
        `Cannot ${purpose}: ${access.endpoint} is busy (${status}) and asks to wait ${formatDuration(nextMs / 1000)}` +
          `${waited > 0 ? ` after ${formatDuration(waited / 1000)} of waiting` : ""}, more than the ` +
          `${formatDuration(access.limits.waitMs / 1000)} that are waited; try again in ${
            formatDuration(nextMs / 1000)
          }`,
        "unreachable",
      );
    }
    await wait(nextMs, `it is busy (${status})`);
  }
}

/** The milliseconds that a busy hub asks to wait; `null` when it does not say. */
function askedToWait({ headers }: Response): number | null {
  const limit = /r=0;\s*t=(\d+)/.exec(headers.get("ratelimit") ?? "")?.[1];
  const after = headers.get("retry-after") ?? limit ?? null;
  if (after === null) return null;
  const seconds = /^\d+$/.test(after) ? Number(after) : (Date.parse(after) - Date.now()) / 1000;
  // Ten years stand for any longer time.
  return Number.isNaN(seconds) ? null : Math.min(315_360_000, Math.max(0, seconds)) * 1000;
}

/** Does work, and says a text when it takes long. */
export async function withWord<T>(access: HubAccess, text: string, work: () => Promise<T>): Promise<T> {
  const timer = setTimeout(() => access.say(text), access.limits.wordMs);
  try {
    return await work();
  } finally {
    clearTimeout(timer);
  }
}

const mostRedirects = 8;

/** An address that a server has given; refused unless it is one of http or https, as `file:` and `data:` are no network. */
function webAddress(text: string, from: URL | null, access: HubAccess, purpose: string): URL {
  const url = URL.parse(text, from ?? undefined);
  if (url?.protocol === "https:" || url?.protocol === "http:") return url;
  const who = from === null ? `${access.endpoint} names the address` : `${from.origin} redirects to`;
  const shown = access.redact(text);
  throw new HubError(
    `Cannot ${purpose}: ${who} "${shown.length > 100 ? `${shown.slice(0, 100)}…` : shown}"; ` +
      "only http:// and https:// are followed; look at what stands between this machine and the hub",
    "unreachable",
  );
}

/** Follows redirects by hand, so that the token stays with the hub. */
async function followRedirects(access: HubAccess, url: URL, request: HubRequest): Promise<Response> {
  const { method = "GET", headers = {}, body, purpose } = request;
  for (let redirects = 0;; redirects++) {
    const init = {
      method,
      headers: { ...headers, ...access.headersFor(url) },
      ...(body === undefined ? {} : { body }),
    };
    const fetched = () => fetchInTime(access, url, init, request);
    // A file that is sent shows its own progress.
    const response = body instanceof Blob
      ? await fetched()
      : await withWord(access, `Waiting for ${url.origin} to answer: to ${purpose}`, fetched);
    const location = [301, 302, 303, 307, 308].includes(response.status) ? response.headers.get("location") : null;
    if (location === null) return response;
    await response.body?.cancel();
    if (redirects === mostRedirects) throw new Error(`More than ${mostRedirects} redirects from one to the next`);
    url = webAddress(location, url, access, purpose);
  }
}

async function fetchInTime(
  access: HubAccess,
  url: URL,
  init: RequestInit,
  { timeout, signal }: HubRequest,
): Promise<Response> {
  const controller = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  function limit(milliseconds: number, problem: string): void {
    clearTimeout(timer);
    const error = new Error(`${problem} within ${milliseconds / 1000} seconds`);
    timer = setTimeout(() => controller.abort(error), milliseconds);
  }
  const { body } = init;
  const idle = timeout ?? 120_000;
  if (init.method === "GET" || init.method === "HEAD") limit(timeout ?? 30_000, "No answer");
  else if (!(body instanceof Blob)) limit(3 * idle, "No answer");
  // What is taken byte by byte must end, too.
  const total = body instanceof Blob
    ? setTimeout(
      () => controller.abort(new Error("The file was not taken in the time for its size")),
      3 * idle + timeFor(body.size, access.limits),
    )
    : undefined;
  const sent = body instanceof Blob
    ? countedBlob(body, (done) => done < body.size ? limit(idle, "Nothing was taken") : limit(3 * idle, "No answer"))
    : body;
  const signals = [controller.signal, ...(signal === undefined ? [] : [signal])];
  try {
    const rest = { redirect: "manual", signal: AbortSignal.any(signals) } as const;
    return await fetch(url, { ...init, ...(sent === undefined ? {} : { body: sent }), ...rest });
  } catch (error) {
    throw redactError(error, access.redact);
  } finally {
    clearTimeout(timer);
    clearTimeout(total);
  }
}
