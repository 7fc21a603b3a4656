/** What a hub's refusals and lost connections mean, and what would help. */
import { formatDuration, type HubErrorCode } from "@tessera/text";
import type { HubAccess } from "./hub_access.ts";
import { readText } from "./hub_body.ts";

/** Why a hub cannot be reached, and what to look at. */
export function unreachable({ endpoint }: HubAccess, cause: unknown): string {
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
export interface Refusal {
  /** The code of the error. */
  readonly code: HubErrorCode;
  /** The sentence that says why, and what would help. */
  readonly reason: string;
}

/** What an answer that is no success means; `askedMs` is how long the hub asks to wait, `null` when it does not say. */
export async function explainRefusal(
  access: HubAccess,
  response: Response,
  { repository, askedMs }: { readonly repository: string; readonly askedMs: number | null },
): Promise<Refusal> {
  const refuse = (code: HubErrorCode, reason: string): Refusal => ({ code, reason });
  const { status, headers } = response;
  const { endpoint, tokenSource } = access;
  // Cut after it was redacted: half a secret would not be found.
  const said = access.redact(headers.get("x-error-message") ?? await errorText(access, response))
    .slice(0, mostSaid).replace(/\.$/, "");
  if (response.body?.locked === false) await response.body.cancel();
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
  const again = askedMs === null ? null : `in ${formatDuration(askedMs / 1000)}`;
  if (status === 429) {
    const anonymous = tokenSource === null ? `, or set HF_TOKEN to ${ownToken}, which may ask more often` : "";
    return refuse(
      "unreachable",
      `${endpoint} allows no more requests for now (429); try again ${again ?? "in some minutes"}${anonymous}`,
    );
  }
  const hint = status >= 500 ? `; try again ${again ?? "later"}` : "";
  return refuse("unreachable", `${endpoint} answered ${status}${said === "" ? "" : ` (${said})`}${hint}`);
}

/** The characters of what a server says that are shown, and the bytes of it that are read. */
const mostSaid = 300;
const errorBytes = 2 ** 16;

/** What a JSON answer says is wrong; nothing where it is of another kind, does not come soon, or does not end. */
async function errorText(access: HubAccess, response: Response): Promise<string> {
  try {
    const limits = { totalMs: 10_000, what: "what the hub says is wrong", maxBytes: errorBytes };
    const { error } = JSON.parse((await readText(response, access, limits)).text) as { error?: unknown };
    return typeof error === "string" ? error : "";
  } catch {
    return "";
  }
}
