/** A source of repeatable random choices. */
export interface Random {
  /** Returns an integer from 0 to `limit - 1`. */
  below(limit: number): number;
  /** Returns one element of a list, each with the same probability. */
  pick<T>(list: readonly T[]): T;
  /** Returns true with the given probability. */
  chance(probability: number): boolean;
  /** Returns a shuffled copy of a list. */
  shuffle<T>(list: readonly T[]): T[];
}

/**
 * Makes a random source from an integer seed; the same seed gives the same choices on every machine.
 *
 * The generator is SplitMix32 (Steele, Lea and Flood 2014, https://doi.org/10.1145/2660193.2660195, with 32-bit words).
 */
export function createRandom(seed: number): Random {
  let state = seed | 0;

  function below(limit: number): number {
    state = (state + 0x9e3779b9) | 0;
    return Math.floor((mix(state) / 0x100000000) * limit);
  }

  function pick<T>(list: readonly T[]): T {
    const element = list[below(list.length)];
    if (element === undefined) throw new RangeError("Cannot pick from an empty list: at least 1 element is needed");
    return element;
  }

  function shuffle<T>(list: readonly T[]): T[] {
    const rest = [...list];
    const shuffled: T[] = [];
    while (rest.length > 0) shuffled.push(...rest.splice(below(rest.length), 1));
    return shuffled;
  }

  return { below, pick, shuffle, chance: (probability) => below(0x100000) < probability * 0x100000 };
}

/** Returns a 32-bit hash of a text, the same on every machine. */
export function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (const character of text) hash = mix(hash ^ (character.codePointAt(0) ?? 0));
  return hash;
}

/** Mixes the bits of a 32-bit word into an unsigned 32-bit word. */
function mix(word: number): number {
  let mixed = Math.imul(word ^ (word >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
