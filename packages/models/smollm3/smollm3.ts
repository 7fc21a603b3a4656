/**
 * SmolLM 3 (https://hf.co/blog/smollm3): a Llama of which some layers turn nothing by its position (NoPE, arXiv 2501.18795).
 *
 * Reference: https://github.com/huggingface/transformers/tree/main/src/transformers/models/smollm3, whose logits these are.
 * Variables have the paths and shapes that Keras gives Llama and Mistral. Those of its SmolLM 3 name no layer for `o_proj` and
 * fit no layout map or adapter of another model.
 */
import { rmsNorm, type Tensor } from "@tessera/core";
import { checkJson } from "@tessera/files";
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
import type { HfConfig } from "../architecture/hf_config.ts";
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
import { smolLM3Presets } from "./presets.ts";

/** The fields that make a SmolLM 3 backbone, named as in Keras. */
const fields = {
  /** The number of tokens in the vocabulary. */
  vocabularySize: count("vocab_size"),
  /** The hidden size. */
  hiddenDim: count("hidden_size"),
  /** The intermediate size of the feed-forward layer. */
  intermediateDim: count("intermediate_size"),
  /** The number of decoder blocks. */
  numLayers: count("num_hidden_layers"),
  /** The number of query heads. */
  numAttentionHeads: count("num_attention_heads"),
  /** The number of key and value heads; it divides `numAttentionHeads`. */
  numKeyValueHeads: count("num_key_value_heads", { inFile: 4 }),
  /** The head dimension; `hiddenDim / numAttentionHeads` unless given. */
  headDim: optional(z.number().int().positive(), "a positive integer", { hf: "head_dim" }),
  /** Which layers turn queries and keys by their positions; all but every fourth unless given. */
  ropeLayerEnabledList: optional(z.array(z.boolean()).readonly(), "a list of true and false"),
  /** How many tokens a layer with a window sees, the query's own included; none has one unless given. */
  slidingWindow: countOrNone("sliding_window"),
  /** Which layers have the window; those that turn nothing unless given. */
  layerTypes: optional(z.array(z.enum(["full_attention", "sliding_attention"])).readonly(), "a list of layer types", {
    hf: "layer_types",
  }),
  /** The base of the rotary frequencies. 2000000 unless given. */
  ropeTheta: positive(null, { fallback: 2_000_000 }),
  /** How the rotary embedding is stretched; not at all unless given. */
  ropeScaling: optional(ropeScalingSchema, "a rotary scaling or null"),
  /** Added to the mean square in every norm. 1e-6 unless given. */
  layerNormEpsilon: positive("rms_norm_eps", { fallback: 1e-6 }),
  /** Whether the four projections of attention have biases. False unless given. */
  attentionBias: flag("attention_bias"),
  /** Whether the three projections of the feed-forward layer have biases. False unless given. */
  mlpBias: flag("mlp_bias"),
  /** Whether the head is the token embedding. True unless given. */
  tieWordEmbeddings: flag("tie_word_embeddings", { fallback: true }),
};

/** The fields that make a SmolLM 3 backbone, named as in Keras. */
export interface SmolLM3Config extends ConfigOf<typeof fields> {}

/** SmolLM 3. */
export const smolLM3 = defineArchitecture({
  title: "SmolLM3",
  name: "smol_lm3",
  modelTypes: ["smollm3"],
  fields,
  fixed: { hidden_act: fixed("silu"), partial_rotary_factor: refusedUnless(1) },
  inFile: { contextLength: 32_768, bosTokenId: 128_000, eosTokenIds: [128_001], padTokenId: 128_004 },
  text: () => ({ contextLength: 65_536, bosTokenId: 128_000, eosTokenIds: [128_001], padTokenId: 128_004 }),
  context: ({ ropeScaling = null }, said) => stretchedContext(ropeScaling, said),
  endOfTurn: ["<|im_end|>"],
  presets: smolLM3Presets,
  reads: [...ropeFields, "use_sliding_window", "no_rope_layers", "no_rope_layer_interval"],
  floats: ropeFloats,
  check: (config, name) => {
    const { numAttentionHeads: heads, numKeyValueHeads: pairs, hiddenDim: hidden, ropeScaling } = config;
    if (heads % pairs !== 0) {
      return `${name("numAttentionHeads")} (${heads}) is not divisible by ${name("numKeyValueHeads")} (${pairs})`;
    }
    if (config.headDim === undefined && hidden % heads !== 0) {
      return `${name("hiddenDim")} (${hidden}) is not divisible by ${
        name("numAttentionHeads")
      } (${heads}), and there ` +
        `is no ${name("headDim")}`;
    }
    if (headDimOf(config) % 2 !== 0) return `${name("headDim")} must be even, found ${headDimOf(config)}`;
    for (const list of ["ropeLayerEnabledList", "layerTypes"] as const) {
      const entries = config[list]?.length ?? config.numLayers;
      if (entries !== config.numLayers) return `${name(list)} has ${entries} entries for ${config.numLayers} layers`;
    }
    if (config.layerTypes?.includes("sliding_attention") && config.slidingWindow == null) {
      return `${name("layerTypes")} has layers with sliding_attention, but there is no ${name("slidingWindow")}`;
    }
    return ropeScaling == null ? null : ropeScalingProblem(ropeScaling, headDimOf(config));
  },
  read,
  write: (config) => ({
    architectures: ["SmolLM3ForCausalLM"],
    model_type: "smollm3",
    no_rope_layers: rotates(config).map(Number),
    use_sliding_window: config.slidingWindow != null,
    ...writeRope({ theta: config.ropeTheta ?? 2_000_000, scaling: config.ropeScaling ?? null }),
    attention_dropout: 0,
  }),
  build,
});

