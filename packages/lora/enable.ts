/** Attaching adapters to layers, and taking them off again. */
import { checkOptions, formatCount, nearestName, type OptionNames } from "@tessera/text";
import { disposeValues, type EinsumDense, type Variable } from "@tessera/nn";
import { allLinear, lastNameOfModule, type ModuleNames, namesOfLayer } from "./peft_targets.ts";
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

/**
 * Which layers to adapt: a regular expression that must match a layer's whole path or its whole last name, or, in PEFT's words, the
 * name of its module in Transformers, such as `q_proj`, or an end of it; `"all-linear"` is every layer but the output.
 */
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
 * Freezes a model and attaches a trainable low-rank adapter to each targeted layer. With the `names` of its modules, targets can be
 * in PEFT's words.
 *
 * @throws {TypeError} when an option has an unknown name.
 * @throws {RangeError} when the rank or alpha is out of range, or there is no such layout.
 * @throws {SyntaxError} when a target is not a regular expression.
 * @throws {Error} when the targets match no layer, or when the model has adapters already.
 */
export function enableLora(model: Adaptable, options: LoraOptions, names?: ModuleNames): void {
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
  const layers = targetLayers(model, options.targets ?? defaultTargets, names);
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

/** A target, and what tells whether it means a layer of such names. */
interface Matcher {
  readonly source: string;
  readonly matches: (names: readonly string[]) => boolean;
}

function matcherOf(target: LoraTarget): Matcher {
  const source = typeof target === "string" ? target : target.source;
  if (source.toLowerCase() === allLinear) return { source, matches: (names) => !names.includes("lm_head") };
  try {
    const pattern = new RegExp(`^(?:${source})$`, typeof target === "string" ? "" : target.flags.replace(/[gy]/g, ""));
    return { source, matches: (names) => names.some((name) => pattern.test(name)) };
  } catch (cause) {
    throw new SyntaxError(`Cannot enable LoRA: target "${source}" is not a regular expression`, { cause });
  }
}

function targetLayers(
  model: Adaptable,
  targets: LoraTarget | readonly LoraTarget[],
  names: ModuleNames | undefined,
): EinsumDense[] {
  const matchers = (Array.isArray(targets) ? targets as readonly LoraTarget[] : [targets as LoraTarget]).map(matcherOf);
  if (matchers.length === 0) throw new Error(`Cannot enable LoRA on "${model.name}": empty targets match no layer`);
  const layers = model.denses.map((layer) => ({ layer, names: namesOfLayer(layer, names) }));
  for (const { source, matches } of matchers) {
    if (!layers.some((layer) => matches(layer.names))) throw matchesNone(model, source, names);
  }
  return layers.filter((layer) => matchers.some(({ matches }) => matches(layer.names))).map(({ layer }) => layer);
}

function matchesNone(model: Adaptable, source: string, names: ModuleNames | undefined): Error {
  const list = (all: readonly string[]) => all.map((name) => `"${name}"`).join(", ");
  const own = [...new Set(model.denses.map(({ path }) => path.slice(path.lastIndexOf("/") + 1)))];
  const modules = [...new Set(model.denses.flatMap((layer) => lastNameOfModule(layer, names) ?? []))];
  const near = nearestName(source, [...own, ...modules]);
  return new Error(
    `Cannot enable LoRA on "${model.name}": target ${JSON.stringify(source)} matches no layer` +
      (near === null ? "" : `; did you mean "${near}"?`) + ` Layers are ${list(own)}, ` +
      `with paths such as "${model.denses[0]?.path}"` +
      (modules.length === 0 ? "" : `; PEFT's names are ${list(modules)}`),
  );
}
