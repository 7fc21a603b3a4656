/**
 * PEFT adapter folders: `adapter_config.json` and `adapter_model.safetensors`, whose keys are
 * `base_model.model.<module>.lora_A.weight` [rank, in] and `….lora_B.weight` [out, rank].
 */
import { formatType, type HostTensor, isFloat, sameShape, toFloat32 } from "@tessera/core";
import { nearestName } from "@tessera/text";
import {
  type Folder,
  folderOf,
  openSafetensors,
  type TensorSource,
  type TensorStore,
  writeSafetensors,
} from "@tessera/files";
import { disposeValues, type EinsumDense, putValue, type Variable, whereOf } from "@tessera/nn";
import type { Backend } from "@tessera/runtime";
import { type Adaptable, type Adapted, attachAdapters, loraAdapters, makeAdapters, unloadLora } from "./enable.ts";
import { type PeftConfig, readPeftConfig } from "./peft_config.ts";
import { scaleFields, scaleOf } from "./peft_scales.ts";
import { type ModuleNames, targetFault } from "./peft_targets.ts";

const modelFile = "adapter_model.safetensors";
const configFile = "adapter_config.json";
// Between the factor and "weight" a state dict of a model has the name of the adapter, which PEFT leaves out of files.
const key = /^base_model\.model\.(.+)\.lora_([AB])(?:\.([^.]+))?\.weight$/;

/** A factor's shape in the file: all axes but the rank's merged. */
function fileShape({ size }: Variable, factor: "A" | "B", rank: number): [number, number] {
  return factor === "A" ? [rank, size / rank] : [size / rank, rank];
}

/** The number of outputs of a layer, which are the rows of its B in a file. */
function outputsOf({ kernel }: EinsumDense): number {
  return kernel.shape.filter((_, axis) => !kernel.summed.includes(axis)).reduce(
    (product, length) => product * length,
    1,
  );
}

/**
 * Saves a model's adapters as a PEFT adapter folder; an adapter that is there is replaced only when the new one is complete.
 * Where layers are one module to PEFT, and only some of them are adapted, the rows of B of the others are zeros.
 *
 * @throws {Error} when the model has no adapters, or when they have Keras's layout, which PEFT's format cannot hold.
 */
export async function saveAdapter(
  folder: string | Folder,
  model: Adaptable,
  names: ModuleNames,
  options: { readonly baseModel?: string } = {},
): Promise<void> {
  const adapters = loraAdapters(model);
  const first = adapters[0]?.adapter;
  if (first === undefined) {
    throw new Error(`Cannot save the adapter of "${model.name}": it has none; enable LoRA first`);
  }
  if (first.layout !== "peft") {
    throw new Error(
      `Cannot save the adapter of "${model.name}" for PEFT: its factors have Keras's layout, which PEFT's format cannot hold; ` +
        'enable LoRA with layout: "peft"',
    );
  }
  const modules = new Map<string, Adapted[]>();
  for (const adapted of adapters) {
    const { path } = adapted.layer;
    const module = names.moduleOf(path);
    if (module === null) {
      throw new Error(`Cannot save the adapter of "${path}": the architecture names no module for it`);
    }
    modules.set(module, [...modules.get(module) ?? [], adapted]);
    for (const variable of [adapted.adapter.a, adapted.adapter.b]) {
      if (variable.value === null) throw new TypeError(`Cannot save ${variable}: it has no value`);
    }
  }
  const sources = [...modules].flatMap(([module, adapted]) => [
    factorA(module, adapted[0]!),
    factorB(module, adapted, names.layersOf(module).map((path) => layerAt(model, path)!)),
  ]);
  const config = {
    peft_type: "LORA",
    task_type: "CAUSAL_LM",
    base_model_name_or_path: options.baseModel ?? null,
    ...scaleFields(modules),
    lora_dropout: 0,
    target_modules: targetModules([...modules.keys()], model, names),
    bias: "none",
    fan_in_fan_out: false,
    use_rslora: false,
    use_dora: false,
    init_lora_weights: true,
    inference_mode: true,
    modules_to_save: null,
  };
  const to = folderOf(folder);
  // The config is written first and put in its place last.
  await to.file(configFile).write(async (write) => {
    await write(new TextEncoder().encode(JSON.stringify(config, null, 2) + "\n"));
    await writeSafetensors(to.file(modelFile), sources);
  });
}