const layersSchema = z.looseObject({
  use_sliding_window: z.boolean().nullish(),
  no_rope_layers: z.array(z.union([z.literal([0, 1]).transform(Boolean), z.boolean()])).nullish(),
  no_rope_layer_interval: z.number().int().positive().nullish(),
});

/** What follows from several fields of a file: which layers rotate, despite the name of `no_rope_layers`, and which have windows. */
function read(file: HfConfig, parsed: Readonly<Record<string, unknown>>): Partial<SmolLM3Config> {
  const { path, raw } = file;
  const { no_rope_layers: named, no_rope_layer_interval: interval, ...rest } = checkJson(path, raw, layersSchema);
  const numLayers = parsed.num_hidden_layers as number;
  const usesWindow = rest.use_sliding_window ?? false;
  // Transformers then has a window or not, depending on which of its kernels computes attention.
  if (!usesWindow && (parsed.layer_types as string[] | null | undefined)?.includes("sliding_attention")) {
    throw new TypeError(
      `Cannot use "${path}": "layer_types" has layers with sliding_attention, but "use_sliding_window" is not true`,
    );
  }
  // What Transformers takes where a file names no base.
  const based = { ...file, raw: { ...raw, rope_theta: raw.rope_theta ?? 2_000_000 } };
  const { theta, scaling } = readRope(based, "SmolLM3", parsed.max_position_embeddings as number);
  return {
    ropeLayerEnabledList: named?.slice(0, numLayers) ?? everyOther(numLayers, interval ?? 4),
    ...(usesWindow ? {} : { slidingWindow: null }),
    ropeTheta: theta,
    ropeScaling: scaling,
  };
}

/** All layers but every `interval`-th. */
function everyOther(numLayers: number, interval: number): boolean[] {
  return Array.from({ length: numLayers }, (_, layer) => (layer + 1) % interval !== 0);
}

/** Which layers turn queries and keys by their positions. */
function rotates({ ropeLayerEnabledList, numLayers }: SmolLM3Config): readonly boolean[] {
  return ropeLayerEnabledList ?? everyOther(numLayers, 4);
}

function headDimOf({ headDim, hiddenDim, numAttentionHeads }: SmolLM3Config): number {
  return headDim ?? hiddenDim / numAttentionHeads;
}

function build(config: SmolLM3Config, scope: ModelScope): Decoder {
  const { vocabularySize, hiddenDim, tieWordEmbeddings: isTied = true, layerNormEpsilon: epsilon = 1e-6 } = config;
  const { ropeTheta: base = 2_000_000, ropeScaling: scaling = null, slidingWindow = null, layerTypes } = config;
  const [headDim, rotated] = [headDimOf(config), rotates(config)];
  const hasWindow = rotated.map((isRotated, layer) =>
    layerTypes === undefined ? !isRotated : layerTypes[layer] === "sliding_attention"
  );
  const { compute } = scope;
  const tokens = declareTokens(scope, "model", { vocabularySize, hiddenDim, isTied });
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
      const turn = (projected: Tensor) => rotated[layer] ? rotate(projected) : projected;
      const [query, key] = [turn(applyDense(block.query, a)), turn(applyDense(block.key, a))];
      const mixed = attend(inputs, layer, { query, key, value: applyDense(block.value, a) }, {
        // What makes rotated queries and keys longer leaves the others as they are.
        scale: (rotated[layer] ? gain : 1) * headDim ** -0.5,
        softCap: null,
        window: hasWindow[layer] ? slidingWindow : null,
      });
      x = x.add(applyDense(block.attentionOutput, mixed));
      x = activation(block.path, x.add(applyFeedforward(block, norm(block.feedforwardNorm, x))));
    });
    return activation("sequence_output_layernorm", norm(finalNorm, x));
  }

  return { embeddings: tokens.embeddings, blocks, hidden, logits: (states) => tokenLogits(tokens, states) };
}

function declareBlock(config: SmolLM3Config, block: ModelScope) {
  const { hiddenDim, numAttentionHeads: numQueryHeads, attentionBias: bias = false, mlpBias = false } = config;
  const initializer = randomNormal(0.02);
  const heads = { ...config, numQueryHeads, headDim: headDimOf(config) };
  return {
    path: block.path,
    ...declareAttention(block, { ...heads, bias, outputBias: bias, initializer }),
    attentionNorm: block.norm("self_attention_layernorm", "input_layernorm", hiddenDim),
    ...declareFeedforward(block, { ...config, bias: mlpBias, initializer }),
    feedforwardNorm: block.norm("feedforward_layernorm", "post_attention_layernorm", hiddenDim),
  };
}

/** The decoder of SmolLM 3. */
export const SmolLM3Backbone = smolLM3.Backbone;
/** The decoder of SmolLM 3. */
export type SmolLM3Backbone = BackboneOf<SmolLM3Config>;
