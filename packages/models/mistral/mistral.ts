/**
 * Mistral 7B (arXiv 2310.06825), Nemo, Small, Large and Ministral, with Keras's variable paths and shapes.
 *
 * Reference: https://github.com/huggingface/transformers/tree/main/src/transformers/models/mistral, whose logits these are.
 * It is Llama 3 with a sliding window: in all layers of 7B v0.1, in none from v0.2 on, in some of a Ministral.
 */
import { rmsNorm, type Tensor } from "@tessera/core";
import { activation, applyDense, randomNormal, type Variable } from "@tessera/nn";
import { z } from "zod";
import { type BackboneOf, defineArchitecture } from "../architecture/architecture.ts";
import { attend } from "../architecture/attend.ts";
import type { Decoder, DecoderInputs } from "../architecture/backbone.ts";
import {
  type ConfigOf,
  count,
  countOrNone,
  fixed,
  flag,
  optional,
  positive,
  refusedUnless,
} from "../architecture/fields.ts";
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
import { mistralPresets } from "./presets.ts";

/** The fields that make a Mistral backbone, named as in Keras. */
const fields = {
  /** The number of tokens in the vocabulary. */
  vocabularySize: count("vocab_size"),
  /** The number of decoder blocks. */
  numLayers: count("num_hidden_layers"),
  /** The number of query heads. */
  numQueryHeads: count("num_attention_heads"),
  /** The number of key and value heads; it divides `numQueryHeads`. */
  numKeyValueHeads: count("num_key_value_heads", { inFile: 8 }),
  /** The hidden size. */
  hiddenDim: count("hidden_size"),
  /** The intermediate size of the feed-forward layer. */
  intermediateDim: count("intermediate_size"),
  /** The head dimension; `hiddenDim / numQueryHeads` unless given. */
  headDim: optional(z.number().int().positive(), "a positive integer", { hf: "head_dim" }),
  /** How many tokens a layer sees, the query's own included; all unless given. */
  slidingWindow: countOrNone("sliding_window", { inFile: 4096 }),
  /** Which layers see only the window; all unless given. */
  layerTypes: optional(z.array(z.enum(["full_attention", "sliding_attention"])).readonly(), "a list of layer types", {
    hf: "layer_types",
  }),
  /** The base of the rotary frequencies. 10000 unless given. */
  ropeMaxWavelength: positive(null, { fallback: 10000 }),
  /** How the rotary embedding is stretched; not at all unless given. */
  ropeScaling: optional(ropeScalingSchema, "a rotary scaling or null"),
  /** Added to the mean square in every norm. 1e-6 unless given; every published model has 1e-5. */
  layerNormEpsilon: positive("rms_norm_eps", { fallback: 1e-6 }),
  /** The share of activations dropped in training: 0, as no Mistral was trained with any. */
  dropout: optional(z.number().min(0).max(0), "0, as no Mistral was trained with any"),
  /** Whether the head is the token embedding. False unless given. */
  tieWordEmbeddings: flag("tie_word_embeddings"),
};

/** The fields that make a Mistral backbone, named as in Keras. */
export interface MistralConfig extends ConfigOf<typeof fields> {}

