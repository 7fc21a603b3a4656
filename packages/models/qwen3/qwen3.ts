/**
 * Qwen 3 (arXiv 2505.09388), its dense models, with Keras's variable paths and shapes.
 *
 * Reference: https://github.com/huggingface/transformers/tree/main/src/transformers/models/qwen3, whose logits these are.
 * What it adds to Llama 3 are norms of queries and keys, head by head; what it shares with Qwen 2.5 are windows, which no published model
 * uses, while biases are an option.
 */
import { rmsNorm, type Tensor } from "@tessera/core";
import { activation, applyDense, randomNormal, type Variable } from "@tessera/nn";
import { z } from "zod";
import { type BackboneOf, defineArchitecture } from "../architecture/architecture.ts";
import { attend } from "../architecture/attend.ts";
import type { Decoder, DecoderInputs } from "../architecture/backbone.ts";
import { type ConfigOf, count, fixed, flag, optional, positive, refusedUnless } from "../architecture/fields.ts";
import type { ModelScope } from "../architecture/model_scope.ts";
import {
  readRope,
  ropeFields,
  ropeFloats,
  ropeScalingProblem,
  ropeScalingSchema,
  stretchedContext,
  writeRope,
} from "../architecture/rope_scaling.ts";
import { rotation } from "../architecture/rotary.ts";
import { declareTokens, embed, tokenLogits } from "../architecture/tokens.ts";
import { applyFeedforward, declareAttention, declareFeedforward } from "../architecture/transformer_layer.ts";
import {
  readWindows,
  windowFields,
  windowFileFields,
  windowProblem,
  windowsOf,
  writeWindows,
} from "../architecture/windows.ts";
import { qwen3Presets } from "./presets.ts";

/** The fields that make a Qwen 3 backbone, named as in Keras. */
const fields = {
  /** The number of tokens in the vocabulary, which is padded beyond those of the tokenizer. */
  vocabularySize: count("vocab_size"),
  /** The number of decoder blocks. */
  numLayers: count("num_hidden_layers"),
  /** The number of query heads. */
  numQueryHeads: count("num_attention_heads"),
  /** The number of key and value heads; it divides `numQueryHeads`. */
  numKeyValueHeads: count("num_key_value_heads", {
    inFile: ({ raw }) => raw.num_key_value_heads === null ? raw.num_attention_heads as number : 32,
  }),
  /** The hidden size. */
  hiddenDim: count("hidden_size"),
  /** The intermediate size of the feed-forward layer. */
  intermediateDim: count("intermediate_size"),
  /** The head dimension. */
  headDim: count("head_dim", { inFile: 128 }),
  /** The base of the rotary frequencies. 10000 unless given. */
  ropeMaxWavelength: positive(null, { fallback: 10000 }),
  /** How the rotary embedding is stretched. Not at all unless given. */
  ropeScaling: optional(ropeScalingSchema, "a rotary scaling or null"),
  /** Added to the mean square in every norm. 1e-6 unless given. */
  layerNormEpsilon: positive("rms_norm_eps", { fallback: 1e-6 }),
  /** The share of activations dropped in training: 0, as no Qwen was trained with any. */
  dropout: optional(z.number().min(0).max(0), "0, as no Qwen was trained with any"),
  /** Whether the head is the token embedding. True unless given, as in Keras. */
  tieWordEmbeddings: flag("tie_word_embeddings", { fallback: true, inFile: false }),
  /** Whether the four projections of attention have biases. False unless given. */
  attentionBias: flag("attention_bias"),
  ...windowFields,
};

/** The fields that make a Qwen 3 backbone, named as in Keras. */
export interface Qwen3Config extends ConfigOf<typeof fields> {}

