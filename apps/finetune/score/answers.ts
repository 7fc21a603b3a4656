/** A prompt and its answers, as a person reads them in a terminal. */
import { oneLine, type Styles, wrap } from "@tessera/cli";
import { displayWidth, fitText } from "@tessera/text";

/** A prompt and what was answered, one line each. */
export interface ShownAnswer {
  /** What the model was given. */
  readonly prompt: string;
  /** The right answer. */
  readonly expected: string;
  /** The answers by when they were given. */
  readonly answers: readonly (readonly [when: string, text: string])[];
}

const mostLines = 3;

/** Cuts a text into lines of exactly `width` columns: two texts that begin alike look alike. */
function chop(text: string, width: number): string[] {
  const lines = [""];
  for (const character of text) {
    if (displayWidth(lines.at(-1)! + character) > width) lines.push("");
    lines[lines.length - 1] += character;
  }
  return lines;
}

/** Lines under a hanging indent, the last of a few with an ellipsis for those that are left out. */
function paragraph(head: string, lines: readonly string[], indent: number, width: number): string[] {
  const shown = lines.slice(0, mostLines);
  if (lines.length > mostLines) shown[mostLines - 1] = fitText(`${shown.at(-1)}${lines[mostLines]}……`, width - indent);
  return shown.map((line, i) => (i === 0 ? head : " ".repeat(indent)) + line);
}

/** A prompt, the right answer and those given, each cut to a few lines of the terminal. */
export function formatAnswer({ prompt, expected, answers }: ShownAnswer, width: number, styles: Styles): string {
  const rows = answers.flatMap(([when, text]) => {
    const mark = text === expected ? styles.good("✓") : styles.bad("✗");
    const head = `  ${styles.dim(when.padEnd(8))}  ${mark} `;
    return text === "" ? [head + styles.dim("nothing")] : paragraph(head, chop(oneLine(text), width - 14), 14, width);
  });
  return [
    ...paragraph("  ", wrap(oneLine(prompt), width - 2), 2, width),
    ...paragraph(`  ${styles.dim("expected")}    `, chop(oneLine(expected), width - 14), 14, width),
    ...rows,
  ].join("\n");
}