function layerAt(model: Adaptable, path: string): EinsumDense | undefined {
  return model.denses.find((dense) => dense.path === path);
}

function factorA(module: string, { adapter: { a, rank } }: Adapted): TensorSource {
  const shape = fileShape(a, "A", rank);
  return {
    name: `base_model.model.${module}.lora_A.weight`,
    type: { shape, dtype: "float32" },
    read: async () => ({ ...await a.value!.read(), shape }),
  };
}

/** The B of the layers of a module, one below the other. */
function factorB(module: string, adapted: readonly Adapted[], layers: readonly EinsumDense[]): TensorSource {
  const { rank } = adapted[0]!.adapter;
  const shape = [layers.reduce((rows, layer) => rows + outputsOf(layer), 0), rank];
  const read = async () => {
    const data = new Float32Array(shape[0]! * rank);
    let at = 0;
    for (const layer of layers) {
      const b = adapted.find((each) => each.layer === layer)?.adapter.b;
      if (b !== undefined) data.set((await b.value!.read()).data, at);
      at += outputsOf(layer) * rank;
    }
    return { shape, dtype: "float32", data } as const;
  };
  return { name: `base_model.model.${module}.lora_B.weight`, type: { shape, dtype: "float32" }, read };
}

/**
 * What PEFT is to look for: it matches a module by the end of its name, so a last name stands for every module that bears it. Where
 * only some of them are adapted, or the base model has others, those are named in full.
 */
function targetModules(modules: readonly string[], model: Adaptable, names: ModuleNames): string[] {
  const lastName = (module: string) => module.slice(module.lastIndexOf(".") + 1);
  const spared = model.denses.flatMap(({ path }) => names.moduleOf(path) ?? []).filter((module) =>
    !modules.includes(module)
  );
  const partial = new Set(spared.map(lastName));
  return [
    ...new Set(modules.map((module) => names.hasOthers || partial.has(lastName(module)) ? module : lastName(module))),
  ].sort();
}

/** How an adapter is loaded. */
export interface LoadAdapterOptions {
  /** Called with what a user should know of the config, such as fields that are unknown; `console.warn` unless given. */
  readonly onWarning?: (message: string) => void;
}

/**
 * Enables LoRA on a model as a PEFT adapter folder says, with the values that it holds. Adapters that the model has are replaced,
 * once everything has been read and found to fit. Where layers are one module to PEFT, those whose rows of B are all zeros while
 * others' are not get no adapter: `saveAdapter` writes layers so that have none.
 *
 * @throws {Error} when a file is missing or damaged, when a tensor belongs to no layer or to one that the config does not name, or
 * when a module has one factor only.
 * @throws {TypeError} when the adapter is of a kind that Tessera does not have, or a factor has the wrong shape.
 */
export async function loadAdapter(
  from: string | Folder,
  model: Adaptable,
  names: ModuleNames,
  backend: Backend,
  options: LoadAdapterOptions = {},
): Promise<void> {
  const source = folderOf(from);
  const { path: folder } = source;
  const config = await readPeftConfig(source);
  const file = await openSafetensors(source.file(modelFile));
  const pairs: Adapted[] = [];
  try {
    for (const [module, factors] of readModules(folder, file)) {
      checkTarget(folder, module, config);
      const { rank, alpha } = scaleOf(module, config);
      const layers = layersOf(folder, module, model, names);
      const [first] = layers as [EinsumDense];
      const read = (factor: "A" | "B", shape: readonly number[]) => {
        const name = factors[factor];
        if (name === undefined) throw lacksFactor(folder, first, factor);
        const tensor = file.read(name);
        checkFactor(folder, name, tensor, shape);
        return toFloat32(tensor);
      };
      const rows = layers.reduce((sum, layer) => sum + outputsOf(layer), 0);
      const a = read("A", [rank, first.kernel.size / outputsOf(first)]);
      const b = rowsOf(read("B", [rows, rank]), layers, rank);
      const adapted = makeAdapters([...b.keys()], "peft", { rank, alpha });
      pairs.push(...adapted);
      put(adapted[0]!.adapter.a, a, backend);
      for (const { layer, adapter } of adapted) put(adapter.b, b.get(layer)!, backend);
    }
  } catch (error) {
    pairs.forEach(({ adapter }) => disposeValues(adapter.variables));
    throw error;
  } finally {
    file.close();
  }
  config.warnings.forEach((warning) => (options.onWarning ?? console.warn)(warning));
  unloadLora(model);
  attachAdapters(model, pairs);
}

