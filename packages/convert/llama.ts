/**
 * Llama 3, 3.1, 3.2 and 3.3 between Hugging Face and Tessera: the config's fields, and the name of every tensor.
 *
 * Format: https://huggingface.co/docs/transformers/model_doc/llama3.
 */
import type { HfLlamaConfig } from "./llama_config.ts";
import { type LlamaRopeFields, ropeFromHf, ropeToHf } from "./llama_rope.ts";
import type { TensorRow } from "./rows.ts";
import { type TextFields, textFieldsToHf } from "./text_fields.ts";

/** The fields that make a Llama backbone, named as in Keras. */
export interface LlamaConfig extends LlamaRopeFields {
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
  /** The width of the feed-forward layer. */
  readonly intermediateDim: number;
  /** The width of one attention head; `hiddenDim / numQueryHeads` unless given. */
  readonly headDim?: number;
  /** The base of the rotary frequencies. 10000 unless given. */
  readonly ropeMaxWavelength?: number;
  /** Added to the mean square in every normalisation. 1e-6 unless given; every Llama 3 has 1e-5. */
  readonly layerNormEpsilon?: number;
  /** The share of activations dropped in training. 0 unless given. */
  readonly dropout?: number;
  /** Whether the head is the token embedding (Llama 3.2). False unless given. */
  readonly tieWordEmbeddings?: boolean;
  /** Whether the four projections of attention have biases. False unless given. */
  readonly attentionBias?: boolean;
  /** Whether the three projections of the feed-forward layer have biases. False unless given. */
  readonly mlpBias?: boolean;
}

const layer = "model.layers.{i}";
const attention = "transformer_layer_{i}/self_attention";

/**
 * The tensors of a Llama checkpoint; a model whose head is its embedding has no `reverse_embeddings`, and most have no biases. A
 * stored `[heads, headDim, hidden]` lies in the file as `[heads·headDim, hidden]`, a bias `[heads, headDim]` as one axis.
 */
export const llamaRows: readonly TensorRow[] = [
  { variable: "token_embedding/embeddings", tensor: "model.embed_tokens.weight" },
  { variable: "token_embedding/reverse_embeddings", tensor: "lm_head.weight" },
  { variable: `${attention}/query/kernel`, tensor: `${layer}.self_attn.q_proj.weight`, merge: [2, 1] },
  { variable: `${attention}/key/kernel`, tensor: `${layer}.self_attn.k_proj.weight`, merge: [2, 1] },
  { variable: `${attention}/value/kernel`, tensor: `${layer}.self_attn.v_proj.weight`, merge: [2, 1] },
  { variable: `${attention}/attention_output/kernel`, tensor: `${layer}.self_attn.o_proj.weight`, merge: [1, 2] },
  { variable: "transformer_layer_{i}/self_attention_layernorm/scale", tensor: `${layer}.input_layernorm.weight` },
  { variable: "transformer_layer_{i}/feedforward_gate_dense/kernel", tensor: `${layer}.mlp.gate_proj.weight` },
  { variable: "transformer_layer_{i}/feedforward_intermediate_dense/kernel", tensor: `${layer}.mlp.up_proj.weight` },
  { variable: "transformer_layer_{i}/feedforward_output_dense/kernel", tensor: `${layer}.mlp.down_proj.weight` },
  { variable: "transformer_layer_{i}/feedforward_layernorm/scale", tensor: `${layer}.post_attention_layernorm.weight` },
  { variable: "sequence_output_layernorm/scale", tensor: "model.norm.weight" },
  { variable: `${attention}/query/bias`, tensor: `${layer}.self_attn.q_proj.bias`, merge: [2] },
  { variable: `${attention}/key/bias`, tensor: `${layer}.self_attn.k_proj.bias`, merge: [2] },
  { variable: `${attention}/value/bias`, tensor: `${layer}.self_attn.v_proj.bias`, merge: [2] },
  { variable: `${attention}/attention_output/bias`, tensor: `${layer}.self_attn.o_proj.bias` },
  { variable: "transformer_layer_{i}/feedforward_gate_dense/bias", tensor: `${layer}.mlp.gate_proj.bias` },
  { variable: "transformer_layer_{i}/feedforward_intermediate_dense/bias", tensor: `${layer}.mlp.up_proj.bias` },
  { variable: "transformer_layer_{i}/feedforward_output_dense/bias", tensor: `${layer}.mlp.down_proj.bias` },
];

