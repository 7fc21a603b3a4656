/** The config of Gemma 4's text decoders: its fields, and what follows from several fields of a file. */
import { checkJson } from "@tessera/files";
import { z } from "zod";
import {
  type ConfigOf,
  count,
  countOrNone,
  flag,
  type HfFields,
  optional,
  positive,
  positiveOrNone,
} from "../architecture/fields.ts";
import { type HfConfig, type LayerType, layerTypesOf } from "../architecture/hf_config.ts";

/** The `model_type` of its files: of the text alone, or with towers for images and sound, which Tessera leaves out. */
export const gemma4ModelTypes = ["gemma4_text", "gemma4", "gemma4_unified_text", "gemma4_unified"] as const;

const isUnified = ({ modelType }: HfFields) => modelType.startsWith("gemma4_unified");
const withInputs = ["gemma4_text", "gemma4"];
const amount = z.number().int().nonnegative();
const share = z.number().min(0).max(1);

/** The fields that make a Gemma 4 text backbone, named as in Keras where it has them. */
export const gemma4Fields = {
  /** The `model_type` of its files, which says how tensors are named. `gemma4_text` unless given. */
  modelType: optional(z.enum(gemma4ModelTypes), `one of ${gemma4ModelTypes.join(", ")}`),
  /** The number of tokens in the vocabulary. */
  vocabularySize: count("vocab_size"),
  /** The number of decoder blocks. */
  numLayers: count("num_hidden_layers"),
  /** The number of query heads. */
  numQueryHeads: count("num_attention_heads"),
  /** The number of key and value heads of layers with a window; it divides `numQueryHeads`. */
  numKeyValueHeads: count("num_key_value_heads", { inFile: 4 }),
  /** The same of global layers; as many as the others have unless given. */
  numGlobalKeyValueHeads: countOrNone(null),
  /** The hidden size. */
  hiddenDim: count("hidden_size"),
  /** The intermediate size of the feed-forward layer. */
  intermediateDim: count("intermediate_size"),
  /** The head dimension of layers with a window. */
  headDim: count("head_dim", { inFile: 256 }),
  /** The head dimension of global layers; that of the others unless given. */
  globalHeadDim: countOrNone(null),
  /** Whether global layers take as values what they project for keys. False unless given. */
  attentionKeyEqualsValue: flag("attention_k_eq_v"),
  /** Whether attention's projections have biases. False unless given. */
  attentionBias: flag("attention_bias"),
  /** How many layers at the end use the keys and values of the last layer of their kind before them. 0 unless given. */
  numKvSharedLayers: optional(amount, "0 or a positive integer", { hf: "num_kv_shared_layers", fallback: 0 }),
  /** Whether those have feed-forward layers twice as wide. False unless given. */
  useDoubleWideMlp: flag("use_double_wide_mlp"),
  /** The size of each layer's own input for a token; 0, for none, unless given. */
  hiddenSizePerLayerInput: optional(amount, "0 or a positive integer", {
    hf: "hidden_size_per_layer_input",
    only: withInputs,
    fallback: 0,
    inFile: 256,
  }),
  /** The number of tokens that have such inputs; the vocabulary unless given. */
  vocabSizePerLayerInput: countOrNone("vocab_size_per_layer_input", { only: withInputs, inFile: 262_144 }),
  /** The soft cap on the logits; none unless given. */
  finalLogitSoftCap: positiveOrNone("final_logit_softcapping"),
  /** How many tokens a window holds, the query's own included. 512 unless given. */
  slidingWindowSize: count("sliding_window", { fallback: 512, inFile: (file) => isUnified(file) ? 1024 : 512 }),
  /** The kind of each layer, of which the last is global; every sixth unless given. */
  layerTypes: optional(z.array(z.enum(["full_attention", "sliding_attention"])).readonly(), "a list of layer types"),
  /** The base of the rotary frequencies of layers with a window. 10,000 unless given. */
  localRopeWavelength: positive(null, { fallback: 10_000 }),
  /** What those frequencies are divided by. 1 unless given. */
  localRopeScalingFactor: positive(null, { fallback: 1 }),
  /** The share of a head's pairs that is turned there, from the first. 1 unless given. */
  localRopePartialRotaryFactor: optional(share, "a number from 0 to 1"),
  /** The base of the rotary frequencies of global layers. 1,000,000 unless given. */
  globalRopeWavelength: positive(null, { fallback: 1_000_000 }),
  /** What those frequencies are divided by. 1 unless given. */
  globalRopeScalingFactor: positive(null, { fallback: 1 }),
  /** The share of a head's pairs that is turned there, from the first. 1 unless given. */
  globalRopePartialRotaryFactor: optional(share, "a number from 0 to 1"),
  /** Added to the mean square in every norm. 1e-6 unless given. */
  layerNormEpsilon: positive("rms_norm_eps", { fallback: 1e-6 }),
  /** Whether the head is the token embedding. True unless given. */
  tieWordEmbeddings: flag("tie_word_embeddings", { fallback: true }),
};

