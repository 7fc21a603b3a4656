/** Lists of flags for a help text. */
import { displayWidth } from "@tessera/text";
import type { Flag, Switch } from "./flags.ts";
import { wrap } from "./terminal.ts";

function formatFallback(value: unknown): string {
  if (value === undefined) return "";
  if (value === null) return " [none]";
  return ` [${Array.isArray(value) ? value.join(",") : String(value)}]`;
}

interface Entry {
  readonly name: string;
  readonly text: string;
}

function formatEntries(entries: readonly Entry[], width: number): string {
  const indent = 38;
  return entries.map(({ name, text }) => {
    const head = `  ${name}`;
    const lines = wrap(text, width - indent);
    const isLong = displayWidth(head) > indent - 2;
    const first = isLong ? `${head}\n${" ".repeat(indent)}${lines[0]}` : head.padEnd(indent) + lines[0];
    return [first, ...lines.slice(1).map((line) => " ".repeat(indent) + line)].join("\n");
  }).join("\n");
}

/** The flags of fields, each with what it takes, what it means and its default. */
export function formatFlags(flags: readonly Flag[], width: number): string {
  const entries = flags.map((flag) => ({
    name: `--${flag.shortest} ${flag.kinds.has("boolean") ? "" : `<${flag.takes}>`}`.trimEnd(),
    // On the command line null is written as "none".
    text: flag.description.replaceAll(/\bnull\b/g, "none") +
      formatFallback(flag.kinds.size === 1 && flag.kinds.has("null") ? undefined : flag.fallback),
  }));
  return formatEntries(entries, width);
}

/** The flags of a program itself. */
export function formatSwitches(switches: Readonly<Record<string, Switch>>, width: number): string {
  const entries = Object.entries(switches).map(([name, { takes, description }]) => ({
    name: `--${name}${takes === undefined ? "" : ` <${takes}>`}`,
    text: description,
  }));
  return formatEntries(entries, width);
}
