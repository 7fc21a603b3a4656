/** HTML that cannot forget to escape: what is put into a template is text, unless it is HTML already. */

/** A piece of HTML. */
export class Html {
  /** The markup. */
  readonly markup: string;

  /** Takes markup as it is; for text, use `markup`. */
  constructor(markup: string) {
    this.markup = markup;
  }

  /** Gives the markup. */
  toString(): string {
    return this.markup;
  }
}

/** What may be put into a template; `null` and `false` leave nothing. */
export type Content = string | number | Html | null | false | readonly Content[];

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

function render(content: Content): string {
  if (content === null || content === false) return "";
  if (content instanceof Html) return content.markup;
  if (typeof content === "object") return content.map(render).join("");
  return String(content).replaceAll(/[&<>"']/g, (character) => entities[character]!);
}

/**
 * Makes HTML of a template; text in it is escaped, for elements and for quoted attributes alike.
 *
 * It is not called `html`, as `deno fmt` would lay such templates out anew, and space counts between inline elements.
 */
export function markup(strings: TemplateStringsArray, ...contents: readonly Content[]): Html {
  return new Html(strings.reduce((text, string, i) => text + render(contents[i - 1]!) + string));
}

/** Data for a script, as JSON in which nothing can end the element that it stands in. */
export function scriptData(value: unknown): Html {
  return new Html(JSON.stringify(value).replaceAll("<", "\\u003c").replaceAll("\u2028", "\\u2028"));
}
