/**
 * Values by module, as PEFT's `rank_pattern` and `alpha_pattern` give them: a key is a name, an end of one, or a regular expression.
 *
 * Keys come from files of others, so those that could take long to match are refused.
 */

/** Values by pattern; the first that matches a module counts. */
export type ModulePatterns = readonly (readonly [pattern: string, value: number])[];

/** With more repetitions and groups, each of which can match in several ways, a name of 60 letters may take seconds. */
const mostChoices = 3;

/** Why a pattern is not used; `null` where it is. */
export function patternFault(pattern: string): string | null {
  // Escaped letters and classes are one letter each.
  const bare = pattern.replace(/\\./g, "_").replace(/\[[^\]]*\]/g, "_");
  if (/\\[1-9k]/.test(pattern)) return "its key refers to what a group matched, which Tessera does not match";
  if (/\)[*+{]/.test(bare)) return "its key repeats a group, which Tessera does not match; name the modules one by one";
  if ((bare.replaceAll("(?:", "(").match(/[*+?{(]/g) ?? []).length > mostChoices) {
    return `its key has more than ${mostChoices} repetitions and groups; name the modules one by one`;
  }
  try {
    compile(pattern);
    return null;
  } catch {
    return "its key is no regular expression";
  }
}

/** The value for a module, such as `model.layers.0.self_attn.q_proj`; `otherwise` where no pattern matches. */
export function valueFor(module: string, patterns: ModulePatterns, otherwise: number): number {
  return patterns.find(([pattern]) => compile(pattern).test(module))?.[1] ?? otherwise;
}

/** With "u", what Python reads in another way, such as `\A`, is an error. */
function compile(pattern: string): RegExp {
  return new RegExp(`^(?:.*\\.)?(?:${pattern})$`, "u");
}

/** A pattern that matches one module. */
export function patternOf(module: string): string {
  return `^${module.replaceAll(".", "\\.")}`;
}
