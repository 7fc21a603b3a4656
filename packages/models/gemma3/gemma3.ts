/**
 * The decoder of Gemma 3 (arXiv 2503.19786), with Keras's variable paths and shapes.
 *
 * Reference: https://github.com/huggingface/transformers/tree/main/src/transformers/models/gemma3, whose logits these are.
 * What it adds to Gemma 2: norms of queries and keys in place of a cap on scores, five layers with a window to one without, and a
 * rotary embedding for each of the two.
 */
import { rmsNorm, type Tensor } from "@tessera/core";
import { checkJson } from "@tessera/files";
import { activation, applyDense, type Variable, zeros } from "@tessera/nn";
import { z } from "zod";
import { type BackboneOf, defineArchitecture } from "../architecture/architecture.ts";
import { attend } from "../architecture/attend.ts";
import type { DecoderInputs } from "../architecture/backbone.ts";
import {
  type ConfigOf,
  count,
  fixed,
  flag,
  optional,
  positive,
  positiveOrNone,
  refusedUnless,
} from "../architecture/fields.ts";
import { type HfConfig, type LayerType, layerTypesOf } from "../architecture/hf_config.ts";
import type { ModelScope } from "../architecture/model_scope.ts";
import { ropeFloats, ropeScalingProblem, ropeScalingSchema } from "../architecture/rope_scaling.ts";
import { rotation } from "../architecture/rotary.ts";
import { declareTokens, embed, softCapped, tokenLogits } from "../architecture/tokens.ts";
import { gemmaAttentionScale, type GemmaDecoder, gemmaHeadScalar } from "../gemma/gemma.ts";
import { applyGemmaFeedforward, declareGemmaAttention, declareGemmaFeedforward } from "../gemma/gemma_layers.ts";
import { gemma3Presets } from "./presets.ts";
import { gemma3RopeFields, readGemma3Rope, writeGemma3Rope } from "./gemma3_rope.ts";

const scaling = () => optional(ropeScalingSchema, "a rotary scaling or null");

/** The fields that make the decoder of a Gemma 3, named as in Keras. */
const fields = {
  /** The number of tokens in the vocabulary. */
  vocabularySize: count("vocab_size", { inFile: 262_208 }),
  /** The number of decoder blocks. */
  numLayers: count("num_hidden_layers", { inFile: 26 }),
  /** The number of query heads. */
  numQueryHeads: count("num_attention_heads", { inFile: 8 }),
  /** The number of key and value heads; it divides `numQueryHeads`. */
  numKeyValueHeads: count("num_key_value_heads", { inFile: 4 }),
  /** The hidden size. */
  hiddenDim: count("hidden_size", { inFile: 2304 }),
  /** The intermediate size of the feed-forward layer. */
  intermediateDim: count("intermediate_size", { inFile: 9216 }),
  /** The head dimension. */
  headDim: count("head_dim", { inFile: 256 }),
  /** Whether scores are divided by √headDim; if not, by √(hiddenDim / numQueryHeads), as in the 27B. True unless given. */
  queryHeadDimNormalize: flag(null, { fallback: true }),
  /** What scores are multiplied by, where neither rule of `queryHeadDimNormalize` gives it. */
  attentionScale: optional(z.number().positive().finite(), "a positive number"),
  /** Whether the four projections of attention have biases; no published model has. False unless given. */
  attentionBias: flag("attention_bias"),
  /** The soft cap on the logits; none unless given. */
  finalLogitSoftCap: positiveOrNone("final_logit_softcapping"),
  /** How many tokens the window holds, the query's own included. 1024 unless given. */
  slidingWindowSize: count(null, { fallback: 1024 }),
  /** Which layers see only a window; all but every sixth unless given. */
  layerTypes: optional(z.array(z.enum(["full_attention", "sliding_attention"])).readonly(), "a list of layer types"),
  /** The base of the rotary frequencies of layers with a window. 10000 unless given. */
  localRopeMaxWavelength: positive(null, { fallback: 10_000 }),
  /** The base of those of the other layers. 1000000 unless given. */
  globalRopeMaxWavelength: positive(null, { fallback: 1_000_000 }),
  /** How the rotary embedding of layers with a window is stretched. Not at all unless given. */
  localRopeScaling: scaling(),
  /** How that of the other layers is stretched: from the 4B on, eightfold. Not at all unless given. */
  globalRopeScaling: scaling(),
  /** Added to the mean square in every norm. 1e-6 unless given. */
  layerNormEpsilon: positive("rms_norm_eps", { fallback: 1e-6 }),
  /** The share of activations dropped in training: 0, as no Gemma was trained with any. */
  dropout: optional(z.number().min(0).max(0), "0, as no Gemma was trained with any"),
};