/** The fields that make a Gemma 4 text backbone, named as in Keras where it has them. */
export interface Gemma4Config extends ConfigOf<typeof gemma4Fields> {}

/** The kind of attention of each block: every sixth sees everything unless the config says otherwise. */
export function gemma4LayerTypes({ layerTypes, numLayers }: Gemma4Config): readonly LayerType[] {
  return layerTypes ?? Array.from({ length: numLayers }, (_, layer) => byDefault(layer, numLayers));
}

function byDefault(layer: number, numLayers: number): LayerType {
  return (layer + 1) % 6 === 0 || layer === numLayers - 1 ? "full_attention" : "sliding_attention";
}

/** What is wrong with fields that are each right; `null` for nothing. */
export function checkGemma4(config: Gemma4Config, name: (field: keyof Gemma4Config) => string): string | null {
  const { numLayers, numQueryHeads, numKeyValueHeads, headDim, vocabularySize, numKvSharedLayers = 0 } = config;
  for (const field of ["numKeyValueHeads", "numGlobalKeyValueHeads"] as const) {
    const heads = config[field] ?? numKeyValueHeads;
    if (numQueryHeads % heads === 0) continue;
    return `${name("numQueryHeads")} (${numQueryHeads}) is not divisible by ${name(field)} (${heads})`;
  }
  for (const field of ["headDim", "globalHeadDim"] as const) {
    const dim = config[field] ?? headDim;
    if (dim % 2 !== 0) return `${name(field)} must be even, found ${dim}`;
  }
  const kinds = gemma4LayerTypes(config);
  if (kinds.length !== numLayers) return `${name("layerTypes")} has ${kinds.length} entries for ${numLayers} layers`;
  if (kinds.at(-1) !== "full_attention") return `${name("layerTypes")} must end with "full_attention"`;
  const own = kinds.slice(0, Math.max(0, numLayers - numKvSharedLayers));
  const alone = kinds.find((kind) => !own.includes(kind));
  if (alone !== undefined) {
    return `${
      name("numKvSharedLayers")
    } (${numKvSharedLayers} of ${numLayers}) leaves no layer with ${alone} whose keys and ` +
      "values the others could share";
  }
  const rows = config.vocabSizePerLayerInput ?? vocabularySize;
  if ((config.hiddenSizePerLayerInput ?? 0) === 0 || rows >= vocabularySize) return null;
  return `${name("vocabSizePerLayerInput")} (${rows}) must be at least ${name("vocabularySize")} (${vocabularySize})`;
}

/** A file with the fields of its text where the architecture looks for them; end tokens and the head are said outside of it, too. */
export function flattenGemma4(raw: HfConfig["raw"]): HfConfig["raw"] {
  const isNested = typeof raw.text_config === "object" && raw.text_config !== null;
  const inner = (isNested ? raw.text_config : raw) as Record<string, unknown>;
  const outer = ["eos_token_id", "bos_token_id", "pad_token_id", "tie_word_embeddings", "dtype", "torch_dtype"];
  const shared = isNested
    ? Object.fromEntries(outer.flatMap((name) => raw[name] == null ? [] : [[name, raw[name]]]))
    : {};
  // Where it is null there are none; where it is left out, there are.
  const inputs = inner.hidden_size_per_layer_input === null ? { hidden_size_per_layer_input: 0 } : {};
  return { ...inner, ...inputs, ...shared };
}