/** Qwen 3, and what has its architecture. */
export const qwen3 = defineArchitecture({
  title: "Qwen 3",
  name: "qwen3",
  modelTypes: ["qwen3"],
  fields,
  fixed: { hidden_act: fixed("silu"), partial_rotary_factor: refusedUnless(1) },
  inFile: { contextLength: 32_768, bosTokenId: null, eosTokenIds: [], padTokenId: null },
  text: () => ({ contextLength: 40_960, bosTokenId: 151_643, eosTokenIds: [151_645, 151_643], padTokenId: null }),
  context: ({ ropeScaling = null }, said) => stretchedContext(ropeScaling, said),
  endOfTurn: ["<|im_end|>"],
  presets: qwen3Presets,
  reads: [...ropeFields, ...windowFileFields],
  floats: ropeFloats,
  check: (config, name) => {
    const { numQueryHeads: heads, numKeyValueHeads: pairs, headDim, ropeScaling } = config;
    if (heads % pairs !== 0) {
      return `${name("numQueryHeads")} (${heads}) is not divisible by ${name("numKeyValueHeads")} (${pairs})`;
    }
    if (headDim % 2 !== 0) return `${name("headDim")} must be even, found ${headDim}`;
    return windowProblem(config) ?? (ropeScaling == null ? null : ropeScalingProblem(ropeScaling, headDim));
  },
  read: (file, { max_position_embeddings: context }) => {
    const { theta, scaling } = readRope(file, "Qwen 3", context as number);
    return { ropeMaxWavelength: theta, ropeScaling: scaling, ...readWindows(file) };
  },
  write: (config) => ({
    architectures: ["Qwen3ForCausalLM"],
    model_type: "qwen3",
    ...writeRope({ theta: config.ropeMaxWavelength ?? 10000, scaling: config.ropeScaling ?? null }),
    ...writeWindows(config),
    attention_dropout: 0,
  }),
  build,
});

function build(config: Qwen3Config, scope: ModelScope): Decoder {
  const { vocabularySize, hiddenDim, tieWordEmbeddings: isTied = true, layerNormEpsilon: epsilon = 1e-6 } = config;
  const { headDim, ropeMaxWavelength: base = 10000, ropeScaling: scaling = null } = config;
  const { compute } = scope;
  const tokens = declareTokens(scope, "model", { vocabularySize, hiddenDim, isTied, initializer: randomNormal(0.01) });
  const blocks = scope.blocks(
    "transformer_layer",
    "model.layers",
    config.numLayers,
    (block) => declareBlock(config, block),
  );
  const finalNorm = scope.norm("sequence_output_layernorm", "model.norm", hiddenDim);
  const norm = (scale: Variable, x: Tensor) => rmsNorm(x, scale.read(compute), { epsilon });
  const windows = windowsOf(config);

  function hidden(inputs: DecoderInputs): Tensor {
    const { rotate, gain } = rotation({ base, headDim, scaling }, inputs);
    const scale = gain * headDim ** -0.5;
    let x = embed(tokens, inputs.tokenIds, compute);
    blocks.forEach((block, layer) => {
      const a = norm(block.attentionNorm, x);
      const query = rotate(norm(block.queryNorm, applyDense(block.query, a)));
      const key = rotate(norm(block.keyNorm, applyDense(block.key, a)));
      const attrs = { scale, softCap: null, window: windows[layer]! };
      const mixed = attend(inputs, layer, { query, key, value: applyDense(block.value, a) }, attrs);
      x = x.add(applyDense(block.attentionOutput, mixed));
      x = activation(block.path, x.add(applyFeedforward(block, norm(block.feedforwardNorm, x))));
    });
    return activation("sequence_output_layernorm", norm(finalNorm, x));
  }

  return { embeddings: tokens.embeddings, blocks, hidden, logits: (states) => tokenLogits(tokens, states) };
}

function declareBlock(config: Qwen3Config, block: ModelScope) {
  const { hiddenDim, headDim, attentionBias: bias = false } = config;
  const initializer = randomNormal(0.02);
  return {
    path: block.path,
    ...declareAttention(block, { ...config, bias, outputBias: bias, initializer }),
    queryNorm: block.norm("self_attention/query_dense_layernorm", "self_attn.q_norm", headDim),
    keyNorm: block.norm("self_attention/key_dense_layernorm", "self_attn.k_norm", headDim),
    attentionNorm: block.norm("self_attention_layernorm", "input_layernorm", hiddenDim),
    ...declareFeedforward(block, { ...config, initializer }),
    feedforwardNorm: block.norm("feedforward_layernorm", "post_attention_layernorm", hiddenDim),
  };
}

/** The decoder of Qwen 3. */
export const Qwen3Backbone = qwen3.Backbone;
/** The decoder of Qwen 3. */
export type Qwen3Backbone = BackboneOf<Qwen3Config>;
