/**
 * Llama 3, 3.1, 3.2 and 3.3 (arXiv 2407.21783), with Keras's variable paths and shapes.
 *
 * Reference: https://github.com/huggingface/transformers/tree/main/src/transformers/models/llama, whose logits these are.
 * What tells the releases apart is data: rotary frequencies that are stretched for long texts from 3.1 on, and a head that is
 * the token embedding in the small models of 3.2. Models made of it may have biases, and rotary frequencies of other kinds.
 */
import { rmsNorm, type Tensor } from "@tessera/core";
import { activation, applyDense, randomNormal, type Variable } from "@tessera/nn";
import { type BackboneOf, defineArchitecture } from "../architecture/architecture.ts";
import { attend } from "../architecture/attend.ts";
import type { Decoder, DecoderInputs } from "../architecture/backbone.ts";
import { type ConfigOf, count, fixed, flag, optional, positive, refusedUnless } from "../architecture/fields.ts";
import type { ModelScope } from "../architecture/model_scope.ts";
import {
  readRope,
  ropeFields,
  ropeFloats,
  type RopeScaling,
  ropeScalingProblem,
  ropeScalingSchema,
  stretchedContext,
  writeRope,
} from "../architecture/rope_scaling.ts";
import { rotation } from "../architecture/rotary.ts";
import { declareTokens, embed, tokenLogits } from "../architecture/tokens.ts";
import { applyFeedforward, declareAttention, declareFeedforward } from "../architecture/transformer_layer.ts";
import { llamaPresets } from "./presets.ts";
import { z } from "zod";

/** The number of a stretched rotary embedding, or none. */
const stretching = () => optional(z.number().nullable(), "a positive number");

/** The fields that make a Llama backbone, named as in Keras. */
const fields = {
  /** The number of tokens in the vocabulary. */
  vocabularySize: count("vocab_size"),
  /** The number of decoder blocks. */
  numLayers: count("num_hidden_layers"),
  /** The number of query heads. */
  numQueryHeads: count("num_attention_heads"),
  /** The number of key and value heads; it divides `numQueryHeads`. */
  numKeyValueHeads: count("num_key_value_heads", { inFile: ({ raw }) => raw.num_attention_heads as number }),
  /** The hidden size. */
  hiddenDim: count("hidden_size"),
  /** The intermediate size of the feed-forward layer. */
  intermediateDim: count("intermediate_size"),
  /** The head dimension; `hiddenDim / numQueryHeads` unless given. */
  headDim: optional(z.number().int().positive(), "a positive integer", { hf: "head_dim" }),
  /** The base of the rotary frequencies. 10000 unless given. */
  ropeMaxWavelength: positive(null, { fallback: 10000 }),
  /** What the frequencies of long wavelengths are divided by (Llama 3.1); this and the three fields below come together. */
  ropeFrequencyAdjustmentFactor: stretching(),
  /** Wavelengths longer than `ropePretrainingSequenceLength` over this are stretched in full. */
  ropeLowFreqFactor: stretching(),
  /** Wavelengths shorter than `ropePretrainingSequenceLength` over this stay as they are. */
  ropeHighFreqFactor: stretching(),
  /** The context before it was stretched, in tokens. */
  ropePretrainingSequenceLength: stretching(),
  /** Another way of stretching, in place of the four fields above. None unless given. */
  ropeScaling: optional(ropeScalingSchema, "a rotary scaling or null"),
  /** Added to the mean square in every norm. 1e-6 unless given; every Llama 3 has 1e-5. */
  layerNormEpsilon: positive("rms_norm_eps", { fallback: 1e-6 }),
  /** The share of activations dropped in training: 0, as no Llama 3 was trained with any. */
  dropout: optional(z.number().min(0).max(0), "0, as no Llama 3 was trained with any"),
  /** Whether the head is the token embedding (Llama 3.2). False unless given. */
  tieWordEmbeddings: flag("tie_word_embeddings"),
  /** Whether the four projections of attention have biases. False unless given. */
  attentionBias: flag("attention_bias"),
  /** Whether the three projections of the feed-forward layer have biases. False unless given. */
  mlpBias: flag("mlp_bias"),
};

/** The fields that make a Llama backbone, named as in Keras. */
export interface LlamaConfig extends ConfigOf<typeof fields> {}

/** Llama 3 to 3.3, and what has their architecture. */
export const llama = defineArchitecture({
  title: "Llama",
  name: "llama3",
  modelTypes: ["llama"],
  fields,
  fixed: { hidden_act: fixed("silu"), partial_rotary_factor: refusedUnless(1) },
  inFile: { contextLength: 2048, bosTokenId: 1, eosTokenIds: [2], padTokenId: null },
  text: (config) => ({
    contextLength: config.ropePretrainingSequenceLength == null ? 8192 : 131_072,
    bosTokenId: 128_000,
    eosTokenIds: [128_001],
    padTokenId: null,
  }),
  context: (config, said) => stretchedContext(llamaScaling(config), said),
  endOfTurn: ["<|eot_id|>", "<|eom_id|>"],
  presets: llamaPresets,
  reads: ropeFields,
  floats: ropeFloats,
  check: (config, name) => {
    const { numQueryHeads: heads, numKeyValueHeads: pairs, hiddenDim: hidden } = config;
    if (heads % pairs !== 0) {
      return `${name("numQueryHeads")} (${heads}) is not divisible by ${name("numKeyValueHeads")} (${pairs})`;
    }
    if (config.headDim === undefined && hidden % heads !== 0) {
      return `${name("hiddenDim")} (${hidden}) is not divisible by ${name("numQueryHeads")} (${heads}), and there is ` +
        `no ${name("headDim")}`;
    }
    if (llamaHeadDim(config) % 2 !== 0) return `${name("headDim")} must be even, found ${llamaHeadDim(config)}`;
    return scalingProblem(config);
  },
  read: (file, { max_position_embeddings: context }) => {
    const { theta, scaling } = readRope(file, "Llama", context as number);
    return { ropeMaxWavelength: theta, ...fieldsOfScaling(scaling) };
  },
  write: (config) => {
    const { hiddenDim, numQueryHeads } = config;
    if (hiddenDim % numQueryHeads !== 0) {
      throw new TypeError(
        `Cannot describe the backbone as a Llama: Transformers wants hiddenDim (${hiddenDim}) to be a multiple of ` +
          `numQueryHeads (${numQueryHeads}), whatever headDim is`,
      );
    }
    return {
      architectures: ["LlamaForCausalLM"],
      model_type: "llama",
      head_dim: llamaHeadDim(config),
      ...writeRope({ theta: config.ropeMaxWavelength ?? 10000, scaling: llamaScaling(config) }),
      attention_dropout: 0,
    };
  },
  build,
});

