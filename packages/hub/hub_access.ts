/**
 * The Hugging Face Hub, or a mirror of it: where it is, the user's token, and what is never shown of them.
 *
 * The environment is that of Hugging Face's own tools: `HF_ENDPOINT`, `HF_TOKEN`, `HF_TOKEN_PATH`, `HF_HOME`, `HF_HUB_OFFLINE`.
 */
import { environmentVariable, fileOf } from "@tessera/files";
import { HubError } from "@tessera/text";
import { readEndpoint } from "./hub_endpoint.ts";
import { type HubLimits, hubLimits } from "./hub_limits.ts";
import { hideSecrets, type Redact, redactor, tokenProblem } from "./hub_secrets.ts";

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

/** How a hub is asked. */
export interface HubOptions {
  /** Waits between tries; by the clock unless given. */
  readonly wait?: Wait | undefined;
  /** The time and size limits, where they differ from the defaults. */
  readonly limits?: Partial<HubLimits> | undefined;
  /** Called with a sentence when something is waited for; nobody is told unless given. */
  readonly onWait?: ((text: string) => void) | undefined;
}

/** What `HubAccess` is made of besides the address. */
interface AccessDetails extends Pick<HubOptions, "onWait"> {
  readonly wait: Wait;
  readonly token: string | null;
  readonly tokenSource: string | null;
  /** What is sent to the hub where there is no token. */
  readonly authorization: string | null;
  readonly secrets: readonly string[];
  readonly isOffline: boolean;
  readonly limits: HubLimits;
}

/** A hub and its user. The token is private: printing this never prints it. */
export class HubAccess {
  readonly #token: string | null;
  readonly #authorization: string | null;
  /** Where the token is from, such as `HF_TOKEN`, for messages; `null` without one. */
  readonly tokenSource: string | null;
  /** Whether the network must not be touched. */
  readonly isOffline: boolean;
  /** Waits between tries. */
  readonly wait: Wait;
  /** The time and size limits of the hub. */
  readonly limits: HubLimits;
  /** Redacts a text for display: every message passes through it. */
  readonly redact: Redact;
  /** Removes the secrets from what the hub answers, before it is parsed. */
  readonly hide: Redact;
  /** Reports that something is waited for; a repeated text is reported once in a row. */
  readonly say: (text: string) => void;

  /** Made by `readHubAccess`. */
  constructor(
    /** The address of the hub, without name and password, and without a slash at its end. */
    readonly endpoint: string,
    { token, tokenSource, authorization, secrets, isOffline, wait, limits, onWait }: AccessDetails,
  ) {
    [this.#token, this.tokenSource] = [token, tokenSource];
    this.#authorization = token === null ? authorization : `Bearer ${token}`;
    [this.isOffline, this.wait, this.limits] = [isOffline, wait, limits];
    [this.redact, this.hide] = [redactor(secrets), hideSecrets(secrets)];
    let said = "";
    this.say = (text) => {
      if (text !== said) onWait?.(this.redact(text));
      said = text;
    };
  }

  /**
   * Checks that the token can be sent.
   *
   * @throws {HubError} when it has a character that no token has, without showing it.
   */
  checkToken(purpose: string): void {
    const problem = this.#token === null ? null : tokenProblem(this.#token);
    if (problem === null) return;
    throw new HubError(
      `Cannot ${purpose}: the token of ${this.tokenSource} cannot be sent, as ${problem}; set HF_TOKEN to a token from ` +
        `${this.endpoint}/settings/tokens`,
      "unauthorized",
    );
  }

  /** What every request to an address carries; the token only goes to the hub itself, never to where it redirects. */
  headersFor(url: URL): Record<string, string> {
    const isHub = url.origin === new URL(this.endpoint).origin;
    return {
      "user-agent": "tessera",
      // Compressed bodies have other lengths than their files.
      "accept-encoding": "identity",
      ...(this.#authorization !== null && isHub ? { authorization: this.#authorization } : {}),
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
  { wait = waitFor, limits = {}, onWait }: HubOptions = {},
): Promise<HubAccess> {
  const { endpoint, authorization, secrets } = readEndpoint(environment("HF_ENDPOINT") || "https://huggingface.co");
  const path = expandHome(environment("HF_TOKEN_PATH") ?? `${hubHome(environment)}/token`, environment);
  const given = environment("HF_TOKEN")?.trim();
  // Without a home, as in a browser, there is no file either.
  const kept = given || path.startsWith("~") ? null : (await fileOf(path).text())?.trim();
  const token = given || kept || null;
  const isOffline = /^(1|on|yes|true)$/i.test(
    environment("HF_HUB_OFFLINE") || environment("TRANSFORMERS_OFFLINE") || "",
  );
  return new HubAccess(endpoint, {
    token,
    tokenSource: token === null ? null : given ? "HF_TOKEN" : `"${path}"`,
    authorization,
    secrets: token === null ? secrets : [...secrets, token, ...token.split(/\s+/)],
    isOffline,
    wait,
    limits: { ...hubLimits, ...limits },
    onWait,
  });
}
