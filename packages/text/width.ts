const combining = /\p{Mark}|\u200b|\u200d|\ufe0f/u;
const wide =
  /\p{Emoji_Presentation}|[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60]/u;

function characterWidth(character: string): number {
  if (character < "\u0300") return 1;
  if (combining.test(character)) return 0;
  return wide.test(character) || (character >= "\u{20000}" && character <= "\u{3fffd}") ? 2 : 1;
}

/** The number of terminal columns that a text without control characters takes. */
export function displayWidth(text: string): number {
  let width = 0;
  for (const character of text) width += characterWidth(character);
  return width;
}

function takeColumns(characters: Iterable<string>, columns: number): string[] {
  const taken: string[] = [];
  for (const character of characters) {
    columns -= characterWidth(character);
    if (columns < 0) break;
    taken.push(character);
  }
  return taken;
}

/**
 * The text, cut to at most `columns` terminal columns; an ellipsis stands for what is left out.
 *
 * @param where the part that gives way: the end of a sentence, or the middle of a path, whose two ends tell it apart.
 */
export function fitText(text: string, columns: number, where: "end" | "middle" = "end"): string {
  if (displayWidth(text) <= columns) return text;
  if (columns < 1) return "";
  const tail = where === "middle" ? takeColumns([...text].reverse(), Math.floor((columns - 1) / 2)).reverse() : [];
  const head = takeColumns(text, columns - 1 - displayWidth(tail.join("")));
  return `${head.join("")}…${tail.join("")}`;
}
