/** What a person reads in a terminal: sections and facts, as wide as the terminal and colored where it can be. */
import { displayWidth } from "@tessera/text";

/** Ways to set text apart, which do nothing where colors are not wanted. */
export interface Styles {
  /** Headings. */
  bold(text: string): string;
  /** Labels. */
  dim(text: string): string;
  /** What is right. */
  good(text: string): string;
  /** What is wrong. */
  bad(text: string): string;
}

/** Makes the ways to set text apart. */
export function makeStyles(isColored: boolean): Styles {
  const paint = (on: number, off: number) => (text: string) => isColored ? `\x1b[${on}m${text}\x1b[${off}m` : text;
  return { bold: paint(1, 22), dim: paint(2, 22), good: paint(32, 39), bad: paint(31, 39) };
}

/** Cuts a text between words into lines of at most `width` columns; a longer word is cut. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (let word of text.split(" ")) {
    if (line !== "" && displayWidth(`${line} ${word}`) > width) {
      lines.push(line);
      line = "";
    }
    while (line === "" && displayWidth(word) > width) {
      const head = [...word].slice(0, Math.max(1, Math.floor(width * word.length / displayWidth(word)))).join("");
      lines.push(head);
      word = word.slice(head.length);
    }
    line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line];
}

/** A text in one line, in which nothing moves the cursor or changes colors. */
export function oneLine(text: string): string {
  return text.replaceAll(/\r\n|[\n\r\u2028\u2029]/g, "⏎").replaceAll("\t", " ").replaceAll(
    /\p{Cc}|\p{Bidi_Control}/gu,
    "�",
  );
}

/** Facts in two columns, labels before values, which wrap under themselves. */
export function formatFacts(
  facts: readonly (readonly [label: string, value: string])[],
  width: number,
  styles: Styles,
): string {
  const indent = 2 + Math.max(...facts.map(([label]) => displayWidth(label))) + 2;
  return facts.flatMap(([label, value]) =>
    wrap(value, Math.max(20, width - indent)).map((line, i) =>
      i === 0
        ? `  ${styles.dim(label)}${" ".repeat(indent - 2 - displayWidth(label))}${line}`
        : " ".repeat(indent) + line
    )
  ).join("\n");
}
