/**
 * Gemma 1 (arXiv 2403.08295) and Gemma 2 (arXiv 2408.00118), with Keras's variable paths and shapes.
 *
 * Reference: https://github.com/huggingface/transformers/tree/main/src/transformers/models/gemma2, whose logits these are.
 * What Gemma 2 adds to Gemma 1 is data: two more norms, soft caps, and a sliding window in every other layer.
 */
import { constant, rmsNorm, rotaryEmbedding, type Tensor } from "@tessera/core";
import { activation, applyDense, type Variable, zeros } from "@tessera/nn";
import { z } from "zod";
import { type BackboneOf, defineArchitecture } from "../architecture/architecture.ts";
import type { Decoder, DecoderInputs } from "../architecture/backbone.ts";
import {
  type ConfigOf,
  count,
  fixed,
  flag,
  type HfFields,
  optional,
  positive,
  positiveOrNone,
} from "../architecture/fields.ts";
import { type HfConfig, type LayerType, layerTypesOf, ropeOf } from "../architecture/hf_config.ts";
import type { ModelScope } from "../architecture/model_scope.ts";
import { declareTokens, embed, softCapped, tokenLogits } from "../architecture/tokens.ts";
import { attend } from "../architecture/attend.ts";
import { applyGemmaFeedforward, declareGemmaAttention, declareGemmaFeedforward } from "./gemma_layers.ts";
import { gemmaPresets } from "./presets.ts";

const second = ["gemma2"];
const isSecond = ({ modelType }: HfFields) => modelType === "gemma2";

/** The fields that make a Gemma 1 or Gemma 2 backbone, named as in Keras. */
const fields = {
  /** The number of tokens in the vocabulary. */
  vocabularySize: count("vocab_size"),
  /** The number of decoder blocks. */
  numLayers: count("num_hidden_layers"),
  /** The number of query heads. */
  numQueryHeads: count("num_attention_heads"),
  /** The number of key and value heads; it divides `numQueryHeads`. */
  numKeyValueHeads: count("num_key_value_heads", { inFile: (file) => isSecond(file) ? 4 : 16 }),
  /** The hidden size. */
  hiddenDim: count("hidden_size"),
  /** Twice the intermediate size of the feed-forward layer, as Keras counts it. */
  intermediateDim: count("intermediate_size", { times: 2 }),
  /** The head dimension. */
  headDim: count("head_dim", { inFile: 256 }),
  /** Whether scores are divided by √headDim; if not, by √(hiddenDim / numQueryHeads). True unless given. */
  queryHeadDimNormalize: flag(null, { fallback: true }),
  /** What scores are multiplied by, where neither rule of `queryHeadDimNormalize` gives it. */
  attentionScale: optional(z.number().positive().finite(), "a positive number"),
  /** Whether the feed-forward layer's output is normalized (Gemma 2). False unless given. */
  usePostFfwNorm: flag(null),
  /** Whether attention's output is normalized (Gemma 2). False unless given. */
  usePostAttentionNorm: flag(null),
  /** The soft cap on attention scores; none unless given. */
  attentionLogitSoftCap: positiveOrNone("attn_logit_softcapping", { only: second, inFile: 50 }),
  /** The soft cap on the logits; none unless given. */
  finalLogitSoftCap: positiveOrNone("final_logit_softcapping", { only: second, inFile: 30 }),
  /** Whether every other layer, from the first, sees only a window (Gemma 2). False unless given. */
  useSlidingWindowAttention: flag(null),
  /** How many tokens the window holds, the query's own included. 4096 unless given. */
  slidingWindowSize: count(null, { fallback: 4096 }),
  /** Which layers see only a window, where it is not every other one. */
  layerTypes: optional(z.array(z.enum(["full_attention", "sliding_attention"])).readonly(), "a list of layer types"),
  /** The base of the rotary frequencies. 10000 unless given. */
  ropeMaxWavelength: positive(null, { fallback: 10000 }),
  /** Added to the mean square in every norm. 1e-6 unless given. */
  layerNormEpsilon: positive("rms_norm_eps", { fallback: 1e-6 }),
  /** The share of activations dropped in training: 0, as no Gemma was trained with any. */
  dropout: optional(z.number().min(0).max(0), "0, as no Gemma was trained with any"),
};

/** The fields that make a Gemma 1 or Gemma 2 backbone, named as in Keras. */
export interface GemmaConfig extends ConfigOf<typeof fields> {}