/** The head dimension. */
export function llamaHeadDim({ headDim, hiddenDim, numQueryHeads }: LlamaConfig): number {
  return headDim ?? hiddenDim / numQueryHeads;
}

const llama3Fields = [
  "ropeFrequencyAdjustmentFactor",
  "ropeLowFreqFactor",
  "ropeHighFreqFactor",
  "ropePretrainingSequenceLength",
] as const;

/** Keras has a field for each number of Llama 3.1's scaling; the other kinds are one field. */
function fieldsOfScaling(scaling: RopeScaling | null): Partial<LlamaConfig> {
  if (scaling?.type !== "llama3") return { ropeScaling: scaling };
  return {
    ropeFrequencyAdjustmentFactor: scaling.factor,
    ropeLowFreqFactor: scaling.lowFreqFactor,
    ropeHighFreqFactor: scaling.highFreqFactor,
    ropePretrainingSequenceLength: scaling.pretrainingSequenceLength,
    ropeScaling: null,
  };
}

/** How the rotary embedding is stretched; `null` for not at all. */
export function llamaScaling(config: LlamaConfig): RopeScaling | null {
  if (config.ropeScaling != null) return config.ropeScaling;
  if (config.ropeFrequencyAdjustmentFactor == null) return null;
  return {
    type: "llama3",
    factor: config.ropeFrequencyAdjustmentFactor,
    lowFreqFactor: config.ropeLowFreqFactor!,
    highFreqFactor: config.ropeHighFreqFactor!,
    pretrainingSequenceLength: config.ropePretrainingSequenceLength!,
  };
}

function scalingProblem(config: LlamaConfig): string | null {
  const given = llama3Fields.filter((field) => config[field] != null);
  if (config.ropeScaling != null) {
    return given.length > 0
      ? `ropeScaling and ${given.join(", ")} exclude each other`
      : ropeScalingProblem(config.ropeScaling, llamaHeadDim(config));
  }
  if (given.length === 0) return null;
  const missing = llama3Fields.filter((field) => config[field] == null);
  if (missing.length > 0) return `${llama3Fields.join(", ")} come together, found no ${missing.join(" and no ")}`;
  const [low, high] = [config.ropeLowFreqFactor!, config.ropeHighFreqFactor!];
  const wrong = llama3Fields.find((field) => !(config[field]! > 0 && Number.isFinite(config[field])));
  if (wrong !== undefined) return `${wrong} must be a positive number, found ${config[wrong]}`;
  return low < high ? null : `ropeLowFreqFactor (${low}) must be less than ropeHighFreqFactor (${high})`;
}

function build(config: LlamaConfig, scope: ModelScope): Decoder {
  const { vocabularySize, hiddenDim, tieWordEmbeddings: isTied = false, layerNormEpsilon: epsilon = 1e-6 } = config;
  const { ropeMaxWavelength: base = 10000 } = config;
  const headDim = llamaHeadDim(config);
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
    const { rotate, gain } = rotation({ base, headDim, scaling: llamaScaling(config) }, inputs);
    const attrs = { scale: gain * headDim ** -0.5, softCap: null, window: null };
    let x = embed(tokens, inputs.tokenIds, compute);
    blocks.forEach((block, layer) => {
      const a = norm(block.attentionNorm, x);
      const [query, key] = [rotate(applyDense(block.query, a)), rotate(applyDense(block.key, a))];
      const mixed = attend(inputs, layer, { query, key, value: applyDense(block.value, a) }, attrs);
      x = x.add(applyDense(block.attentionOutput, mixed));
      x = activation(block.path, x.add(applyFeedforward(block, norm(block.feedforwardNorm, x))));
    });
    return activation("sequence_output_layernorm", norm(finalNorm, x));
  }

  return { embeddings: tokens.embeddings, blocks, hidden, logits: (states) => tokenLogits(tokens, states) };
}

function declareBlock(config: LlamaConfig, block: ModelScope) {
  const { hiddenDim, attentionBias: bias = false, mlpBias = false } = config;
  const initializer = randomNormal(0.02);
  return {
    path: block.path,
    ...declareAttention(block, { ...config, headDim: llamaHeadDim(config), bias, outputBias: bias, initializer }),
    attentionNorm: block.norm("self_attention_layernorm", "input_layernorm", hiddenDim),
    ...declareFeedforward(block, { ...config, bias: mlpBias, initializer }),
    feedforwardNorm: block.norm("feedforward_layernorm", "post_attention_layernorm", hiddenDim),
  };
}

/** The decoder of Llama 3. */
export const Llama3Backbone = llama.Backbone;
/** The decoder of Llama 3. */
export type Llama3Backbone = BackboneOf<LlamaConfig>;
