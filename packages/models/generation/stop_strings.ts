/** Strings that end a text, looked for in text that comes in pieces. */

/** Passes text on until a string comes up that ends it. */
export interface StopScanner {
  /** Takes a piece; gives the text that certainly comes before any stop string. */
  push(piece: string): string;
  /** Whether a stop string came up: nothing more is passed on. */
  readonly stopped: boolean;
  /** Gives what was kept back because it might have become a stop string. */
  end(): string;
}

/** A scanner for some strings, none of them empty; a text ends before the first one that is complete, or, if it is kept, after it. */
export function stopScanner(stops: readonly string[], keepsStop: boolean = false): StopScanner {
  let held = "";
  let stopped = false;
  return {
    push(piece) {
      if (stopped) return "";
      held += piece;
      const found = firstStop(held, stops);
      stopped = found !== null;
      const length = found === null ? held.length - openLength(held, stops) : keepsStop ? found.end : found.start;
      const given = held.slice(0, length);
      held = stopped ? "" : held.slice(length);
      return given;
    },
    get stopped() {
      return stopped;
    },
    end() {
      const rest = held;
      held = "";
      return rest;
    },
  };
}

/** The stop string that is the first to be complete; of those that are so at once the longest. */
function firstStop(text: string, stops: readonly string[]): { readonly start: number; readonly end: number } | null {
  let first: { start: number; end: number } | null = null;
  for (const stop of stops) {
    const start = text.indexOf(stop);
    const end = start + stop.length;
    if (start < 0 || (first !== null && (first.end < end || (first.end === end && first.start < start)))) continue;
    first = { start, end };
  }
  return first;
}

/** The length of the longest end of a text that a stop string begins with. */
function openLength(text: string, stops: readonly string[]): number {
  let longest = 0;
  for (const stop of stops) {
    for (let length = Math.min(stop.length - 1, text.length); length > longest; length--) {
      if (text.endsWith(stop.slice(0, length))) longest = length;
    }
  }
  return longest;
}