/** The fields that make the decoder of a Gemma 3, named as in Keras. */
export interface Gemma3Config extends ConfigOf<typeof fields> {}

const textOfGemma3 = { contextLength: 131_072, bosTokenId: 2, eosTokenIds: [1], padTokenId: 0 };

/** Gemma 3 without images: the 270M, the 1B, and what is made of them. */
export const gemma3 = defineArchitecture({
  title: "Gemma 3",
  name: "gemma3",
  modelTypes: ["gemma3_text"],
  fields,
  fixed: {
    tie_word_embeddings: fixed(true),
    hidden_activation: fixed("gelu_pytorch_tanh"),
    use_bidirectional_attention: fixed(false),
    attn_logit_softcapping: { values: [null], isWritten: true },
    partial_rotary_factor: refusedUnless(1),
  },
  inFile: textOfGemma3,
  text: () => textOfGemma3,
  endOfTurn: ["<end_of_turn>"],
  presets: gemma3Presets,
  reads: [
    ...gemma3RopeFields,
    "layer_types",
    "sliding_window_pattern",
    "_sliding_window_pattern",
    "query_pre_attn_scalar",
    "sliding_window",
  ],
  floats: [...ropeFloats, "rope_local_base_freq"],
  check: (config, name) => {
    const { numQueryHeads, numKeyValueHeads, headDim, layerTypes, numLayers } = config;
    if (numQueryHeads % numKeyValueHeads !== 0) {
      return `${name("numQueryHeads")} (${numQueryHeads}) is not divisible by ${
        name("numKeyValueHeads")
      } (${numKeyValueHeads})`;
    }
    if (headDim % 2 !== 0) return `${name("headDim")} must be even, found ${headDim}`;
    if (layerTypes !== undefined && layerTypes.length !== numLayers) {
      return `${name("layerTypes")} has ${layerTypes.length} entries for ${numLayers} layers`;
    }
    for (const stretched of [config.localRopeScaling ?? null, config.globalRopeScaling ?? null]) {
      if (stretched?.type === "dynamic") return "a dynamic rotary scaling is not computed for Gemma 3";
      const problem = stretched === null ? null : ropeScalingProblem(stretched, headDim);
      if (problem !== null) return problem;
    }
    return null;
  },
  read,
  write,
  build: (config, scope) => gemma3Decoder(config, scope, "model"),
});

const inReads = z.looseObject({
  query_pre_attn_scalar: z.number().positive().default(256),
  sliding_window: z.number().int().positive().nullable().default(4096),
  sliding_window_pattern: z.number().int().positive().default(6),
});

/** What follows from several fields of a file: the scale of scores, the windows, the two rotary embeddings. */
function read(file: HfConfig, fields: Readonly<Record<string, unknown>>): Partial<Gemma3Config> {
  const { raw, path } = file;
  const given = checkJson(
    path,
    Object.fromEntries(Object.keys(inReads.shape).map((name) => [name, raw[name]])),
    inReads,
  );
  const { query_pre_attn_scalar: scalar, sliding_window: window, sliding_window_pattern: pattern } = given;
  const layers = fields.num_hidden_layers ?? 26;
  const byDefault = (layer: number) => (layer + 1) % pattern === 0 ? "full_attention" : "sliding_attention";
  const layerTypes = layerTypesOf({ ...raw, num_hidden_layers: layers }, byDefault, path);
  if (window === null && layerTypes.includes("sliding_attention")) {
    throw new TypeError(`Cannot use "${path}": "sliding_window" is null, but there are layers with sliding_attention`);
  }
  return {
    queryHeadDimNormalize: scalar === (fields.head_dim ?? 256),
    attentionScale: scalar ** -0.5,
    layerTypes,
    ...(window === null ? {} : { slidingWindowSize: window }),
    ...readGemma3Rope(file, fields.max_position_embeddings as number),
  };
}

function write(config: Gemma3Config): { readonly model_type: string } & Record<string, unknown> {
  const { hiddenDim, numQueryHeads } = config;
  if (hiddenDim % numQueryHeads !== 0) {
    throw new TypeError(
      `Cannot describe the backbone as a Gemma 3: Transformers wants hiddenDim (${hiddenDim}) to be a multiple of ` +
        `numQueryHeads (${numQueryHeads}), whatever headDim is`,
    );
  }
  return {
    architectures: ["Gemma3ForCausalLM"],
    model_type: "gemma3_text",
    query_pre_attn_scalar: gemmaHeadScalar(config),
    sliding_window: config.slidingWindowSize ?? 1024,
    layer_types: gemma3LayerTypes(config),
    ...writeGemma3Rope(config),
    attention_dropout: 0,
  };
}

