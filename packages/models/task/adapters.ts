/** The adapters of a task: added to it, described, and named as PEFT names its modules. */
import { layersOf, moduleOf, tableName } from "@tessera/convert";
import {
  type Adaptable,
  enableLora,
  loraAdapters,
  type LoraOptions,
  type ModuleNames,
  unloadLora,
} from "@tessera/lora";
import { initialize } from "@tessera/nn";
import type { Backend } from "@tessera/runtime";
import { checkOptions } from "@tessera/text";
import type { BuiltModel } from "../architecture/architecture.ts";
import { taskLoraOptionNames } from "./option_names.ts";

/** Attaches adapters; those of layers that have values get theirs, and where that fails there are none. */
export function addAdapters(
  model: Adaptable,
  backend: Backend,
  options: LoraOptions & { readonly seed?: number },
  names: ModuleNames,
): void {
  checkOptions("enable LoRA", options, taskLoraOptionNames);
  const { seed = 0, ...adapters } = options;
  enableLora(model, adapters, names);
  // A model that has no values yet gets those of its adapters together with its own.
  const loaded = loraAdapters(model).filter(({ layer }) => layer.kernel.value !== null);
  try {
    initialize(loaded.flatMap(({ adapter }) => adapter.variables), backend, { seed });
  } catch (error) {
    unloadLora(model);
    throw error;
  }
}

/** What tells adapters apart, by the path of their layer, such as `peft, rank 8, alpha 8`. */
export function describeAdapters(model: Adaptable): Readonly<Record<string, string>> {
  return Object.fromEntries(
    loraAdapters(model).map(({ layer, adapter: { layout, rank, alpha } }) =>
      [layer.path, `${layout}, rank ${rank}, alpha ${alpha}`] as const
    ),
  );
}

/** The names of an architecture's layers in PEFT's files, both ways. */
export function moduleNames({ rows, names, leftOut }: BuiltModel): ModuleNames {
  return {
    hasOthers: leftOut !== null,
    moduleOf: (path) => moduleOf(rows, path),
    layersOf: (module) => layersOf(rows, tableName(module, names)),
  };
}
