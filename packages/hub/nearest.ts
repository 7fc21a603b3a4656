/** The edits that turn `a` into `b`: insertions, deletions, substitutions and swaps of neighbours (Damerau, 1964). */
export function editDistance(a: string, b: string): number {
  // Row i holds the distances from the first i characters of `a`; a swap looks two rows back.
  let before: number[] = [];
  let above = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let best = Math.min(above[j]! + 1, row[j - 1]! + 1, above[j - 1]! + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) best = Math.min(best, before[j - 2]! + 1);
      row.push(best);
    }
    before = above;
    above = row;
  }
  return above[b.length]!;
}

/**
 * The candidate that a misspelt name most likely means, or null when none is close.
 *
 * Close is at most `maxDistance` edits, by default two fifths of the name; letter case does not count.
 */
export function nearest(
  name: string,
  candidates: Iterable<string>,
  maxDistance: number = Math.max(1, Math.floor(name.length * 0.4)),
): string | null {
  const lower = name.toLowerCase();
  let best: string | null = null;
  let bestDistance = maxDistance + 1;
  for (const candidate of candidates) {
    // The lengths alone already cost this many edits.
    if (Math.abs(candidate.length - name.length) >= bestDistance) continue;
    const distance = editDistance(lower, candidate.toLowerCase());
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best;
}

/** A hint such as `, did you mean "width"?` for the end of an error message, or nothing. */
export function didYouMean(name: string, candidates: Iterable<string>): string {
  const match = nearest(name, candidates);
  return match === null ? "" : `, did you mean "${match}"?`;
}

/** A list of names for an error message: the first few in quotes, and how many more there are. */
export function listNames(names: Iterable<string>, most: number = 5): string {
  const all = [...names];
  const shown = all.slice(0, most).map((name) => `"${name}"`).join(", ");
  return all.length > most ? `${shown} and ${all.length - most} more` : shown;
}
