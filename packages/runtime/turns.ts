/**
 * The order in which runs may touch a buffer: any number of readers together, a writer alone, first come first served.
 */

/** Who is using a buffer. */
export interface Turns {
  /** Those who read it, as promises that resolve when they are done. */
  readonly readers: Set<Promise<void>>;
  /** The last one who writes it; `null` when that is over. */
  writer: Promise<void> | null;
}

/** How someone is going to use a buffer. */
export type Use = "read" | "write";

/** A buffer that nobody uses. */
export function newTurns(): Turns {
  return { readers: new Set(), writer: null };
}

/** Adds what a use has to wait for to `waits`, and makes later uses wait for `done`. */
export function takeTurn(turns: Turns, use: Use, done: Promise<void>, waits: Promise<void>[]): void {
  if (turns.writer !== null && turns.writer !== done) waits.push(turns.writer);
  if (use === "read") {
    turns.readers.add(done);
    return;
  }
  for (const reader of turns.readers) {
    if (reader !== done) waits.push(reader);
  }
  turns.readers.clear();
  turns.writer = done;
}

/** Ends the use that was announced with `done`. */
export function endTurn(turns: Turns, done: Promise<void>): void {
  turns.readers.delete(done);
  if (turns.writer === done) turns.writer = null;
}

/** Resolves when nobody uses the buffer any more; `null` when nobody does now. */
export function idle(turns: Turns): Promise<void> | null {
  if (turns.writer === null && turns.readers.size === 0) return null;
  const users = [...turns.readers, ...(turns.writer === null ? [] : [turns.writer])];
  return Promise.all(users).then(() => idle(turns) ?? undefined);
}

/** Does something with a buffer when it is its turn, and ends the turn whatever happens. */
export async function whenFree<T>(turns: Turns, use: Use, body: () => T | Promise<T>): Promise<T> {
  const { promise: done, resolve } = Promise.withResolvers<void>();
  const waits: Promise<void>[] = [];
  takeTurn(turns, use, done, waits);
  try {
    await Promise.all(waits);
    return await body();
  } finally {
    endTurn(turns, done);
    resolve();
  }
}

/** Does something with several buffers when it is its turn for all of them; those in `written` alone. */
export async function whenAllFree<B extends { readonly turns: Turns }, T>(
  buffers: readonly B[],
  written: ReadonlySet<B>,
  body: () => T | Promise<T>,
): Promise<T> {
  const { promise: done, resolve } = Promise.withResolvers<void>();
  const waits: Promise<void>[] = [];
  const used = new Set(buffers);
  for (const buffer of used) takeTurn(buffer.turns, written.has(buffer) ? "write" : "read", done, waits);
  try {
    if (waits.length > 0) await Promise.all(waits);
    return await body();
  } finally {
    for (const buffer of used) endTurn(buffer.turns, done);
    resolve();
  }
}