/** The inverse of `flattenGemma4`: text fields apart where the file is of a model with towers, which it then has none of. */
export function arrangeGemma4(flat: Record<string, unknown>): Record<string, unknown> {
  const { architectures, model_type: type, ...text } = flat;
  if (String(type).endsWith("_text")) return flat;
  const { dtype, eos_token_id, tie_word_embeddings } = text;
  const towers = { vision_config: null, audio_config: null };
  const nested = { text_config: { ...text, model_type: `${type}_text` }, ...towers };
  return { architectures, model_type: type, ...nested, dtype, eos_token_id, tie_word_embeddings };
}

/** Fields of files that `readGemma4` reads. */
export const gemma4Reads: readonly string[] = [
  "rope_parameters",
  "layer_types",
  "global_head_dim",
  "num_global_key_value_heads",
  "per_layer_config",
  "enable_moe_block",
  "use_bidirectional_attention",
];

const size = z.number().int().positive();
const ropeSchema = z.strictObject({
  rope_type: z.enum(
    ["default", "proportional", "linear"],
    "Tessera's Gemma 4 computes default, proportional and linear",
  ),
  rope_theta: z.number().positive(),
  partial_rotary_factor: share.nullish(),
  factor: z.number().positive().nullish(),
});
const layerSchema = z.strictObject({ head_dim: size.optional(), num_key_value_heads: size.optional() });
const fileSchema = z.looseObject({
  rope_parameters: z.strictObject({ full_attention: ropeSchema, sliding_attention: ropeSchema.optional() }).nullish(),
  global_head_dim: size.nullish(),
  num_global_key_value_heads: size.nullish(),
  per_layer_config: z.record(z.string().regex(/^\d+$/), layerSchema).nullish(),
  enable_moe_block: z.boolean().nullish(),
  use_bidirectional_attention: z.enum(["vision", "all"]).nullish(),
});
type FileFields = z.output<typeof fileSchema>;
type FileRope = z.output<typeof ropeSchema>;

const publishedRope = {
  full_attention: { rope_type: "proportional", partial_rotary_factor: 0.25, rope_theta: 1_000_000 },
  sliding_attention: { rope_type: "default", rope_theta: 10_000 },
} as const;

/** What follows from several fields of a file: kinds of layers, their heads, their rotary embeddings. */
export function readGemma4(hf: HfConfig, fields: Readonly<Record<string, unknown>>): Partial<Gemma4Config> {
  const { path, raw } = hf;
  const file = checkJson(path, Object.fromEntries(gemma4Reads.map((name) => [name, raw[name]])), fileSchema);
  if (file.enable_moe_block) {
    throw new TypeError(
      `Cannot use "${path}": "enable_moe_block" asks for a mixture of experts, Tessera's Gemma 4 has none`,
    );
  }
  if (file.use_bidirectional_attention === "all") {
    throw new TypeError(
      `Cannot use "${path}": "use_bidirectional_attention" is "all", but Tessera's Gemma 4 reads texts from left to right`,
    );
  }
  // Transformers makes the last layer global, whatever the file says.
  const kinds = layerTypesOf(raw, (layer) => byDefault(layer, fields.num_hidden_layers as number), path);
  kinds[kinds.length - 1] = "full_attention";
  const rope = file.rope_parameters ?? publishedRope;
  return {
    modelType: hf.modelType as NonNullable<Gemma4Config["modelType"]>,
    layerTypes: kinds,
    ...readHeads(file, fields, kinds, path),
    ...readRope(rope.full_attention, "global", path),
    ...readRope(rope.sliding_attention ?? publishedRope.sliding_attention, "local", path),
  };
}

