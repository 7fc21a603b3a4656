/**
 * Gemma 1 and Gemma 2 between Hugging Face and Tessera: the config's fields, and the name of every tensor.
 *
 * Formats: https://huggingface.co/docs/transformers/model_doc/gemma and …/gemma2.
 */
import type { HfGemmaConfig } from "./gemma_config.ts";
import type { LayerType } from "./hf_config.ts";
import type { TensorRow } from "./rows.ts";
import { type TextFields, textFieldsToHf } from "./text_fields.ts";

/** The fields that make a Gemma 1 or Gemma 2 backbone, named as in Keras. */
export interface GemmaConfig {
  /** The number of tokens in the vocabulary. */
  readonly vocabularySize: number;
  /** The number of decoder blocks. */
  readonly numLayers: number;
  /** The number of query heads. */
  readonly numQueryHeads: number;
  /** The number of key and value heads; it divides `numQueryHeads`. */
  readonly numKeyValueHeads: number;
  /** The width of the residual stream. */
  readonly hiddenDim: number;
  /** Twice the width of the feed-forward layer, as Keras counts it. */
  readonly intermediateDim: number;
  /** The width of one attention head. */
  readonly headDim: number;
  /** Whether scores are divided by √headDim; if not, by √(hiddenDim / numQueryHeads). True unless given. */
  readonly queryHeadDimNormalize?: boolean;
  /** What scores are multiplied by, where neither rule of `queryHeadDimNormalize` gives it. */
  readonly attentionScale?: number;
  /** Whether the feed-forward layer's output is normalised (Gemma 2). False unless given. */
  readonly usePostFfwNorm?: boolean;
  /** Whether attention's output is normalised (Gemma 2). False unless given. */
  readonly usePostAttentionNorm?: boolean;
  /** The soft cap on attention scores; none unless given. */
  readonly attentionLogitSoftCap?: number | null;
  /** The soft cap on the logits; none unless given. */
  readonly finalLogitSoftCap?: number | null;
  /** Whether every other layer, from the first, sees only a window (Gemma 2). False unless given. */
  readonly useSlidingWindowAttention?: boolean;
  /** How many tokens the window holds, the query's own included. 4096 unless given. */
  readonly slidingWindowSize?: number;
  /** Which layers see only a window, where it is not every other one. */
  readonly layerTypes?: readonly LayerType[];
  /** The base of the rotary frequencies. 10000 unless given. */
  readonly ropeMaxWavelength?: number;
  /** Added to the mean square in every normalisation. 1e-6 unless given. */
  readonly layerNormEpsilon?: number;
  /** The share of activations dropped in training. 0 unless given. */
  readonly dropout?: number;
}

const attention = "model.layers.{i}.self_attn";
const mlp = "model.layers.{i}.mlp";

/** The tensors that Gemma 1 and Gemma 2 share. A stored `[heads, headDim, hidden]` lies in the file as `[heads·headDim, hidden]`. */
const shared: readonly TensorRow[] = [
  { variable: "token_embedding/embeddings", tensor: "model.embed_tokens.weight" },
  { variable: "decoder_block_{i}/pre_attention_norm/scale", tensor: "model.layers.{i}.input_layernorm.weight" },
  { variable: "decoder_block_{i}/attention/query/kernel", tensor: `${attention}.q_proj.weight`, merge: [2, 1] },
  { variable: "decoder_block_{i}/attention/key/kernel", tensor: `${attention}.k_proj.weight`, merge: [2, 1] },
  { variable: "decoder_block_{i}/attention/value/kernel", tensor: `${attention}.v_proj.weight`, merge: [2, 1] },
  {
    variable: "decoder_block_{i}/attention/attention_output/kernel",
    tensor: `${attention}.o_proj.weight`,
    merge: [1, 2],
  },
  { variable: "decoder_block_{i}/ffw_gating/kernel", tensor: `${mlp}.gate_proj.weight` },
  { variable: "decoder_block_{i}/ffw_gating_2/kernel", tensor: `${mlp}.up_proj.weight` },
  { variable: "decoder_block_{i}/ffw_linear/kernel", tensor: `${mlp}.down_proj.weight` },
  { variable: "final_normalization/scale", tensor: "model.norm.weight" },
];

/** The tensors of a Gemma 1 checkpoint. */
export const gemmaRows: readonly TensorRow[] = [
  ...shared,
  { variable: "decoder_block_{i}/pre_ffw_norm/scale", tensor: "model.layers.{i}.post_attention_layernorm.weight" },
];

/** The tensors of a Gemma 2 checkpoint, whose norms have other names. */
export const gemma2Rows: readonly TensorRow[] = [
  ...shared,
  {
    variable: "decoder_block_{i}/post_attention_norm/scale",
    tensor: "model.layers.{i}.post_attention_layernorm.weight",
  },
  { variable: "decoder_block_{i}/pre_ffw_norm/scale", tensor: "model.layers.{i}.pre_feedforward_layernorm.weight" },
  { variable: "decoder_block_{i}/post_ffw_norm/scale", tensor: "model.layers.{i}.post_feedforward_layernorm.weight" },
];

/** Tensors that a checkpoint may hold and that say nothing new: the head is the embedding, frequencies are computed. */
export const gemmaRedundant: readonly RegExp[] = [/^lm_head\.weight$/, /\.rotary_emb\.inv_freq$/];

/**
 * The backbone that a Hugging Face config describes.
 *
 * @throws {TypeError} when the output head is not the embedding, which no Gemma has.
 */
