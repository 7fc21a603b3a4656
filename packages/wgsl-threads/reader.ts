/** The words of a program in WGSL, one after the other. */

const token =
  /\s+|\/\/[^\n]*|(0x[\da-f]+u?|\d+\.?\d*(?:e[-+]?\d+)?u?|\w+|<<|>>|<=|>=|==|!=|&&|\|\||->|\+\+|[-+*/%]=|[^\s\w])/gi;

/** A program that is read from its beginning to its end. */
export interface Reader {
  /** Its words. */
  readonly tokens: readonly string[];
  /** The number of the next word. */
  at: number;
  /** The next word, which stays; nothing at the end. */
  readonly peek: () => string;
  /** The next word, which has to be the expected one, if any. */
  readonly take: (wanted?: string) => string;
  /** Whether the next word is this one, which is then consumed. */
  readonly accept: (wanted: string) => boolean;
  /** The items up to a closing bracket, with commas between them. */
  readonly list: <T>(close: string, item: () => T) => T[];
  /** Reports that something else was expected here. */
  readonly fail: (wanted: string) => never;
}

/** Starts reading a program. */
export function readerOf(code: string): Reader {
  const tokens = [...code.matchAll(token)].flatMap((match) => match[1] ?? []);
  const peek = () => tokens[reader.at] ?? "";
  const fail = (wanted: string): never => {
    const { at } = reader;
    throw new SyntaxError(
      `Cannot translate WGSL: expected ${wanted} and found "${tokens.slice(at, at + 8).join(" ")}" after "${
        tokens.slice(Math.max(0, at - 12), at).join(" ")
      }"`,
    );
  };
  const take = (wanted?: string) => {
    if (wanted !== undefined && peek() !== wanted) fail(`"${wanted}"`);
    return tokens[reader.at++]!;
  };
  const accept = (wanted: string) => peek() === wanted ? (reader.at++, true) : false;
  const list = <T>(close: string, item: () => T): T[] => {
    const items: T[] = [];
    while (!accept(close)) {
      items.push(item());
      if (peek() !== close) take(",");
    }
    return items;
  };
  const reader: Reader = { tokens, at: 0, peek, take, accept, list, fail };
  return reader;
}