/** Gemma 1 and Gemma 2. */
export const gemma = defineArchitecture({
  title: "Gemma",
  name: "gemma",
  modelTypes: ["gemma", "gemma2"],
  fields,
  fixed: {
    tie_word_embeddings: fixed(true),
    attention_bias: fixed(false),
    use_bidirectional_attention: { ...fixed(false), isWritten: false },
    hidden_activation: fixed("gelu_pytorch_tanh"),
    // The first releases say "gelu" and mean the tanh approximation; Transformers reads them so.
    hidden_act: { ...fixed("gelu_pytorch_tanh", "gelu"), isWritten: false },
  },
  inFile: { contextLength: 8192, bosTokenId: 2, eosTokenIds: [1], padTokenId: 0 },
  text: () => ({ contextLength: 8192, bosTokenId: 2, eosTokenIds: [1], padTokenId: 0 }),
  endOfTurn: ["<end_of_turn>"],
  presets: gemmaPresets,
  reads: ["rope_theta", "rope_scaling", "rope_parameters", "layer_types", "query_pre_attn_scalar", "sliding_window"],
  floats: ["rope_theta"],
  check: ({ numQueryHeads, numKeyValueHeads, headDim, intermediateDim, layerTypes, numLayers }, name) => {
    if (numQueryHeads % numKeyValueHeads !== 0) {
      return `${name("numQueryHeads")} (${numQueryHeads}) is not divisible by ${
        name("numKeyValueHeads")
      } (${numKeyValueHeads})`;
    }
    if (headDim % 2 !== 0) return `${name("headDim")} must be even, found ${headDim}`;
    if (intermediateDim % 2 !== 0) return `${name("intermediateDim")} must be even, found ${intermediateDim}`;
    if (layerTypes === undefined || layerTypes.length === numLayers) return null;
    return `${name("layerTypes")} has ${layerTypes.length} entries for ${numLayers} layers`;
  },
  read,
  write,
  build: (config, scope) => gemmaDecoder(config, scope, "model"),
});

/** What follows from several fields of a file: the scale of scores, the windows, the rotary base. */
function read(file: HfConfig): Partial<GemmaConfig> {
  const { raw, path } = file;
  const rope = ropeOf(raw, path);
  if (rope.type !== "default") {
    throw new TypeError(
      `Cannot use "${path}": its rotary embedding has type "${rope.type}", Tessera's Gemma computes only "default"`,
    );
  }
  const isGemma2 = isSecond(file);
  const byDefault = (layer: number): LayerType => isGemma2 && layer % 2 === 0 ? "sliding_attention" : "full_attention";
  const layerTypes = layerTypesOf(raw, byDefault, path);
  const slides = layerTypes.includes("sliding_attention");
  const window = isGemma2 ? raw.sliding_window === undefined ? 4096 : raw.sliding_window as number | null : null;
  if (slides && window === null) {
    throw new TypeError(
      `Cannot use "${path}": "sliding_window" is null, but "layer_types" has layers with sliding_attention`,
    );
  }
  const headDim = raw.head_dim as number | undefined ?? 256;
  const scalar = isGemma2 ? raw.query_pre_attn_scalar as number | undefined ?? 256 : headDim;
  return {
    queryHeadDimNormalize: scalar === headDim,
    attentionScale: scalar ** -0.5,
    usePostFfwNorm: isGemma2,
    usePostAttentionNorm: isGemma2,
    useSlidingWindowAttention: slides,
    ...(slides ? { slidingWindowSize: window! } : {}),
    layerTypes,
    ropeMaxWavelength: rope.theta,
  };
}

function write(config: GemmaConfig): { readonly model_type: string } & Record<string, unknown> {
  const isGemma2 = config.usePostFfwNorm ?? false;
  const faults = inexpressible(config);
  if (faults.length > 0) {
    throw new TypeError(
      `Cannot describe the backbone as Gemma ${isGemma2 ? 2 : 1}, which has no ${faults.join(" and no ")}: ` +
        "Gemma 1 has no post-norms, caps or windows, Gemma 2 has both post-norms",
    );
  }
  const theta = config.ropeMaxWavelength ?? 10000;
  return {
    architectures: [isGemma2 ? "Gemma2ForCausalLM" : "GemmaForCausalLM"],
    model_type: isGemma2 ? "gemma2" : "gemma",
    // In the older spelling, too: a reader that knows only one of them would take the default base without a word.
    rope_theta: theta,
    rope_parameters: { rope_theta: theta, rope_type: "default" },
    attention_dropout: 0,
    ...(isGemma2
      ? {
        query_pre_attn_scalar: gemmaHeadScalar(config),
        sliding_window: config.slidingWindowSize ?? 4096,
        layer_types: gemmaLayerTypes(config),
      }
      : {}),
  };
}

/** What keeps a backbone from being written as the Gemma of its generation, each with the field to change. */
function inexpressible(config: GemmaConfig): string[] {
  if (config.usePostFfwNorm) return config.usePostAttentionNorm ? [] : ["usePostFfwNorm without usePostAttentionNorm"];
  return [
    ...(config.usePostAttentionNorm ? ["usePostAttentionNorm without usePostFfwNorm"] : []),
    ...(config.attentionLogitSoftCap == null ? [] : ["attentionLogitSoftCap"]),
    ...(config.finalLogitSoftCap == null ? [] : ["finalLogitSoftCap"]),
    ...(gemmaLayerTypes(config).includes("sliding_attention") ? ["sliding windows"] : []),
    ...(gemmaHeadScalar(config) === config.headDim ? [] : ["another attention scale than 1/√headDim"]),
  ];
}

/** What the attention scale follows from. */
export type GemmaScale = Pick<
  GemmaConfig,
  "attentionScale" | "queryHeadDimNormalize" | "headDim" | "hiddenDim" | "numQueryHeads"
