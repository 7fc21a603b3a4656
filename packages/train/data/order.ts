/** The finaliser of MurmurHash3, which spreads a 32-bit number over all bits (https://github.com/aappleby/smhasher). */
function mix(value: number): number {
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35);
  return (value ^ (value >>> 16)) >>> 0;
}

/** Random 32-bit numbers by xoshiro128**, begun from a list of numbers (https://prng.di.unimi.it). */
function randomBits(seeds: readonly number[]): () => number {
  const state = new Uint32Array(4);
  let hash = 0x9e3779b9;
  for (const seed of seeds) {
    for (const word of [seed >>> 0, Math.floor(seed / 2 ** 32) >>> 0]) hash = mix(hash ^ mix(word + 0x9e3779b9));
  }
  for (let i = 0; i < 4; i++) state[i] = hash = mix(hash + 0x9e3779b9);
  return () => {
    const product = Math.imul(state[1]!, 5);
    const result = Math.imul((product << 7) | (product >>> 25), 9) >>> 0;
    const shifted = state[1]! << 9;
    state[2]! ^= state[0]!;
    state[3]! ^= state[1]!;
    state[1]! ^= state[2]!;
    state[0]! ^= state[3]!;
    state[2]! ^= shifted;
    state[3] = (state[3]! << 11) | (state[3]! >>> 21);
    return result;
  };
}

/** The numbers below `length` in a random order that follows from the seeds alone (Fisher and Yates). */
export function randomOrder(length: number, seeds: readonly number[]): Uint32Array {
  const random = randomBits(seeds);
  const order = Uint32Array.from({ length }, (_, index) => index);
  for (let last = length - 1; last > 0; last--) {
    const other = Math.floor((random() / 2 ** 32) * (last + 1));
    [order[last], order[other]] = [order[other]!, order[last]!];
  }
  return order;
}
