/**
 * Requests to the Hugging Face Hub, or to a mirror of it: where it is, the user's token, tries, and what its refusals mean.
 *
 * The environment is that of Hugging Face's own tools: `HF_ENDPOINT`, `HF_TOKEN`, `HF_TOKEN_PATH`, `HF_HOME`, `HF_HUB_OFFLINE`.
 */
import { HubError, type HubErrorCode } from "@tessera/text";
import { countedBlob, environmentVariable, fileOf } from "@tessera/files";

/** Reads the environment; the process's own unless a test gives another. */
export type EnvironmentReader = (name: string) => string | undefined;

/** A path of the environment, in which `~` stands for the user's home. */
export function expandHome(path: string, environment: EnvironmentReader): string {
  const home = environment("HOME") ?? environment("USERPROFILE");
  return home === undefined ? path : path.replace(/^~(?=$|[/\\])/, home);
}

/** The folder of Hugging Face's tools: that of `HF_HOME`, or `.cache/huggingface` of the user's home. */
export function hubHome(environment: EnvironmentReader): string {
  const home = environment("HF_HOME") ?? `${environment("XDG_CACHE_HOME") ?? "~/.cache"}/huggingface`;
  return expandHome(home, environment);
}

/** Waits for a number of milliseconds, and throws the signal's reason when it is aborted. */
export type Wait = (milliseconds: number, signal?: AbortSignal) => Promise<void>;

const waitFor: Wait = (milliseconds, signal) =>
  new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const onAbort = () => {
      clearTimeout(timer);
      reject(signal!.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    }, milliseconds);
    signal?.addEventListener("abort", onAbort, { once: true });
  });

/** A hub, and who asks it. The token is private, so that printing this never prints it. */
export class HubAccess {
  readonly #token: string | null;

  /** Made by `readHubAccess`. */
  constructor(
    /** The address of the hub, without a slash at its end. */
    readonly endpoint: string,
    token: string | null,
    /** Where the token is from, such as `HF_TOKEN`, for messages; `null` without one. */
    readonly tokenSource: string | null,
    /** Whether the network must not be touched. */
    readonly isOffline: boolean,
    /** Waits between tries. */
    readonly wait: Wait,
  ) {
    this.#token = token;
  }

