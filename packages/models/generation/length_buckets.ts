/** Lengths that programs are compiled for, so that few programs serve texts of all lengths. */

/**
 * The length that a prompt is padded to: at least 32, then four lengths from each power of two to the next, so that at most a
 * fifth of what is read is padding.
 */
export function promptBucket(length: number): number {
  const step = Math.max(2 ** (Math.ceil(Math.log2(length)) - 3), 8);
  return Math.max(Math.ceil(length / step) * step, 32);
}

/** The length of a cache that holds `length` tokens: a power of two, at least 32, so that a cache grows seldom. */
export function cacheBucket(length: number): number {
  return Math.max(2 ** Math.ceil(Math.log2(length)), 32);
}
