/**
 * Stateless random numbers: a key in, numbers out. The same key gives the same numbers whatever ran before, so results do not
 * depend on the order of work, nor, once a model is sharded, on the mesh.
 *
 * The generator is Threefry-2x32 with 20 rounds (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011).
 */

/** A random key: 64 bits. */
export type RandomKey = readonly [high: number, low: number];

const rotations = [13, 15, 26, 6, 17, 29, 16, 24];

/** One Threefry-2x32 block: two 32-bit counters under a key. */
export function threefry([k0, k1]: RandomKey, c0: number, c1: number): [number, number] {
  const keys = [k0 >>> 0, k1 >>> 0, (k0 ^ k1 ^ 0x1bd11bda) >>> 0];
  let x = (c0 + keys[0]!) | 0;
  let y = (c1 + keys[1]!) | 0;
  for (let round = 0; round < 20; round++) {
    const turn = rotations[round % 8]!;
    x = (x + y) | 0;
    y = ((y << turn) | (y >>> (32 - turn))) ^ x;
    if (round % 4 === 3) {
      const block = (round + 1) / 4;
      x = (x + keys[block % 3]!) | 0;
      y = (y + keys[(block + 1) % 3]! + block) | 0;
    }
  }
  return [x >>> 0, y >>> 0];
}

/** The key of a seed. */
export function randomKey(seed: number): RandomKey {
  return [Math.floor(seed / 2 ** 32) >>> 0, seed >>> 0];
}

/** A key for one use of another: the same key and label give the same result, other labels independent ones. */
export function foldIn(key: RandomKey, label: string | number): RandomKey {
  if (typeof label === "number") return threefry(key, Math.floor(label / 2 ** 32) >>> 0, label >>> 0);
  let folded = threefry(key, 0x5eed, label.length);
  for (const byte of new TextEncoder().encode(label)) folded = threefry(folded, byte, 1);
  return folded;
}

/** Numbers that are uniform on [0, 1), with 24 random bits each. */
export function uniform(key: RandomKey, count: number): Float32Array<ArrayBuffer> {
  const out = new Float32Array(count);
  for (let i = 0; i < count; i += 2) {
    const [a, b] = threefry(key, 0, i);
    out[i] = (a >>> 8) * 2 ** -24;
    if (i + 1 < count) out[i + 1] = (b >>> 8) * 2 ** -24;
  }
  return out;
}

/** Numbers that are normal with mean 0 and deviation 1 (Box and Muller, 1958). */
export function normal(key: RandomKey, count: number): Float32Array<ArrayBuffer> {
  const out = new Float32Array(count);
  for (let i = 0; i < count; i += 2) {
    const [a, b] = threefry(key, 0, i);
    const radius = Math.sqrt(-2 * Math.log((a + 0.5) * 2 ** -32));
    const angle = 2 * Math.PI * b * 2 ** -32;
    out[i] = radius * Math.cos(angle);
    if (i + 1 < count) out[i + 1] = radius * Math.sin(angle);
  }
  return out;
}