  /** What every request to an address carries; the token only goes to the hub itself, never to where it redirects. */
  headersFor(url: URL): Record<string, string> {
    const isHub = url.origin === new URL(this.endpoint).origin;
    return {
      "user-agent": "tessera",
      // Compressed bodies have other lengths than their files.
      "accept-encoding": "identity",
      ...(this.#token !== null && isHub ? { authorization: `Bearer ${this.#token}` } : {}),
    };
  }
}

/**
 * The hub that the environment names, with the token of `HF_TOKEN`, of the file that `HF_TOKEN_PATH` names, or of the one that
 * Hugging Face's tools keep.
 *
 * @throws {TypeError} when `HF_ENDPOINT` is no address.
 */
export async function readHubAccess(
  environment: EnvironmentReader = environmentVariable,
  wait: Wait = waitFor,
): Promise<HubAccess> {
  const endpoint = (environment("HF_ENDPOINT") || "https://huggingface.co").replace(/\/+$/, "");
  if (!/^https?:$/.test(URL.parse(endpoint)?.protocol ?? "")) {
    throw new TypeError(`Cannot use HF_ENDPOINT "${endpoint}": expected an address such as https://huggingface.co`);
  }
  const path = expandHome(environment("HF_TOKEN_PATH") ?? `${hubHome(environment)}/token`, environment);
  const given = environment("HF_TOKEN")?.trim();
  // Without a home, as in a browser, there is no file either.
  const kept = given || path.startsWith("~") ? null : (await fileOf(path).text())?.trim();
  const token = given || kept || null;
  const source = token === null ? null : given ? "HF_TOKEN" : `"${path}"`;
  const isOffline = /^(1|on|yes|true)$/i.test(
    environment("HF_HUB_OFFLINE") || environment("TRANSFORMERS_OFFLINE") || "",
  );
  return new HubAccess(endpoint, token, source, isOffline, wait);
}

/** A request to the hub. */
export interface HubRequest {
  /** What it is for, to follow "Cannot", such as `download "config.json" of google/gemma-2-9b`. */
  readonly purpose: string;
  /** The repository that it is about, such as `google/gemma-2-9b`. */
  readonly repository: string;
  /** The method; GET unless given. */
  readonly method?: string;
  /** Headers beside those of every request. */
  readonly headers?: Readonly<Record<string, string>>;
  /** The body, which can be sent again. */
  readonly body?: string | Uint8Array<ArrayBuffer> | Blob;
  /** Statuses beside 2xx that the caller understands, so that they are no errors. */
  readonly understood?: readonly number[];
  /** How often it is tried when the hub is busy or cannot be reached; 4 unless given. */
  readonly tries?: number;
  /**
   * The milliseconds in which an answer to GET and HEAD must begin, 30,000 unless given; of a file that is sent, those in which some
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
 * busy or the connection fails, and follows redirects.
 *
 * @throws {Error} when the hub cannot be reached, or refuses, saying what would help; the signal's reason when it is aborted.
 */
export async function requestHub(access: HubAccess, path: string | URL, request: HubRequest): Promise<Response> {
  const { purpose, understood = [], tries = 4, signal } = request;
  if (access.isOffline) {
    throw new HubError(
      `Cannot ${purpose}: HF_HUB_OFFLINE is set, so nothing is fetched; unset it to go online`,
      "offline",
    );
  }
  for (let failed = 1;; failed++) {
    let response: Response;
    try {
      response = await followRedirects(
        access,
        new URL(typeof path === "string" ? access.endpoint + path : path),
        request,
      );
    } catch (cause) {
      signal?.throwIfAborted();
      if (failed >= tries) {
        throw new HubError(`Cannot ${purpose}: ${unreachable(access, cause)}`, "unreachable", { cause });
      }
      await access.wait(backoff(failed), signal);
      continue;
    }
    if (response.ok || understood.includes(response.status)) return response;
    const isBusy = response.status === 429 || response.status === 408 || response.status >= 500;
    const { code, reason } = await explainRefusal(access, response, request.repository);
    if (!isBusy || failed >= tries) throw new HubError(`Cannot ${purpose}: ${reason}`, code);
    await access.wait(askedToWait(response) ?? backoff(failed), signal);
  }
}

/** The milliseconds that a busy hub asks to wait; `null` when it does not say. */
function askedToWait({ headers }: Response): number | null {
  const limit = /r=0;\s*t=(\d+)/.exec(headers.get("ratelimit") ?? "")?.[1];
  const after = headers.get("retry-after") ?? limit ?? null;
  if (after === null) return null;
  const seconds = /^\d+$/.test(after) ? Number(after) : (Date.parse(after) - Date.now()) / 1000;
  // A limit's window is five minutes.
  return Number.isFinite(seconds) ? Math.min(300, Math.max(0, seconds)) * 1000 : null;
}

const mostRedirects = 8;

/** Follows redirects by hand, so that the token stays with the hub. */
async function followRedirects(access: HubAccess, url: URL, request: HubRequest): Promise<Response> {
  const { method = "GET", headers = {}, body } = request;
  for (let redirects = 0;; redirects++) {
    const init = {
      method,
      headers: { ...headers, ...access.headersFor(url) },
      ...(body === undefined ? {} : { body }),
    };
    const response = await fetchInTime(url, init, request);
    const location = [301, 302, 303, 307, 308].includes(response.status) ? response.headers.get("location") : null;
    if (location === null) return response;
    await response.body?.cancel();
    if (redirects === mostRedirects) throw new Error(`More than ${mostRedirects} redirects from one to the next`);
    url = new URL(location, url);
  }
}

async function fetchInTime(url: URL, init: RequestInit, { timeout, signal }: HubRequest): Promise<Response> {
  const controller = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  function limit(milliseconds: number, problem: string): void {
    clearTimeout(timer);
    timer = setTimeout(
      () => controller.abort(new Error(`${problem} within ${milliseconds / 1000} seconds`)),
      milliseconds,
    );
  }
  if (init.method === "GET" || init.method === "HEAD") limit(timeout ?? 30_000, "No answer");
  const { body } = init;
  const idle = timeout ?? 120_000;
  const sent = body instanceof Blob
    ? countedBlob(body, (done) => done < body.size ? limit(idle, "Nothing was taken") : limit(3 * idle, "No answer"))
    : body;
  const signals = [controller.signal, ...(signal === undefined ? [] : [signal])];
  try {
    const rest = { redirect: "manual", signal: AbortSignal.any(signals) } as const;
    return await fetch(url, { ...init, ...(sent === undefined ? {} : { body: sent }), ...rest });
  } finally {
    clearTimeout(timer);
  }
}

function unreachable({ endpoint }: HubAccess, cause: unknown): string {
  const isOwn = endpoint !== "https://huggingface.co";
  return `${endpoint} cannot be reached (${rootCause(cause as Error)}); check the network connection` +
    (isOwn ? " and HF_ENDPOINT" : ", or set HF_ENDPOINT to a mirror that you can reach");
}

/** What is at the bottom of a failed request, without the layers that it came through. */
function rootCause(error: Error): string {
  if (error.cause instanceof Error) return rootCause(error.cause);
  return error.message.replace(/^error sending request for url \(.*?\): (client error \(\w+\): )?/, "");
}

/** Why a hub refused, for programs, and what would help, for people. */
interface Refusal {
  readonly code: HubErrorCode;
  readonly reason: string;
}

async function explainRefusal(access: HubAccess, response: Response, repository: string): Promise<Refusal> {
  const refuse = (code: HubErrorCode, reason: string): Refusal => ({ code, reason });
  const { status, headers } = response;
  const { endpoint, tokenSource } = access;
  const said = (headers.get("x-error-message") ?? await errorText(response)).replace(/\.$/, "");
  const problem = headers.get("x-error-code") ?? "";
  const page = `${endpoint}/${repository}`;
  const ownToken = `a token from ${endpoint}/settings/tokens`;
  if (/invalid (credentials|username or password)/i.test(said) && tokenSource !== null) {
    return refuse("unauthorized", `the token of ${tokenSource} is not valid; set HF_TOKEN to ${ownToken}`);
  }
  if (problem === "GatedRepo") {
    const reason = tokenSource === null
      ? `"${repository}" is gated; accept its license at ${page}, then set HF_TOKEN to ${ownToken}`
      : `"${repository}" is gated, and the account of the token of ${tokenSource} has no access to it; accept its license at ${page}`;
    return refuse("gated", reason);
  }
  if (problem === "RevisionNotFound") {
    return refuse("not-found", `"${repository}" has no such branch, tag or commit; ${page}/tree/main lists them`);
  }
  if (problem === "EntryNotFound") {
    return refuse("not-found", `"${repository}" has no such file; ${page}/tree/main lists its files`);
  }
  if (problem === "RepoNotFound" || status === 401 || status === 404) {
    const help = tokenSource === null
      ? `, or set HF_TOKEN to ${ownToken}`
      : `, or use a token that may read it (${tokenSource} has one that may not)`;
    return refuse(
      "not-found",
      `there is no repository "${repository}" at ${endpoint}, or it is private; check the name${help}`,
    );
  }
  if (status === 403) {
    const token = tokenSource === null ? "no token is set" : `the token is that of ${tokenSource}`;
    return refuse(
      "unauthorized",
      `the hub forbids it (${said || "403"}); ${token}: set HF_TOKEN to ${ownToken} that may do this`,
    );
  }
  if (status === 429) {
    const anonymous = tokenSource === null ? `, or set HF_TOKEN to ${ownToken}, which may ask more often` : "";
    return refuse(
      "unreachable",
      `${endpoint} allows no more requests for now (429); try again in some minutes${anonymous}`,
    );
  }
  const hint = status >= 500 ? "; try again later" : "";
  return refuse("unreachable", `${endpoint} answered ${status}${said === "" ? "" : ` (${said})`}${hint}`);
}

/** What a JSON answer says is wrong; nothing where it is of another kind. */
async function errorText(response: Response): Promise<string> {
  try {
    const { error } = await response.json() as { error?: unknown };
    return typeof error === "string" ? error : "";
  } catch {
    return "";
  }
}
