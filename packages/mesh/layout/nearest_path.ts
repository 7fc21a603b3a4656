/**
 * The path that a layout key with a typo likely meant.
 *
 * A key is a regular expression, so plain edit distance does not apply: `.*` costs nothing whatever it stands for. The
 * key is read as one or more plain patterns of letters, single wild cards and runs of anything (alternatives are
 * multiplied out, what is hard to read becomes a run), and the edits that bring a path to match the nearest of them count.
 */

/** A piece of a plain pattern: a letter, any one letter (`null`), or a run of anything. */
type Piece = string | null | typeof run;
const run = Symbol("run");
type Pattern = readonly Piece[];

/** Patterns beyond this many are dropped, so that a key with many alternatives costs no more. */
const mostPatterns = 32;

/** The candidate that takes the fewest edits to match a key; `null` when there are no candidates. */
export function nearestPath(key: RegExp, paths: Iterable<string>): string | null {
  const patterns = readPatterns(key.source);
  let nearest: string | null = null;
  let fewest = Infinity;
  for (const path of paths) {
    const edits = Math.min(...patterns.map((pattern) => editsToMatch(pattern, path)));
    if (edits < fewest) [nearest, fewest] = [path, edits];
  }
  return nearest;
}

/** The fewest insertions, deletions and replacements after which a path matches a pattern. */
function editsToMatch(pattern: Pattern, path: string): number {
  let last = Array.from({ length: path.length + 1 }, (_, j) => j);
  for (const piece of pattern) {
    const row = [piece === run ? last[0]! : last[0]! + 1];
    for (let j = 1; j <= path.length; j++) {
      const fits = piece === null || piece === path[j - 1];
      row.push(
        piece === run
          ? Math.min(last[j]!, row[j - 1]!)
          : Math.min(last[j - 1]! + (fits ? 0 : 1), last[j]! + 1, row[j - 1]! + 1),
      );
    }
    last = row;
  }
  return last[path.length]!;
}

/** The plain patterns that a regular expression stands for, near enough. */
function readPatterns(source: string): readonly Pattern[] {
  // Tokens: an escape, a class, the start of a group, a quantifier, or one character.
  const tokens = source.match(/\\.|\[(?:\\.|[^\]])*\]|\((?:\?(?:<?[=!]|:|<\w+>))?|[*+?]\??|\{\d+(?:,\d*)?\}\??|[^]/g) ??
    [];
  let at = 0;

  /** Reads alternatives up to the end of the group. */
  function alternatives(): Pattern[] {
    const all: Pattern[] = [];
    for (;;) {
      all.push(...sequence());
      if (tokens[at] !== "|") return all.slice(0, mostPatterns);
      at++;
    }
  }

  /** Reads pieces up to the end of an alternative. */
  function sequence(): Pattern[] {
    let patterns: Pattern[] = [[]];
    while (at < tokens.length && tokens[at] !== "|" && tokens[at] !== ")") {
      let atom = readAtom(tokens[at++]!);
      if (/^(?:[*+?]|\{.)/.test(tokens[at] ?? "")) {
        atom = tokens[at]!.startsWith("?") ? [[], ...atom] : [[run]];
        at++;
      }
      patterns = patterns.flatMap((pattern) => atom.map((tail) => [...pattern, ...tail])).slice(0, mostPatterns);
    }
    return patterns;
  }

  function readAtom(token: string): Pattern[] {
    if (token.startsWith("(")) {
      const inner = alternatives();
      at++; // the closing parenthesis
      return /^\(\?<?[=!]/.test(token) ? [[]] : inner;
    }
    if (token === "^" || token === "$" || /^\\[bB]$/.test(token)) return [[]];
    if (token === "." || token.startsWith("[") && token.length > 1) return [[null]];
    if (token.startsWith("\\")) return [[/\w/.test(token[1]!) ? null : token[1]!]];
    return [[token]];
  }

  return alternatives();
}
