/**
 * Reading the `config.json` of a Hugging Face checkpoint.
 *
 * Transformers 5 renamed some fields; checkpoints carry both spellings, so the functions here read either:
 * `rope_parameters` for `rope_theta` and `rope_scaling`, `dtype` for `torch_dtype`, and `layer_types` written out.
 */
import { z } from "zod";
import type { DType, FloatDType } from "@tessera/core";
import { checkJson, type Folder, folderOf, readJson } from "@tessera/files";

/** The `config.json` of a checkpoint, before an architecture makes sense of it. */
export interface HfConfig {
  /** The file, for messages. */
  readonly path: string;
  /** The architecture, such as `gemma2`. */
  readonly modelType: string;
  /** Every field as it is in the file. */
  readonly raw: Readonly<Record<string, unknown>>;
}

/** Rotary position embeddings. */
export interface Rope {
  /** The base of the frequencies. */
  readonly theta: number;
  /** The kind of scaling; `default` for none. */
  readonly type: string;
  /** Every parameter as it is in the file, such as `factor`. */
  readonly parameters: Readonly<Record<string, unknown>>;
}

/** The kinds of attention that a layer of a checkpoint can have. */
export type LayerType = "full_attention" | "sliding_attention";

const configSchema = z.looseObject({
  model_type: z.string().min(1),
  quantization_config: z.looseObject({ quant_method: z.string().optional() }).nullish(),
});

/**
 * The `config.json` of a checkpoint folder.
 *
 * @throws {Error} when it cannot be read.
 * @throws {SyntaxError} when it is not JSON.
 * @throws {TypeError} when it has no `model_type`, or says that its weights are packed in fewer bits.
 */
export async function readHfConfig(folder: string | Folder): Promise<HfConfig> {
  const file = folderOf(folder).file("config.json");
  const raw = await readJson(file, configSchema);
  if (raw.quantization_config != null) {
    throw new TypeError(
      `Cannot use "${file.path}": its "quantization_config" says that the weights are packed by ` +
        `"${
          raw.quantization_config.quant_method ?? "an unknown method"
        }"; use the repository that they were made from, ` +
        "whose weights are float32, float16 or bfloat16, and pack them while loading",
    );
  }
  return { path: file.path, modelType: raw.model_type, raw };
}

const ropeSchema = z.looseObject({
  rope_theta: z.number().positive().optional(),
  rope_type: z.string().optional(),
  // The name of rope_type before Transformers 4.43.
  type: z.string().optional(),
});
const oldRopeSchema = z.looseObject({
  rope_theta: z.number().positive().nullish(),
  rope_scaling: ropeSchema.nullish(),
  rope_parameters: ropeSchema.nullish(),
});

/**
 * The rotary embedding of a configuration, in either spelling.
 *
 * @throws {TypeError} when a field is of the wrong kind, or the parameters differ by layer type.
 */
export function ropeOf(raw: Readonly<Record<string, unknown>>, path: string = "config.json"): Rope {
  const nested = Object.keys((raw.rope_parameters ?? {}) as object).filter((key) => key.endsWith("_attention"));
  if (nested.length > 0) {
    throw new TypeError(
      `Cannot use "${path}": "rope_parameters" differ by layer type (${
        nested.join(", ")
      }), expected one set for all layers`,
    );
  }
  const { rope_theta, rope_scaling, rope_parameters } = checkJson(path, pick(raw, oldRopeSchema), oldRopeSchema);
  const parameters = rope_scaling ?? rope_parameters ?? {};
  return {
    theta: parameters.rope_theta ?? rope_theta ?? 10_000,
    type: parameters.rope_type ?? parameters.type ?? "default",
    parameters,
  };
}

/** The fields of a value that a schema lists; others are not its concern, however alike their names. */
function pick(raw: Readonly<Record<string, unknown>>, schema: z.ZodObject): Record<string, unknown> {
  return Object.fromEntries(Object.entries(raw).filter(([key]) => key in schema.shape));
}

const floatDTypes: readonly DType[] = ["float32", "bfloat16", "float16"] satisfies FloatDType[];

/**
 * The dtype that a configuration says its weights have, in either spelling, or null where it does not say.
 *
 * @throws {TypeError} when it is none that Tessera knows.
 */
export function torchDtypeOf(raw: Readonly<Record<string, unknown>>, path: string = "config.json"): FloatDType | null {
  const field = raw.dtype == null ? "torch_dtype" : "dtype";
  const value = raw[field];
  if (value == null) return null;
  const name = String(value).replace(/^torch\./, "");
  if (floatDTypes.includes(name as DType)) return name as FloatDType;
  throw new TypeError(
    `Cannot use "${path}": "${field}" is ${JSON.stringify(value)}, expected one of ${floatDTypes.join(", ")}`,
  );
}

const layerTypeSchema = z.array(z.enum(["full_attention", "sliding_attention"]));

/**
 * The kind of attention of each layer: what the configuration writes out, otherwise `byDefault(layer)`.
 *
 * @throws {TypeError} when a kind is unknown or there is not one per layer.
 */
export function layerTypesOf(
  raw: Readonly<Record<string, unknown>>,
  byDefault: (layer: number) => LayerType,
  path: string = "config.json",
): LayerType[] {
  const schema = z.looseObject({
    num_hidden_layers: z.number().int().positive(),
    layer_types: layerTypeSchema.nullish(),
  });
  const { num_hidden_layers: layers, layer_types: types } = checkJson(path, pick(raw, schema), schema);
  if (types == null) return Array.from({ length: layers }, (_, layer) => byDefault(layer));
  if (types.length !== layers) {
    throw new TypeError(
      `Cannot use "${path}": "layer_types" has ${types.length} entries, expected one for each of the ${layers} layers`,
    );
  }
  return types;
}

/** One token id or a list of them, as a list. */
export const tokenIds: z.ZodType<number[]> = z.union([
  z.number().int().nonnegative().transform((id) => [id]),
  z.array(z.number().int().nonnegative()),
  z.null().transform(() => []),
]);

/** The token that fills a batch; some files say -1 for none. */
export const padTokenId: z.ZodType<number | null> = z.union([
  z.number().int().nonnegative(),
  z.literal(-1).transform(() => null),
  z.null(),
]);
