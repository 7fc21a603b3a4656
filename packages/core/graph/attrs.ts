/** Attributes as text, for the printer and for telling two nodes apart. */
import type { Attrs } from "./tensor.ts";

/** JSON has no infinities, no NaN and no -0; they stand as text, so that no two values look alike. */
function spell(_: string, value: unknown): unknown {
  if (typeof value !== "number") return value;
  return Object.is(value, -0) ? "-0" : Number.isFinite(value) ? value : String(value);
}

/** A text that is the same for two sets of attributes only when they are equal. */
export function attrsKey(attrs: Attrs): string {
  return JSON.stringify(attrs, spell);
}

/** One attribute as people read it; long lists are cut after `shown` elements. */
export function formatAttr(value: unknown, shown: number): string {
  if (typeof value === "number") return Object.is(value, -0) ? "-0" : String(value);
  if (!Array.isArray(value)) return JSON.stringify(value);
  const parts = value.slice(0, shown).map((element) => formatAttr(element, shown));
  return value.length <= shown ? `[${parts.join(",")}]` : `[${parts.join(",")},… ${value.length} in all]`;
}
