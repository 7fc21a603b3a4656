/**
 * What must never be seen: tokens, passwords and the signatures of addresses. Every message of the package passes the redactor that
 * is made here.
 */
import { HubError } from "@tessera/text";

/** Removes secrets from a text. */
export type Redact = (text: string) => string;

/** What replaces a secret. */
const mask = "***";

/** What is a secret by its form, wherever it is from. */
const patterns: readonly (readonly [RegExp, string])[] = [
  // The name and password of an address.
  [/(\b[a-z][\w+.-]*:\/\/)[^\s/"'<>@]*@/gi, `$1${mask}@`],
  // The query of an address, which signs it.
  [/(\bhttps?:\/\/[^\s"'<>?#]*)\?[^\s"'<>)]*/gi, `$1?${mask}`],
  [/\b(Bearer|Basic)\s+[\w.~+/=-]{4,}/gi, `$1 ${mask}`],
  [/\bhf_[A-Za-z0-9]{20,}/g, mask],
];

/** A text that a server said may not write to a terminal as it likes. */
// deno-lint-ignore no-control-regex
const controls = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]/g;

/** The forms in which a secret can come back: as it is or in base64, and each in an address or a text of JSON. */
function formsOf(secret: string): string[] {
  const base64 = new TextEncoder().encode(secret).toBase64();
  return [secret, base64, base64.replace(/=+$/, "")].flatMap(
    (form) => [form, encodeURIComponent(form), JSON.stringify(form).slice(1, -1)],
  );
}

/** Removes some secrets from texts, and nothing else; those shorter than four characters are kept, since they occur in other words. */
export function hideSecrets(secrets: readonly string[]): Redact {
  const forms = new Set(secrets.filter(({ length }) => length >= 4).flatMap(formsOf));
  const longestFirst = [...forms].sort((a, b) => b.length - a.length);
  return (text) => longestFirst.reduce((rest, form) => rest.replaceAll(form, mask), text);
}

/** Makes texts fit to be shown: without some secrets, without what is one by its form, without control characters. */
export function redactor(secrets: readonly string[] = []): Redact {
  const hide = hideSecrets(secrets);
  return (text) =>
    patterns.reduce((rest, [pattern, into]) => rest.replace(pattern, into), hide(text)).replace(controls, " ");
}

/**
 * An error whose message, stack and causes have passed a redactor; the same object where it can be changed. What is no error stays as
 * it is.
 */
export function redactError(error: unknown, redact: Redact): unknown {
  if (!(error instanceof Error)) return error;
  const message = redact(error.message);
  const cause = redactError(error.cause, redact);
  if (message === error.message && cause === error.cause && !isShown(error.stack, redact)) return error;
  try {
    // The stack begins with the message, and is made when it is first read.
    const stack = redact(error.stack ?? "").replaceAll(error.message, message);
    error.message = message;
    error.stack = stack;
    if (cause !== undefined) error.cause = cause;
  } catch {
    // A frozen error, or one whose message is not its own.
  }
  if (error.message === message && error.cause === cause) return error;
  const options = cause === undefined ? {} : { cause };
  return error instanceof HubError ? new HubError(message, error.code, options) : new Error(message, options);
}

function isShown(stack: string | undefined, redact: Redact): boolean {
  return stack !== undefined && redact(stack) !== stack;
}

/**
 * Work of which no error says a secret. The reason of a signal is its owner's, and stays as it is.
 *
 * @throws what the work throws, redacted.
 */
export async function withRedaction<T>(
  { redact }: { readonly redact: Redact },
  signal: AbortSignal | undefined,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (signal?.aborted && error === signal.reason) throw error;
    throw redactError(error, redact);
  }
}

/** What is wrong with a token, as far as that can be told without the hub and said without it; `null` when it can be sent. */
export function tokenProblem(token: string): string | null {
  if (token.length > 1000) return `it has ${token.length} characters, and is no token`;
  const at = token.search(/[^\x21-\x7e]/);
  if (at < 0) return null;
  const wrong = token[at]!;
  const kind = /[\r\n]/.test(wrong)
    ? "a line break"
    : /\s/.test(wrong)
    ? "a space"
    : "a character that tokens do not have";
  return `it has ${kind} at character ${at + 1} of ${token.length}`;
}
