/** The fewest insertions, deletions, replacements and swaps of neighbors that turn one word into another. */
export function editDistance(a: string, b: string): number {
  // Optimal string alignment: the usual table of prefixes, of which three rows are enough to see swapped neighbors.
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const replace = last[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      let best = Math.min(replace, last[j]! + 1, row[j - 1]! + 1);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        best = Math.min(best, beforeLast[j - 2]! + 1);
      }
      row.push(best);
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length]!;
}

/**
 * The candidate that a misspelled name most likely means, ignoring case; `null` when none is close. Two fifths of the letters may be
 * wrong unless `maxEdits` says otherwise: enough for typos, too little to turn one word into another.
 */
export function nearestName(
  name: string,
  candidates: Iterable<string>,
  maxEdits: number = Math.max(1, Math.floor(name.length * 0.4)),
): string | null {
  let nearest: string | null = null;
  let distance = maxEdits + 1;
  for (const candidate of candidates) {
    const edits = editDistance(name.toLowerCase(), candidate.toLowerCase());
    if (edits < distance) [nearest, distance] = [candidate, edits];
  }
  return nearest;
}