/** Heads may differ by kind of layer; Transformers 5.23 writes them layer by layer. */
function readHeads(
  file: FileFields,
  fields: Readonly<Record<string, unknown>>,
  kinds: readonly LayerType[],
  path: string,
): Partial<Gemma4Config> {
  const local = { head_dim: fields.head_dim ?? 256, num_key_value_heads: fields.num_key_value_heads ?? 4 };
  const own = fields.attention_k_eq_v === true ? file.num_global_key_value_heads ?? undefined : undefined;
  const global = { head_dim: file.global_head_dim ?? 512, num_key_value_heads: own ?? local.num_key_value_heads };
  const layers = kinds.map((kind, layer) => {
    if (file.per_layer_config == null) return kind === "full_attention" ? global : local;
    return { ...local, ...file.per_layer_config[layer] };
  });
  const [full, sliding] = (["full_attention", "sliding_attention"] as const).map((kind) => {
    const [first, ...others] = layers.filter((_, layer) => kinds[layer] === kind);
    const other = others.find((heads) => JSON.stringify(heads) !== JSON.stringify(first));
    if (other === undefined) return first ?? local;
    throw new TypeError(`Cannot use "${path}": "per_layer_config" gives layers of one kind, ${kind}, different heads`);
  }) as [typeof global, typeof global];
  return {
    headDim: sliding.head_dim as number,
    numKeyValueHeads: sliding.num_key_value_heads as number,
    globalHeadDim: full.head_dim as number,
    numGlobalKeyValueHeads: full.num_key_value_heads as number,
  };
}

function readRope(rope: FileRope, kind: "local" | "global", path: string): Partial<Gemma4Config> {
  const { rope_type: type, rope_theta, partial_rotary_factor: partial } = rope;
  if (type === "linear" && (rope.factor == null || (partial ?? 1) !== 1)) {
    throw new TypeError(
      `Cannot use "${path}": a linear rotary embedding needs a "factor" and turns whole heads, found ${
        JSON.stringify(rope)
      }`,
    );
  }
  return {
    [`${kind}RopeWavelength`]: rope_theta,
    [`${kind}RopeScalingFactor`]: type === "default" ? 1 : rope.factor ?? 1,
    [`${kind}RopePartialRotaryFactor`]: type === "proportional" ? partial ?? 1 : 1,
  };
}

/** The `model_type`, and what `readGemma4` reads. A model that was loaded without its towers is written without them. */
export function writeGemma4(config: Gemma4Config): { readonly model_type: string } & Record<string, unknown> {
  const { modelType = "gemma4_text", numKeyValueHeads, headDim, attentionKeyEqualsValue = false } = config;
  const [globalHeads, globalDim] = [config.numGlobalKeyValueHeads ?? numKeyValueHeads, config.globalHeadDim ?? headDim];
  const kinds = gemma4LayerTypes(config);
  const layers = kinds.flatMap((kind, layer) =>
    kind === "full_attention" ? [[layer, { head_dim: globalDim, num_key_value_heads: globalHeads }] as const] : []
  );
  const inputs = { vocab_size_per_layer_input: config.vocabSizePerLayerInput ?? config.vocabularySize };
  return {
    architectures: [architectureNames[modelType]],
    model_type: modelType,
    ...(withInputs.includes(modelType) ? inputs : {}),
    attention_dropout: 0,
    enable_moe_block: false,
    use_bidirectional_attention: null,
    layer_types: kinds,
    global_head_dim: globalDim,
    num_global_key_value_heads: attentionKeyEqualsValue ? globalHeads : null,
    // Other heads for global layers stand in the fields above only where their keys are their values.
    ...(attentionKeyEqualsValue || globalHeads === numKeyValueHeads
      ? {}
      : { per_layer_config: Object.fromEntries(layers) }),
    rope_parameters: {
      full_attention: writeRope(
        config.globalRopeWavelength ?? 1_000_000,
        config.globalRopeScalingFactor ?? 1,
        config.globalRopePartialRotaryFactor ?? 1,
      ),
      sliding_attention: writeRope(
        config.localRopeWavelength ?? 10_000,
        config.localRopeScalingFactor ?? 1,
        config.localRopePartialRotaryFactor ?? 1,
      ),
    },
  };
}

const architectureNames = {
  gemma4_text: "Gemma4ForCausalLM",
  gemma4: "Gemma4ForConditionalGeneration",
  gemma4_unified_text: "Gemma4UnifiedForCausalLM",
  gemma4_unified: "Gemma4UnifiedForConditionalGeneration",
} as const satisfies Record<(typeof gemma4ModelTypes)[number], string>;

function writeRope(theta: number, factor: number, partial: number): FileRope {
  const scaled = factor === 1 ? {} : { factor };
  if (partial !== 1) return { rope_type: "proportional", rope_theta: theta, partial_rotary_factor: partial, ...scaled };
  return { rope_type: factor === 1 ? "default" : "linear", rope_theta: theta, ...scaled };
}
