/** PEFT's `adapter_config.json`: https://huggingface.co/docs/peft/developer_guides/checkpoint */
import { type Folder, folderOf, readJson } from "@tessera/files";
import { z } from "zod";
import { initializationFault, isIdle, peftFields } from "./peft_fields.ts";
import { type ModulePatterns, patternFault } from "./peft_patterns.ts";

/** What an adapter folder says of its adapter. */
export interface PeftConfig {
  /** The rank, of modules that `rankPattern` does not name. */
  readonly r: number;
  /** The scale of the update, times the rank, of modules that `alphaPattern` does not name. */
  readonly loraAlpha: number;
  /** The ranks of modules by pattern; the first that matches counts. */
  readonly rankPattern: ModulePatterns;
  /** The alphas of modules by pattern; the first that matches counts. */
  readonly alphaPattern: ModulePatterns;
  /** Whether the update is scaled by alpha/√rank rather than alpha/rank. */
  readonly useRslora: boolean;
  /** Which modules it adapts. */
  readonly targets: PeftTargets;
  /** The base model that the adapter was trained on; `null` when it does not say. */
  readonly baseModel: string | null;
  /** What a user should know of the fields: those that are unknown, and those that change training in PEFT only. */
  readonly warnings: readonly string[];
}

/** The modules that an adapter is of, as PEFT finds them: a text is a regular expression, a list has names or ends of names. */
export interface PeftTargets {
  /** The modules to adapt; `null` when it does not say. */
  readonly targetModules: string | readonly string[] | null;
  /** Modules to leave out. */
  readonly excludeModules: string | readonly string[] | null;
  /** The indices of the only layers to adapt; `null` for all. */
  readonly layers: readonly number[] | null;
  /** Names of the lists of layers that these indices are of; `null` for any. */
  readonly layersPattern: readonly string[] | null;
}

const patterns = (value: z.ZodType<number>) =>
  z.record(z.string(), value).superRefine((record, context) => {
    for (const key of Object.keys(record)) {
      const fault = patternFault(key);
      if (fault !== null) context.addIssue({ code: "custom", path: [key], message: fault });
    }
  }).nullish();

const names = z.union([z.string(), z.array(z.string())]).nullish();
const index = z.number().int().nonnegative();

const read = {
  peft_type: z.literal("LORA", 'Tessera loads adapters of type "LORA" only'),
  r: z.number().int().positive(),
  lora_alpha: z.number().positive(),
  use_rslora: z.boolean().nullish(),
  rank_pattern: patterns(z.number().int().positive()),
  alpha_pattern: patterns(z.number().positive()),
  init_lora_weights: z.unknown().superRefine((value, context) => {
    const fault = initializationFault(value);
    if (fault !== null) context.addIssue({ code: "custom", message: fault });
  }).optional(),
  target_modules: names,
  exclude_modules: names,
  layers_to_transform: z.union([index, z.array(index)]).nullish(),
  layers_pattern: names,
  base_model_name_or_path: z.string().nullish(),
};

/** Fields that are not read, checked by the table. */
const others = Object.fromEntries(
  Object.entries(peftFields).filter(([name]) => !(name in read)).map(([name, field]) => [
    name,
    field.does === "refused"
      ? z.unknown().refine(
        (value) => isIdle(name, value),
        `Tessera does not load adapters with ${field.what}; ${field.right}`,
      ).optional()
      : z.unknown().optional(),
  ]),
);

const schema = z.looseObject({ ...others, ...read });

/**
 * Reads and checks the config of an adapter folder.
 *
 * @throws {Error} when it cannot be read.
 * @throws {SyntaxError} when it is not JSON.
 * @throws {TypeError} when a field is wrong, or asks for a kind of adapter that Tessera does not have.
 */
export async function readPeftConfig(folder: string | Folder): Promise<PeftConfig> {
  const file = folderOf(folder).file("adapter_config.json");
  const config = await readJson(file, schema);
  const list = <T>(value: T | T[] | null | undefined): T[] | null => {
    if (value === null || value === undefined || value === "") return null;
    const all = Array.isArray(value) ? value : [value];
    return all.length === 0 ? null : all;
  };
  return {
    r: config.r,
    loraAlpha: config.lora_alpha,
    rankPattern: Object.entries(config.rank_pattern ?? {}),
    alphaPattern: Object.entries(config.alpha_pattern ?? {}),
    useRslora: config.use_rslora ?? false,
    targets: {
      targetModules: config.target_modules ?? null,
      excludeModules: isIdle("exclude_modules", config.exclude_modules) ? null : config.exclude_modules!,
      layers: list(config.layers_to_transform),
      layersPattern: list(config.layers_pattern),
    },
    baseModel: config.base_model_name_or_path ?? null,
    warnings: warningsOf(file.path, config),
  };
}

function warningsOf(path: string, config: Readonly<Record<string, unknown>>): string[] {
  const warnings = Object.entries(config).flatMap(([name, value]) => {
    const field = peftFields[name];
    const said = `"${path}": "${name}" is ${shorten(JSON.stringify(value))}`;
    if (isIdle(name, value)) return [];
    if (field === undefined) return [`${said}, a field that Tessera does not know and does not compute`];
    return field.does === "training" ? [`${said}, which changes training only: here ${field.here}`] : [];
  });
  if (typeof config.init_lora_weights === "string" && config.init_lora_weights.toLowerCase() === "mica") {
    warnings.push(`"${path}": "init_lora_weights" is "mica", which changes training only: here B is trained, too`);
  }
  return warnings;
}

function shorten(text: string): string {
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
