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
import { type Adaptable, attachAdapters, loraAdapters, unloadLora } from "./enable.ts";
import { type LoraAdapter, peft } from "./layouts.ts";
import { readPeftConfig } from "./peft_config.ts";

/** The names of a model's layers in Hugging Face's modules, both ways. */
export interface ModuleNames {
  /** The module of a layer, such as `model.layers.0.self_attn.q_proj`; `null` when there is none. */
  readonly moduleOf: (layerPath: string) => string | null;
  /** The layer of a module; `null` when there is none. */
  readonly layerOf: (module: string) => string | null;
}

const modelFile = "adapter_model.safetensors";
const configFile = "adapter_config.json";
const key = /^base_model\.model\.(.+)\.lora_([AB])\.weight$/;

/** A factor's shape in the file: all axes but the rank's merged. */
function fileShape({ stored }: Variable, factor: "A" | "B", rank: number): number[] {
  const rest = stored.shape.reduce((product, length) => product * length, 1) / rank;
  return factor === "A" ? [rank, rest] : [rest, rank];
}

/**
 * Saves a model's adapters as a PEFT adapter folder; an adapter that is there is replaced only when the new one is complete.
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
  const modules: string[] = [];
  const sources = adapters.flatMap(({ layer, adapter }) => {
    const module = names.moduleOf(layer.path);
    if (module === null) {
      throw new Error(`Cannot save the adapter of "${layer.path}": the architecture names no module for it`);
    }
    modules.push(module);
    return (["A", "B"] as const).map((factor): TensorSource => {
      const variable = factor === "A" ? adapter.a : adapter.b;
      const value = variable.value;
      if (value === null) throw new TypeError(`Cannot save ${variable}: it has no value`);
      const shape = fileShape(variable, factor, adapter.rank);
      return {
        name: `base_model.model.${module}.lora_${factor}.weight`,
        type: { shape, dtype: "float32" },
        read: async () => ({ ...await value.read(), shape }),
      };
    });
  });
  const config = {
    peft_type: "LORA",
    task_type: "CAUSAL_LM",
    base_model_name_or_path: options.baseModel ?? null,
    r: first.rank,
    lora_alpha: first.alpha,
    lora_dropout: 0,
    target_modules: targetModules(modules, model, names),
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

/**
 * What PEFT is to look for: it matches a module by the end of its name, so a last name stands for every module that bears it. Where
 * only some of them are adapted, those are named in full.
 */
function targetModules(modules: readonly string[], model: Adaptable, names: ModuleNames): string[] {
  const lastName = (module: string) => module.slice(module.lastIndexOf(".") + 1);
  const spared = model.denses.flatMap(({ path }) => names.moduleOf(path) ?? []).filter((module) =>
    !modules.includes(module)
  );
  const partial = new Set(spared.map(lastName));
  return [...new Set(modules.map((module) => partial.has(lastName(module)) ? module : lastName(module)))].sort();
}

/**
 * Enables LoRA on a model as a PEFT adapter folder says, with the values that it holds. Adapters that the model has are replaced,
 * once everything has been read and found to fit.
 *
 * @throws {Error} when a file is missing or damaged, when a tensor belongs to no layer, or when a layer has one factor only.
 * @throws {TypeError} when the adapter is of a kind that Tessera does not have, or a factor has the wrong shape.
 */
export async function loadAdapter(
  from: string | Folder,
  model: Adaptable,
  names: ModuleNames,
  backend: Backend,
): Promise<void> {
  const source = folderOf(from);
  const { path: folder } = source;
  const config = await readPeftConfig(source);
  const alpha = config.useRslora ? config.loraAlpha * Math.sqrt(config.r) : config.loraAlpha;
  const file = await openSafetensors(source.file(modelFile));
  const pairs: { layer: EinsumDense; adapter: LoraAdapter }[] = [];
  try {
    for (const [layer, factors] of readLayers(folder, file, model, names)) {
      const adapter = peft(layer, config.r, alpha);
      pairs.push({ layer, adapter });
      for (const [factor, variable] of [["A", adapter.a], ["B", adapter.b]] as const) {
        const tensor = file.read(factors[factor]);
        checkFactor(folder, factors[factor], tensor, fileShape(variable, factor, config.r));
        // Factors are trained in place, so they must not be views of the file.
        const value = { ...variable.stored, dtype: "float32", data: toFloat32(tensor).slice() } as const;
        putValue(variable, value, backend, whereOf(variable));
      }
    }
  } catch (error) {
    pairs.forEach(({ adapter }) => disposeValues(adapter.variables));
    throw error;
  } finally {
    file.close();
  }
  unloadLora(model);
  attachAdapters(model, pairs);
}

function checkFactor(folder: string, name: string, tensor: HostTensor, shape: readonly number[]): void {
  if (isFloat(tensor.dtype) && sameShape(tensor.shape, shape)) return;
  throw new TypeError(
    `Cannot load the adapter "${folder}": "${name}" must be floating-point of shape [${shape.join(",")}], ` +
      `found ${
        formatType(tensor)
      }; check that it was trained on this base model, and that "r" of ${configFile} is right`,
  );
}

/** The names of both factors' tensors, by layer. */
function readLayers(
  folder: string,
  file: TensorStore,
  model: Adaptable,
  names: ModuleNames,
): Map<EinsumDense, { A: string; B: string }> {
  const found = new Map<EinsumDense, Partial<Record<"A" | "B", string>>>();
  for (const name of file.tensors.keys()) {
    const [, module, factor] = key.exec(name) ?? [];
    if (module === undefined || factor === undefined) {
      throw new Error(
        `Cannot load the adapter "${folder}": tensor "${name}" is no LoRA factor; ` +
          'expected names such as "base_model.model.<module>.lora_A.weight"',
      );
    }
    const path = names.layerOf(module);
    const layer = model.denses.find((dense) => dense.path === path);
    if (layer === undefined) {
      const known = model.denses.flatMap((dense) => names.moduleOf(dense.path) ?? []);
      const near = nearestName(module, known);
      throw new Error(
        `Cannot load the adapter "${folder}": "${model.name}" has no module "${module}"` +
          (near === null ? "" : `; the nearest is "${near}"`) +
          "; check that the adapter was trained on this base model",
      );
    }
    const factors = found.get(layer) ?? {};
    factors[factor as "A" | "B"] = name;
    found.set(layer, factors);
  }
  if (found.size === 0) throw new Error(`Cannot load the adapter "${folder}": ${modelFile} holds no tensors`);
  for (const [layer, { A, B }] of found) {
    if (A === undefined || B === undefined) {
      throw new Error(
        `Cannot load the adapter "${folder}": "${layer.path}" has lora_${
          A === undefined ? "B" : "A"
        } but not the other factor`,
      );
    }
  }
  return found as Map<EinsumDense, { A: string; B: string }>;
}
