/** Modules as PEFT names them: which of them a config adapts, and which layers a word of its `target_modules` means. */
import type { EinsumDense } from "@tessera/nn";
import type { PeftTargets } from "./peft_config.ts";
import { patternFault } from "./peft_patterns.ts";

/** The names of a model's layers in Hugging Face's modules, both ways. */
export interface ModuleNames {
  /** The module of a layer, such as `model.layers.0.self_attn.q_proj`; `null` when there is none. */
  readonly moduleOf: (layerPath: string) => string | null;
  /** The layers of a module, in the order of their rows where it is several; none when there is no such module. */
  readonly layersOf: (module: string) => readonly string[];
  /** Whether the base model has modules beside those of the layers, which adapters must not be taken for; false unless given. */
  readonly hasOthers?: boolean;
}

/** PEFT's word for every linear layer but the output. */
export const allLinear = "all-linear";

/** The names by which a layer can be targeted: its path and last name, and its module and every end of that. */
export function namesOfLayer({ path }: EinsumDense, names?: ModuleNames): string[] {
  const module = names?.moduleOf(path) ?? null;
  const parts = module?.split(".") ?? [];
  return [path, path.slice(path.lastIndexOf("/") + 1), ...parts.map((_, i) => parts.slice(i).join("."))];
}

/** The last name of a layer's module, such as `q_proj`; `null` when there is none. */
export function lastNameOfModule({ path }: EinsumDense, names?: ModuleNames): string | null {
  const module = names?.moduleOf(path) ?? null;
  return module === null ? null : module.slice(module.lastIndexOf(".") + 1);
}

/**
 * Why PEFT would not adapt a module that an adapter's file has factors of, so that it would leave them out; `null` where it would.
 * Regular expressions that could take long are not tried: there the file says which modules are adapted.
 */
export function targetFault(module: string, targets: PeftTargets): string | null {
  const { targetModules, excludeModules, layers, layersPattern } = targets;
  if (excludeModules !== null && isNamed(module, excludeModules, false)) return '"exclude_modules" names it';
  if (targetModules === null || typeof targetModules === "string" && targetModules.toLowerCase() === allLinear) {
    return null;
  }
  if (!isNamed(module, targetModules, true)) return '"target_modules" does not name it';
  // As in PEFT, a module that is named in full is adapted in whatever layer it is.
  if (layers === null || targetModules.includes(module)) return null;
  if (layersPattern?.some((list) => !/^\w+$/.test(list))) return null;
  const index = layerIndex(module, layersPattern);
  return index !== null && layers.includes(index) ? null : '"layers_to_transform" does not name its layer';
}

/** Whether names or a regular expression mean a module; `undecided` where the expression could take long. */
function isNamed(module: string, names: string | readonly string[], undecided: boolean): boolean {
  if (typeof names !== "string") return names.some((name) => module === name || module.endsWith(`.${name}`));
  return patternFault(names) === null ? new RegExp(`^(?:${names})$`, "u").test(module) : undecided;
}

/** The number that stands after the name of a list of layers, which in PEFT is a name that is not the first unless it is given. */
function layerIndex(module: string, lists: readonly string[] | null): number | null {
  const parts = module.split(".");
  const inner = parts.slice(0, -1);
  const after = (list: string) => inner.findIndex((part, i) => /^\d+$/.test(part) && parts[i - 1] === list);
  const at = lists === null
    ? inner.findIndex((part, i) => /^\d+$/.test(part) && i > 1)
    : lists.map(after).find((i) => i !== -1) ?? -1;
  return at === -1 ? null : Number(parts[at]);
}