>;

/** The inverse square of the attention scale, free of rounding where it is a whole number, as Transformers wants it. */
export function gemmaHeadScalar(config: GemmaScale): number {
  const scalar = gemmaAttentionScale(config) ** -2;
  const whole = Math.round(scalar);
  return Math.abs(scalar - whole) <= 1e-9 * scalar ? whole : scalar;
}

/** What attention scores are multiplied by: 1/√headDim, or 1/√(hiddenDim / numQueryHeads) as Gemma 2 27B needs. */
export function gemmaAttentionScale(config: GemmaScale): number {
  const { attentionScale, queryHeadDimNormalize = true, headDim, hiddenDim, numQueryHeads } = config;
  return attentionScale ?? (queryHeadDimNormalize ? headDim : hiddenDim / numQueryHeads) ** -0.5;
}

/** The kind of attention of each block. */
export function gemmaLayerTypes(config: GemmaConfig): readonly LayerType[] {
  const slides = config.useSlidingWindowAttention ?? false;
  return config.layerTypes ??
    Array.from({ length: config.numLayers }, (_, i) => slides && i % 2 === 0 ? "sliding_attention" : "full_attention");
}

/** A Gemma whose embeddings may be replaced on their way in, as PaliGemma does with those of an image's tokens. */
export interface GemmaDecoder extends Decoder {
  /** What the first block reads in place of tokens [batch, time]: their embeddings times √hiddenDim. */
  embed(tokenIds: Tensor): Tensor;
  /** The final hidden states [batch, time, hidden] of what `embed` gives, or of what stands for it. */
  decode(embedded: Tensor, inputs: DecoderInputs): Tensor;
}

/** Declares a Gemma's variables, whose tensors are in a module of the checkpoint, and says how tokens go through them. */
export function gemmaDecoder(config: GemmaConfig, scope: ModelScope, module: string): GemmaDecoder {
  const { vocabularySize, hiddenDim, numLayers, headDim, ropeMaxWavelength: base = 10000 } = config;
  const { compute } = scope;
  const tokens = declareTokens(scope, module, { vocabularySize, hiddenDim, isTied: true });
  const blocks = scope.blocks("decoder_block", `${module}.layers`, numLayers, (block) => declareBlock(config, block));
  const finalNorm = scope.norm("final_normalization", `${module}.norm`, hiddenDim, zeros());
  const kinds = gemmaLayerTypes(config);
  const epsilon = config.layerNormEpsilon ?? 1e-6;
  const norm = (scale: Variable | null, x: Tensor) =>
    scale === null ? x : rmsNorm(x, scale.read(compute), { epsilon, offset: 1 });
  const embedTokens = (tokenIds: Tensor) => embed(tokens, tokenIds, compute).mul(Math.sqrt(hiddenDim));

  function decode(embedded: Tensor, inputs: DecoderInputs): Tensor {
    const half = headDim / 2;
    const frequencies = constant(Array.from({ length: half }, (_, i) => base ** (-i / half)), [half]);
    const rotate = (x: Tensor) => rotaryEmbedding(x, inputs.positions, frequencies);
    let x = embedded;
    blocks.forEach((block, layer) => {
      const a = norm(block.preAttentionNorm, x);
      const [query, key] = [rotate(applyDense(block.query, a)), rotate(applyDense(block.key, a))];
      const mixed = attend(inputs, layer, { query, key, value: applyDense(block.value, a) }, {
        scale: gemmaAttentionScale(config),
        softCap: config.attentionLogitSoftCap ?? null,
        window: kinds[layer] === "sliding_attention" ? config.slidingWindowSize ?? 4096 : null,
      });
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

/** In Gemma 2 the names of two norms in checkpoints mean others than in Gemma 1. */
function declareBlock(config: GemmaConfig, block: ModelScope) {
  const { hiddenDim, headDim, numQueryHeads, numKeyValueHeads, usePostAttentionNorm, usePostFfwNorm } = config;
  const norm = (name: string, module: string) => block.norm(name, module, hiddenDim, zeros());
  return {
    path: block.path,
    preAttentionNorm: norm("pre_attention_norm", "input_layernorm"),
    ...declareGemmaAttention(block, { hiddenDim, headDim, numQueryHeads, numKeyValueHeads }),
    postAttentionNorm: usePostAttentionNorm ? norm("post_attention_norm", "post_attention_layernorm") : null,
    preFfwNorm: norm("pre_ffw_norm", usePostFfwNorm ? "pre_feedforward_layernorm" : "post_attention_layernorm"),
    ...declareGemmaFeedforward(block, { hiddenDim, intermediateDim: config.intermediateDim / 2 }),
    postFfwNorm: usePostFfwNorm ? norm("post_ffw_norm", "post_feedforward_layernorm") : null,
  };
}

/** The decoder of Gemma 1 and Gemma 2. */
export const GemmaBackbone = gemma.Backbone;
/** The decoder of Gemma 1 and Gemma 2. */
export type GemmaBackbone = BackboneOf<GemmaConfig>;
