/** Options by name: a misspelled one is an error that names the nearest, where it would otherwise silently leave the default. */
import { didYouMean, listNames } from "./name_hints.ts";

/** The names of a type's options, as a table that the type checker keeps complete. */
export type OptionNames<Options> = { readonly [Name in keyof Required<Options>]: true };

/**
 * Checks that every option that was given to a task, such as `generate`, exists.
 *
 * @throws {TypeError} when one does not, with the nearest that does.
 */
export function checkOptions(task: string, given: object, known: Readonly<Record<string, true>>): void {
  for (const name of Object.keys(given)) {
    if (Object.hasOwn(known, name)) continue;
    const names = Object.keys(known);
    const hint = didYouMean(name, names).replace(/^, /, "; ");
    throw new TypeError(
      `Cannot ${task}: "${name}" is not an option${hint || `; the options are ${listNames(names, Infinity)}`}`,
    );
  }
}

/** Those of the options given that a table has. */
export function pickOptions<Options extends object>(given: Options, known: OptionNames<Options>): Options;
export function pickOptions(given: object, known: Readonly<Record<string, true>>): object {
  return Object.fromEntries(Object.entries(given).filter(([name]) => Object.hasOwn(known, name)));
}
