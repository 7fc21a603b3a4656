/** The ends of error messages: a hint at the likely name, and a short list of names. */
import { nearestName } from "./nearest.ts";

/** A hint such as `, did you mean "width"?` for the end of an error message, or nothing. */
export function didYouMean(name: string, candidates: Iterable<string>): string {
  const match = nearestName(name, candidates);
  return match === null ? "" : `, did you mean "${match}"?`;
}

/** A list of names for an error message: the first few in quotes, and how many more there are. */
export function listNames(names: Iterable<string>, most: number = 5): string {
  const all = [...names];
  const shown = all.slice(0, most).map((name) => `"${name}"`).join(", ");
  return all.length > most ? `${shown} and ${all.length - most} more` : shown;
}