export function gemmaFromHf(hf: HfGemmaConfig): GemmaConfig {
  if (!hf.tie_word_embeddings) {
    throw new TypeError('Cannot use a Gemma with "tie_word_embeddings": false: its head must be its token embedding');
  }
  const second = hf.model_type === "gemma2";
  return {
    vocabularySize: hf.vocab_size,
    numLayers: hf.num_hidden_layers,
    numQueryHeads: hf.num_attention_heads,
    numKeyValueHeads: hf.num_key_value_heads,
    hiddenDim: hf.hidden_size,
    intermediateDim: 2 * hf.intermediate_size,
    headDim: hf.head_dim,
    queryHeadDimNormalize: hf.query_pre_attn_scalar === hf.head_dim,
    attentionScale: hf.query_pre_attn_scalar ** -0.5,
    usePostFfwNorm: second,
    usePostAttentionNorm: second,
    attentionLogitSoftCap: hf.attn_logit_softcapping,
    finalLogitSoftCap: hf.final_logit_softcapping,
    useSlidingWindowAttention: hf.sliding_window !== null,
    ...(hf.sliding_window === null ? {} : { slidingWindowSize: hf.sliding_window }),
    layerTypes: hf.layer_types,
    ropeMaxWavelength: hf.rope.theta,
    layerNormEpsilon: hf.rms_norm_eps,
    dropout: 0,
  };
}

/** What keeps a backbone from being written as the Gemma of its generation, each with the field to change. */
function inexpressible(config: GemmaConfig): string[] {
  const second = config.usePostFfwNorm ?? false;
  if (second) return config.usePostAttentionNorm ? [] : ["usePostFfwNorm without usePostAttentionNorm"];
  return [
    ...(config.usePostAttentionNorm ? ["usePostAttentionNorm without usePostFfwNorm"] : []),
    ...(config.attentionLogitSoftCap == null ? [] : ["attentionLogitSoftCap"]),
    ...(config.finalLogitSoftCap == null ? [] : ["finalLogitSoftCap"]),
    ...(gemmaLayerTypes(config).includes("sliding_attention") ? ["sliding windows"] : []),
    ...(headScalar(config) === config.headDim ? [] : ["another attention scale than 1/√headDim"]),
  ];
}

/** The inverse square of the attention scale, free of rounding where it is a whole number, as Transformers wants it. */
function headScalar(config: GemmaConfig): number {
  const scalar = gemmaAttentionScale(config) ** -2;
  const whole = Math.round(scalar);
  return Math.abs(scalar - whole) <= 1e-9 * scalar ? whole : scalar;
}

/**
 * The `config.json` of a backbone, in Transformers 5's spelling.
 *
 * @throws {TypeError} when neither Gemma 1 nor Gemma 2 has what the backbone has.
 */
export function gemmaToHf(config: GemmaConfig, text: TextFields): Record<string, unknown> {
  const second = config.usePostFfwNorm ?? false;
  const faults = inexpressible(config);
  if (faults.length > 0) {
    throw new TypeError(
      `Cannot describe the backbone as Gemma ${second ? 2 : 1}, which has no ${faults.join(" and no ")}: ` +
        "Gemma 1 has no post-norms, caps or windows, Gemma 2 has both post-norms",
    );
  }
  const common = {
    architectures: [second ? "Gemma2ForCausalLM" : "GemmaForCausalLM"],
    model_type: second ? "gemma2" : "gemma",
    vocab_size: config.vocabularySize,
    num_hidden_layers: config.numLayers,
    num_attention_heads: config.numQueryHeads,
    num_key_value_heads: config.numKeyValueHeads,
    hidden_size: config.hiddenDim,
    intermediate_size: config.intermediateDim / 2,
    head_dim: config.headDim,
    hidden_activation: "gelu_pytorch_tanh",
    rms_norm_eps: config.layerNormEpsilon ?? 1e-6,
    // In the older spelling, too: a reader that knows only one of them would take the default base without a word.
    rope_theta: config.ropeMaxWavelength ?? 10000,
    rope_parameters: { rope_theta: config.ropeMaxWavelength ?? 10000, rope_type: "default" },
    tie_word_embeddings: true,
    attention_bias: false,
    attention_dropout: 0,
    ...textFieldsToHf(text),
  };
  if (!second) return common;
  return {
    ...common,
    query_pre_attn_scalar: headScalar(config),
    attn_logit_softcapping: config.attentionLogitSoftCap ?? null,
    final_logit_softcapping: config.finalLogitSoftCap ?? null,
    sliding_window: config.slidingWindowSize ?? 4096,
    layer_types: gemmaLayerTypes(config),
  };
}

/** What attention scores are multiplied by: 1/√headDim, or 1/√(hiddenDim / numQueryHeads) as Gemma 2 27B needs. */
export function gemmaAttentionScale(config: GemmaConfig): number {
  if (config.attentionScale !== undefined) return config.attentionScale;
  return (config.queryHeadDimNormalize ?? true)
    ? config.headDim ** -0.5
    : (config.hiddenDim / config.numQueryHeads) ** -0.5;
}

/** The kind of attention of each block. */
export function gemmaLayerTypes(config: GemmaConfig): readonly LayerType[] {
  const slides = config.useSlidingWindowAttention ?? false;
  return config.layerTypes ??
    Array.from({ length: config.numLayers }, (_, i) => slides && i % 2 === 0 ? "sliding_attention" : "full_attention");
}