/** The kind of attention of each block. */
export function gemma3LayerTypes({ layerTypes, numLayers }: Gemma3Config): readonly LayerType[] {
  return layerTypes ??
    Array.from({ length: numLayers }, (_, i) => (i + 1) % 6 === 0 ? "full_attention" : "sliding_attention");
}

/** Declares a Gemma 3's variables, whose tensors are in a module of the checkpoint, and says how tokens go through them. */
export function gemma3Decoder(config: Gemma3Config, scope: ModelScope, module: string): GemmaDecoder {
  const { vocabularySize, hiddenDim, numLayers, layerNormEpsilon: epsilon = 1e-6 } = config;
  const { compute } = scope;
  const tokens = declareTokens(scope, module, { vocabularySize, hiddenDim, isTied: true });
  const blocks = scope.blocks("decoder_block", `${module}.layers`, numLayers, (block) => declareBlock(config, block));
  const finalNorm = scope.norm("final_normalization", `${module}.norm`, hiddenDim, zeros());
  const kinds = gemma3LayerTypes(config);
  const norm = (scale: Variable, x: Tensor) => rmsNorm(x, scale.read(compute), { epsilon, offset: 1 });
  const embedTokens = (tokenIds: Tensor) => embed(tokens, tokenIds, compute).mul(Math.sqrt(hiddenDim));

  /** How layers of a kind turn queries and keys, and what they see. */
  function layersOf(kind: LayerType, inputs: DecoderInputs) {
    const [base, scaling, window] = kind === "sliding_attention"
      ? [config.localRopeMaxWavelength ?? 10_000, config.localRopeScaling, config.slidingWindowSize ?? 1024] as const
      : [config.globalRopeMaxWavelength ?? 1_000_000, config.globalRopeScaling, null] as const;
    const { rotate, gain } = rotation({ base, headDim: config.headDim, scaling: scaling ?? null }, inputs);
    return { rotate, attrs: { scale: gain * gemmaAttentionScale(config), softCap: null, window } };
  }

  function decode(embedded: Tensor, inputs: DecoderInputs): Tensor {
    const layers = {
      sliding_attention: layersOf("sliding_attention", inputs),
      full_attention: layersOf("full_attention", inputs),
    };
    let x = embedded;
    blocks.forEach((block, layer) => {
      const { rotate, attrs } = layers[kinds[layer]!];
      const a = norm(block.preAttentionNorm, x);
      const query = rotate(norm(block.queryNorm, applyDense(block.query, a)));
      const key = rotate(norm(block.keyNorm, applyDense(block.key, a)));
      const mixed = attend(inputs, layer, { query, key, value: applyDense(block.value, a) }, attrs);
      x = x.add(norm(block.postAttentionNorm, applyDense(block.attentionOutput, mixed)));
      const fed = applyGemmaFeedforward(block, norm(block.preFfwNorm, x));
      x = activation(block.path, x.add(norm(block.postFfwNorm, fed)));
    });
    return activation("final_normalization", norm(finalNorm, x));
  }

  return {
    embeddings: tokens.embeddings,
    blocks,
    embed: embedTokens,
    decode,
    hidden: (inputs) => decode(embedTokens(inputs.tokenIds), inputs),
    logits: (hidden) => softCapped(tokenLogits(tokens, hidden), config.finalLogitSoftCap ?? null),
  };
}

function declareBlock(config: Gemma3Config, block: ModelScope) {
  const { hiddenDim, headDim, attentionBias: bias = false } = config;
  const norm = (name: string, module: string, size = hiddenDim) => block.norm(name, module, size, zeros());
  return {
    path: block.path,
    preAttentionNorm: norm("pre_attention_norm", "input_layernorm"),
    ...declareGemmaAttention(block, { ...config, bias }),
    queryNorm: norm("attention/query_norm", "self_attn.q_norm", headDim),
    keyNorm: norm("attention/key_norm", "self_attn.k_norm", headDim),
    postAttentionNorm: norm("post_attention_norm", "post_attention_layernorm"),
    preFfwNorm: norm("pre_ffw_norm", "pre_feedforward_layernorm"),
    ...declareGemmaFeedforward(block, config),
    postFfwNorm: norm("post_ffw_norm", "post_feedforward_layernorm"),
  };
}

/** The decoder of Gemma 3. */
export const Gemma3Backbone = gemma3.Backbone;
/** The decoder of Gemma 3. */
export type Gemma3Backbone = BackboneOf<Gemma3Config>;
