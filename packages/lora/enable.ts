/** Attaching adapters to layers, and taking them off again. */
import { checkOptions, formatCount, nearestName, type OptionNames } from "@tessera/text";
import { disposeValues, type EinsumDense, type Variable } from "@tessera/nn";
import { keras, type LoraAdapter, type LoraLayout, peft } from "./layouts.ts";

/** A model whose dense layers can take adapters. */
export interface Adaptable {
  /** The name, for messages. */
  readonly name: string;
  /** All variables, those of adapters included. */
  readonly variables: readonly Variable[];
  /** The layers that an adapter can be attached to. */
  readonly denses: readonly EinsumDense[];
}

/** Which layers to adapt: a regular expression that must match a layer's whole path or its whole last name. */
export type LoraTarget = string | RegExp;

/** How adapters are made. */
export interface LoraOptions {
  /** The number of columns of A. */
  readonly rank: number;
  /** Which layers to adapt; those named `query` and `value` unless given, as in Keras. */
  readonly targets?: LoraTarget | readonly LoraTarget[];
  /** The scale of the update, times the rank; the rank itself unless given, so that the scale is 1. */
  readonly alpha?: number;
  /** Which axes of the kernel each factor has; `"peft"`, which adapter files hold, unless given. */
  readonly layout?: LoraLayout;
}

/** The names of `LoraOptions`. */
export const loraOptionNames: OptionNames<LoraOptions> = { rank: true, targets: true, alpha: true, layout: true };

const layouts = ["keras", "peft"] as const satisfies readonly LoraLayout[];
const defaultTargets: readonly LoraTarget[] = ["query", "value"];

/** Tells whether a layer's adapter is a low-rank one. */
export function isLoraAdapter(adapter: EinsumDense["adapter"]): adapter is LoraAdapter {
  return adapter !== null && "kind" in adapter && adapter.kind === "lora";
}

/** The layers of a model that have a low-rank adapter, and those adapters. */
export function loraAdapters(model: Adaptable): Adapted[] {
  return model.denses.flatMap((layer) => isLoraAdapter(layer.adapter) ? [{ layer, adapter: layer.adapter }] : []);
}

/**
 * Freezes a model and attaches a trainable low-rank adapter to each targeted layer.
 *
 * @throws {TypeError} when an option has an unknown name.
 * @throws {RangeError} when the rank or alpha is out of range, or there is no such layout.
 * @throws {SyntaxError} when a target is not a regular expression.
 * @throws {Error} when the targets match no layer, or when the model has adapters already.
 */
export function enableLora(model: Adaptable, options: LoraOptions): void {
  checkOptions("enable LoRA", options, loraOptionNames);
  const { rank, layout = "peft" } = options;
  const alpha = options.alpha ?? rank;
  if (!Number.isInteger(rank) || rank < 1) {
    throw new RangeError(`Cannot enable LoRA: rank must be a whole number of at least 1, found ${rank}`);
  }
  if (!(alpha > 0 && Number.isFinite(alpha))) {
    throw new RangeError(`Cannot enable LoRA: alpha must be a positive number, found ${alpha}`);
  }
  if (!layouts.includes(layout)) {
    const known = layouts.map((name) => `"${name}"`).join(" and ");
    throw new RangeError(`Cannot enable LoRA: there is no layout "${layout}"; the layouts are ${known}`);
  }
  if (loraAdapters(model).length > 0) {
    throw new Error(`Cannot enable LoRA on "${model.name}": it has adapters already; merge or unload them first`);
  }
  const layers = targetLayers(model, options.targets ?? defaultTargets);
  for (const { kernel, path } of layers) {
    const narrowest = Math.min(...kernel.shape);
    if (rank > kernel.size / narrowest) {
      throw new RangeError(
        `Cannot enable LoRA: rank ${formatCount(rank)} is larger than any side of "${path}/kernel" (${
          kernel.shape.join(", ")
        })`,
      );
    }
  }
  attachAdapters(model, makeAdapters(layers, layout, { rank, alpha }));
}

/** A layer and the adapter for it. */
export interface Adapted {
  /** The layer. */
  readonly layer: EinsumDense;
  /** The adapter. */
  readonly adapter: LoraAdapter;
}

/** Makes an adapter for each layer, without values; in PEFT's layout, layers that are one tensor in checkpoints share their A. */
export function makeAdapters(
  layers: readonly EinsumDense[],
  layout: LoraLayout,
  { rank, alpha }: { readonly rank: number; readonly alpha: number },
): Adapted[] {
  const sharedA = new Map<string, Variable>();
  return layers.map((layer) => {
    if (layout === "keras") return { layer, adapter: keras(layer, rank, alpha) };
    const adapter = peft(layer, rank, alpha, sharedA.get(layer.fused ?? layer.path));
    sharedA.set(layer.fused ?? layer.path, adapter.a);
    return { layer, adapter };
  });
}

/** Freezes a model and attaches adapters to its layers. */
export function attachAdapters(model: Adaptable, pairs: readonly Adapted[]): void {
  model.variables.forEach((variable) => variable.trainable = false);
  pairs.forEach(({ layer, adapter }) => layer.adapter = adapter);
}

/** Takes the adapters off a model and forgets them; every variable of the model is trainable again. */
export function unloadLora(model: Adaptable): void {
  for (const { layer, adapter } of loraAdapters(model)) {
    disposeValues(adapter.variables);
    layer.adapter = null;
  }
  model.variables.forEach((variable) => variable.trainable = true);
}

function targetLayers(model: Adaptable, targets: LoraTarget | readonly LoraTarget[]): EinsumDense[] {
  const patterns = (Array.isArray(targets) ? targets as readonly LoraTarget[] : [targets as LoraTarget]).map(
    (target) => {
      const source = typeof target === "string" ? target : target.source;
      try {
        const flags = typeof target === "string" ? "" : target.flags.replace(/[gy]/g, "");
        return { source, pattern: new RegExp(`^(?:${source})$`, flags) };
      } catch (cause) {
        throw new SyntaxError(`Cannot enable LoRA: target "${source}" is not a regular expression`, { cause });
      }
    },
  );
  if (patterns.length === 0) throw new Error(`Cannot enable LoRA on "${model.name}": empty targets match no layer`);
  const nameOf = (path: string) => path.slice(path.lastIndexOf("/") + 1);
  const matches = (pattern: RegExp, path: string) => pattern.test(path) || pattern.test(nameOf(path));
  const names = [...new Set(model.denses.map(({ path }) => nameOf(path)))];
  for (const { source, pattern } of patterns) {
    if (model.denses.some(({ path }) => matches(pattern, path))) continue;
    const near = nearestName(source, names);
    throw new Error(
      `Cannot enable LoRA on "${model.name}": target ${JSON.stringify(source)} matches no layer` +
        (near === null ? "" : `; did you mean "${near}"?`) + ` Layers are ${
        names.map((name) => `"${name}"`).join(", ")
      }, ` +
        `with paths such as "${model.denses[0]?.path}"`,
    );
  }
  return model.denses.filter(({ path }) => patterns.some(({ pattern }) => matches(pattern, path)));
}