function checkTarget(folder: string, module: string, { targets }: PeftConfig): void {
  const fault = targetFault(module, targets);
  if (fault === null) return;
  throw new Error(
    `Cannot load the adapter "${folder}": it has factors of "${module}", which PEFT would leave out: ${fault} in ${configFile}`,
  );
}

/** Factors are trained in place, so they must not be views of the file. */
function put(variable: Variable, values: Float32Array, backend: Backend): void {
  putValue(variable, { ...variable.stored, dtype: "float32", data: values.slice() }, backend, whereOf(variable));
}

/** Each layer's rows of B; without layers whose rows are zeros, unless all are, as in an adapter that was never trained. */
function rowsOf(b: Float32Array, layers: readonly EinsumDense[], rank: number): Map<EinsumDense, Float32Array> {
  let end = 0;
  const all = layers.map((layer) => [layer, b.subarray(end, end += outputsOf(layer) * rank)] as const);
  const used = all.filter(([, rows]) => rows.some((value) => value !== 0));
  return new Map(used.length === 0 ? all : used);
}

function checkFactor(folder: string, name: string, tensor: HostTensor, shape: readonly number[]): void {
  if (isFloat(tensor.dtype) && sameShape(tensor.shape, shape)) return;
  throw new TypeError(
    `Cannot load the adapter "${folder}": "${name}" must be floating-point of shape [${shape.join(",")}], ` +
      `found ${
        formatType(tensor)
      }; check that it was trained on this base model, and that "r" and "rank_pattern" of ${configFile} are right`,
  );
}

/** The names of both factors' tensors, by module. */
type FactorNames = Partial<Record<"A" | "B", string>>;

function readModules(folder: string, file: TensorStore): Map<string, FactorNames> {
  const found = new Map<string, FactorNames>();
  for (const name of file.tensors.keys()) {
    const [, module, factor] = key.exec(name) ?? [];
    if (module === undefined || factor === undefined) {
      throw new Error(
        `Cannot load the adapter "${folder}": tensor "${name}" is no LoRA factor; ` +
          'expected names such as "base_model.model.<module>.lora_A.weight"',
      );
    }
    const other = found.get(module)?.[factor as "A" | "B"];
    if (other !== undefined) {
      throw new Error(
        `Cannot load the adapter "${folder}": "${other}" and "${name}" are factors of two adapters of one module; ` +
          "save each alone",
      );
    }
    found.set(module, { ...found.get(module), [factor]: name });
  }
  if (found.size === 0) throw new Error(`Cannot load the adapter "${folder}": ${modelFile} holds no tensors`);
  return found;
}

function lacksFactor(folder: string, { path }: EinsumDense, factor: "A" | "B"): Error {
  const other = factor === "A" ? "B" : "A";
  return new Error(`Cannot load the adapter "${folder}": "${path}" has lora_${other} but not the other factor`);
}

/** The layers of a module, in the order of their rows. */
function layersOf(folder: string, module: string, model: Adaptable, names: ModuleNames): EinsumDense[] {
  const layers = names.layersOf(module).flatMap((path) => layerAt(model, path) ?? []);
  if (layers.length > 0) return layers;
  const near = nearestName(module, model.denses.flatMap((dense) => names.moduleOf(dense.path) ?? []));
  throw new Error(
    `Cannot load the adapter "${folder}": "${model.name}" has no module "${module}"` +
      (near === null ? "" : `; the nearest is "${near}"`) +
      "; check that the adapter was trained on this base model",
  );
}