/** Mistral, and Ministral, which is a Mistral whose layers have windows of their own. */
export const mistral = defineArchitecture({
  title: "Mistral",
  name: "mistral",
  modelTypes: ["mistral", "ministral"],
  fields,
  fixed: { hidden_act: fixed("silu"), partial_rotary_factor: refusedUnless(1) },
  inFile: { contextLength: 131_072, bosTokenId: 1, eosTokenIds: [2], padTokenId: null },
  text: () => ({ contextLength: 32_768, bosTokenId: 1, eosTokenIds: [2], padTokenId: null }),
  context: ({ ropeScaling = null }, said) => stretchedContext(ropeScaling, said),
  endOfTurn: ["</s>"],
  presets: mistralPresets,
  reads: ropeFields,
  floats: ropeFloats,
  check: (config, name) => {
    const { numQueryHeads: heads, numKeyValueHeads: pairs, hiddenDim: hidden, numLayers, layerTypes, ropeScaling } =
      config;
    if (heads % pairs !== 0) {
      return `${name("numQueryHeads")} (${heads}) is not divisible by ${name("numKeyValueHeads")} (${pairs})`;
    }
    if (config.headDim === undefined && hidden % heads !== 0) {
      return `${name("hiddenDim")} (${hidden}) is not divisible by ${name("numQueryHeads")} (${heads}), and there is ` +
        `no ${name("headDim")}`;
    }
    if (headDimOf(config) % 2 !== 0) return `${name("headDim")} must be even, found ${headDimOf(config)}`;
    if (layerTypes !== undefined && layerTypes.length !== numLayers) {
      return `${name("layerTypes")} has ${layerTypes.length} entries for ${numLayers} layers`;
    }
    if (layerTypes?.includes("sliding_attention") && config.slidingWindow == null) {
      return `${name("layerTypes")} has layers with sliding_attention, but there is no ${name("slidingWindow")}`;
    }
    return ropeScaling == null ? null : ropeScalingProblem(ropeScaling, headDimOf(config));
  },
  read: (file, { max_position_embeddings: context }) => {
    const { theta, scaling } = readRope(file, "Mistral", context as number);
    return { ropeMaxWavelength: theta, ropeScaling: scaling };
  },
  write: (config) => ({
    // Transformers takes one window for all layers for a Mistral, and has another class for windows in some.
    ...(config.layerTypes === undefined
      ? { architectures: ["MistralForCausalLM"], model_type: "mistral" }
      : { architectures: ["MinistralForCausalLM"], model_type: "ministral" }),
    head_dim: headDimOf(config),
    ...writeRope({ theta: config.ropeMaxWavelength ?? 10000, scaling: config.ropeScaling ?? null }),
    attention_dropout: 0,
  }),
  build,
});

function headDimOf({ headDim, hiddenDim, numQueryHeads }: MistralConfig): number {
  return headDim ?? hiddenDim / numQueryHeads;
}

function build(config: MistralConfig, scope: ModelScope): Decoder {
  const { vocabularySize, hiddenDim, tieWordEmbeddings: isTied = false, layerNormEpsilon: epsilon = 1e-6 } = config;
  const { ropeMaxWavelength: base = 10000, ropeScaling: scaling = null, slidingWindow = null, layerTypes } = config;
  const headDim = headDimOf(config);
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

  function hidden(inputs: DecoderInputs): Tensor {
    const { rotate, gain } = rotation({ base, headDim, scaling }, inputs);
    let x = embed(tokens, inputs.tokenIds, compute);
    blocks.forEach((block, layer) => {
      const a = norm(block.attentionNorm, x);
      const [query, key] = [rotate(applyDense(block.query, a)), rotate(applyDense(block.key, a))];
      const mixed = attend(inputs, layer, { query, key, value: applyDense(block.value, a) }, {
        scale: gain * headDim ** -0.5,
        softCap: null,
        window: layerTypes?.[layer] === "full_attention" ? null : slidingWindow,
      });
      x = x.add(applyDense(block.attentionOutput, mixed));
      x = activation(block.path, x.add(applyFeedforward(block, norm(block.feedforwardNorm, x))));
    });
    return activation("sequence_output_layernorm", norm(finalNorm, x));
  }

  return { embeddings: tokens.embeddings, blocks, hidden, logits: (states) => tokenLogits(tokens, states) };
}

function declareBlock(config: MistralConfig, block: ModelScope) {
  const initializer = randomNormal(0.02);
  return {
    path: block.path,
    ...declareAttention(block, { ...config, headDim: headDimOf(config), initializer }),
    attentionNorm: block.norm("self_attention_layernorm", "input_layernorm", config.hiddenDim),
    ...declareFeedforward(block, { ...config, initializer }),
    feedforwardNorm: block.norm("feedforward_layernorm", "post_attention_layernorm", config.hiddenDim),
  };
}

/** The decoder of Mistral. */
export const MistralBackbone = mistral.Backbone;
/** The decoder of Mistral. */
export type MistralBackbone = BackboneOf<MistralConfig>;