/** Tensors that a checkpoint may hold and that say nothing new: frequencies are computed, and a tied head is the embedding. */
export function llamaRedundant(config: LlamaConfig): readonly RegExp[] {
  const computed = /\.rotary_emb\.inv_freq$/;
  return config.tieWordEmbeddings ? [computed, /^lm_head\.weight$/] : [computed];
}

/** The width of one attention head. */
export function llamaHeadDim({ headDim, hiddenDim, numQueryHeads }: LlamaConfig): number {
  return headDim ?? hiddenDim / numQueryHeads;
}

/** The backbone that a Hugging Face config describes. */
export function llamaFromHf(hf: HfLlamaConfig): LlamaConfig {
  return {
    vocabularySize: hf.vocab_size,
    numLayers: hf.num_hidden_layers,
    numQueryHeads: hf.num_attention_heads,
    numKeyValueHeads: hf.num_key_value_heads,
    hiddenDim: hf.hidden_size,
    intermediateDim: hf.intermediate_size,
    headDim: hf.head_dim,
    ropeMaxWavelength: hf.rope_theta,
    ...ropeFromHf(hf.rope_scaling, hf.max_position_embeddings),
    layerNormEpsilon: hf.rms_norm_eps,
    dropout: 0,
    tieWordEmbeddings: hf.tie_word_embeddings,
    attentionBias: hf.attention_bias,
    mlpBias: hf.mlp_bias,
  };
}

/**
 * The `config.json` of a backbone. The rotary embedding stands there in Transformers 5's spelling and in the older one:
 * a reader that knows only one of them would take the default base without a word.
 *
 * @throws {TypeError} when no Llama of Transformers has what the backbone has.
 */
export function llamaToHf(config: LlamaConfig, text: TextFields): Record<string, unknown> {
  const { hiddenDim, numQueryHeads } = config;
  if (hiddenDim % numQueryHeads !== 0) {
    throw new TypeError(
      `Cannot describe the backbone as a Llama: Transformers wants hiddenDim (${hiddenDim}) to be a multiple of ` +
        `numQueryHeads (${numQueryHeads}), whatever headDim is`,
    );
  }
  const theta = config.ropeMaxWavelength ?? 10000;
  const scaling = ropeToHf(config);
  // What a dynamic base grows beyond is this field of the file, and no other.
  const context = config.ropeScaling?.type === "dynamic" ? config.ropeScaling.pretrainingSequenceLength : null;
  return {
    architectures: ["LlamaForCausalLM"],
    model_type: "llama",
    vocab_size: config.vocabularySize,
    num_hidden_layers: config.numLayers,
    num_attention_heads: numQueryHeads,
    num_key_value_heads: config.numKeyValueHeads,
    hidden_size: hiddenDim,
    intermediate_size: config.intermediateDim,
    head_dim: llamaHeadDim(config),
    hidden_act: "silu",
    rms_norm_eps: config.layerNormEpsilon ?? 1e-6,
    rope_theta: theta,
    rope_scaling: scaling,
    rope_parameters: { rope_theta: theta, ...(scaling ?? { rope_type: "default" }) },
    tie_word_embeddings: config.tieWordEmbeddings ?? false,
    attention_bias: config.attentionBias ?? false,
    attention_dropout: 0,
    mlp_bias: config.mlpBias ?? false,
    ...textFieldsToHf(context === null ? text : { ...text, maxPositionEmbeddings: context }),
  };
}
