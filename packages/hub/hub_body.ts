/** Reading bodies of answers, which may stall, trickle, or have no end. */
import { formatDuration } from "@tessera/text";
import type { HubAccess } from "./hub_access.ts";

/** How a body is read. */
export interface BodyOptions {
  /** The milliseconds that it may take in all. */
  readonly totalMs: number;
  /** What is said to be waited for, such as `the rest of "config.json"`. */
  readonly what: string;
}

/** A body that stalled, trickled, or broke off. */
export class BodyError extends Error {
  /** Whether its time is over and another try is of no use. */
  readonly isOver: boolean;

  /** Makes the error of a body. */
  constructor(message: string, isOver: boolean, options?: ErrorOptions) {
    super(message, options);
    this.isOver = isOver;
  }
}

/**
 * The pieces of a body, decompressed as they come.
 *
 * @throws {BodyError} when it breaks off, when nothing comes for the idle time, or when it is not at its end in the total time.
 */
export async function* piecesOf(
  response: Response,
  access: HubAccess,
  { totalMs, what }: BodyOptions,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void> {
  if (response.body === null) return;
  const { idleMs, wordMs } = access.limits;
  const reader = response.body.getReader();
  const endsAt = performance.now() + totalMs;
  try {
    for (;;) {
      const left = endsAt - performance.now();
      const problem = left < idleMs
        ? new BodyError(`Its end did not come within ${formatDuration(totalMs / 1000)}`, true)
        : new BodyError(`No byte came within ${formatDuration(idleMs / 1000)}`, false);
      const timer = Promise.withResolvers<never>();
      const end = setTimeout(() => timer.reject(problem), Math.max(0, Math.min(left, idleMs)));
      const word = setTimeout(
        () => access.say(`Waiting for ${what}: nothing has come for ${formatDuration(wordMs / 1000)}`),
        wordMs,
      );
      let piece;
      try {
        piece = await Promise.race([reader.read(), timer.promise]);
      } catch (cause) {
        throw cause === problem ? cause : new BodyError((cause as Error).message, false, { cause });
      } finally {
        clearTimeout(end);
        clearTimeout(word);
      }
      if (piece.done) return;
      yield piece.value;
    }
  } finally {
    // Also where the caller has had enough; a stalled connection ends with it.
    await reader.cancel().catch(() => {});
  }
}

/** The beginning of a body, up to so many bytes, as UTF-8; `isWhole` is whether that is all of it. */
export async function readText(
  response: Response,
  access: HubAccess,
  options: BodyOptions & { readonly maxBytes: number },
): Promise<{ readonly text: string; readonly isWhole: boolean }> {
  const decoder = new TextDecoder();
  let [text, size] = ["", 0];
  for await (const piece of piecesOf(response, access, options)) {
    const taken = piece.subarray(0, options.maxBytes - size);
    text += decoder.decode(taken, { stream: true });
    size += taken.length;
    if (taken.length < piece.length) return { text, isWhole: false };
  }
  return { text: text + decoder.decode(), isWhole: true };
}
