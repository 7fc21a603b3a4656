/**
 * Phi-3, Phi-3.5, Phi-4 and Phi-4-mini (arXiv 2404.14219, 2412.08905, 2503.01743), with Keras's variable paths and shapes.
 *
 * Reference: https://github.com/huggingface/transformers/tree/main/src/transformers/models/phi3, whose logits these are.
 * A Llama whose checkpoints hold query, key and value as one tensor, and gate and up as another. What tells the releases apart is
 * data: a window, LongRoPE for texts beyond those of pretraining, heads that are turned in part, a head that is the embedding.
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
import { declareTokens, embed, tokenLogits } from "../architecture/tokens.ts";
import { applyFeedforward } from "../architecture/transformer_layer.ts";
import {
  longRopeSchema,
  type Phi3Rope,
  phi3RopeFields,
  phi3Rotation,
  readPhi3Rope,
  ropeProblem,
  writePhi3Rope,
} from "./longrope.ts";
import { phi3Presets } from "./presets.ts";

/** The fields that make a Phi-3 backbone, named as in Keras. */
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
  /** How the rotary embedding is stretched for long texts. Not at all unless given. */
  ropeScaling: optional(longRopeSchema, "LongRoPE's factors or null"),
  /** The part of each head that the rotary embedding turns. All of it unless given. */
  partialRotaryFactor: optional(z.number().positive().max(1), "a number above 0 and up to 1"),
  /** How many tokens, itself included, a token looks back on. All before it unless given. */
  slidingWindowSize: countOrNone("sliding_window"),
  /** Added to the mean square in every norm. 1e-6 unless given; every Phi has 1e-5. */
  layerNormEpsilon: positive("rms_norm_eps", { fallback: 1e-6, inFile: 1e-5 }),
  /** The share of activations dropped in training: 0, as no Phi was trained with any. */
  dropout: optional(z.literal(0), "0, as no Phi was trained with any"),
  /** Whether the head is the token embedding (Phi-4-mini). False unless given. */
  tieWordEmbeddings: flag("tie_word_embeddings"),
};

/** The fields that make a Phi-3 backbone, named as in Keras. */
export interface Phi3Config extends ConfigOf<typeof fields> {}

/** Phi-3 to Phi-4-mini, and what has their architecture. */
export const phi3 = defineArchitecture({
  title: "Phi-3",
  name: "phi3",
  modelTypes: ["phi3"],
  fields,
  fixed: {
    hidden_act: fixed("silu"),
    resid_pdrop: fixed(0),
    embd_pdrop: fixed(0),
    attention_dropout: fixed(0),
    attention_bias: refusedUnless(false),
    mlp_bias: refusedUnless(false),
    lm_head_bias: refusedUnless(false),
  },
  inFile: { contextLength: 4096, bosTokenId: 1, eosTokenIds: [32_000], padTokenId: 32_000 },
  text: (config) => ({
    contextLength: config.ropeScaling == null ? 4096 : 131_072,
    bosTokenId: 1,
    eosTokenIds: [32_000],
    padTokenId: 32_000,
  }),
  endOfTurn: ["<|end|>", "<|im_end|>"],
  presets: phi3Presets,
  reads: phi3RopeFields,
  floats: ["rope_theta", "partial_rotary_factor", "attention_factor"],
  check: (config, name) => {
    const { numQueryHeads: heads, numKeyValueHeads: pairs, hiddenDim: hidden } = config;
    if (heads % pairs !== 0) {
      return `${name("numQueryHeads")} (${heads}) is not divisible by ${name("numKeyValueHeads")} (${pairs})`;
    }
    if (config.headDim === undefined && hidden % heads !== 0) {
      return `${name("hiddenDim")} (${hidden}) is not divisible by ${name("numQueryHeads")} (${heads}), and there is ` +
        `no ${name("headDim")}`;
    }
    return ropeProblem(ropeOf(config), headDimOf(config));
  },
  read: (file, { max_position_embeddings: context }) => {
    const { theta, part, scaling } = readPhi3Rope(file, context as number);
    return { ropeMaxWavelength: theta, partialRotaryFactor: part, ropeScaling: scaling };
  },
  write: (config, { contextLength }) => ({
    architectures: ["Phi3ForCausalLM"],
    model_type: "phi3",
    ...writePhi3Rope(ropeOf(config), contextLength),
  }),
  build,
});

function headDimOf({ headDim, hiddenDim, numQueryHeads }: Phi3Config): number {
  return headDim ?? hiddenDim / numQueryHeads;
}

function ropeOf({ ropeMaxWavelength = 10000, partialRotaryFactor = 1, ropeScaling = null }: Phi3Config): Phi3Rope {
  return { theta: ropeMaxWavelength, part: partialRotaryFactor, scaling: ropeScaling };
}

function build(config: Phi3Config, scope: ModelScope): Decoder {
  const { vocabularySize, hiddenDim, tieWordEmbeddings: isTied = false, layerNormEpsilon: epsilon = 1e-6 } = config;
  const { slidingWindowSize: window = null } = config;
  const headDim = headDimOf(config);
  const rope = ropeOf(config);
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
    const rotate = phi3Rotation(rope, headDim, inputs);
    const attrs = { scale: headDim ** -0.5, softCap: null, window };
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

  return {
    embeddings: tokens.embeddings,
    blocks,
    // The factors of a long text turn its first keys, too.
    ...(rope.scaling === null ? {} : { rereadBeyond: rope.scaling.pretrainingSequenceLength }),
    hidden,
    logits: (states) => tokenLogits(tokens, states),
  };
}

/** Heads and intermediate units lie over the model axis, hidden units over the batch axis. */
function declareBlock(config: Phi3Config, block: ModelScope) {
  const { hiddenDim, intermediateDim, numQueryHeads, numKeyValueHeads } = config;
  const headDim = headDimOf(config);
  const initializer = randomNormal(0.02);
  const heads = (equation: string, count: number) =>
    ({ equation, shape: [hiddenDim, count, headDim], layout: ["batch", "model", null], initializer }) as const;
  const units = {
    equation: "btd,df->btf",
    shape: [hiddenDim, intermediateDim],
    layout: ["batch", "model"],
    initializer,
  } as const;
  const attentionNorm = block.norm("pre_attention_layernorm", "input_layernorm", hiddenDim);
  const attention = block.scope("attention", "self_attn");
  const projections = attention.fused("qkv_proj", {
    query: heads("btd,dnh->btnh", numQueryHeads),
    key: heads("bsd,dkh->bskh", numKeyValueHeads),
    value: heads("bsd,dkh->bskh", numKeyValueHeads),
  });
  const attentionOutput = attention.dense("attention_output", "o_proj", {
    equation: "btnh,nhd->btd",
    shape: [numQueryHeads, headDim, hiddenDim],
    layout: ["model", null, "batch"],
    initializer,
  });
  const feedforwardNorm = block.norm("post_attention_layernorm", "post_attention_layernorm", hiddenDim);
  const { feedforward_gate_dense: gate, feedforward_intermediate_dense: up } = block.fused("mlp.gate_up_proj", {
    feedforward_gate_dense: units,
    feedforward_intermediate_dense: units,
  });
  const down = block.dense("feedforward_output_dense", "mlp.down_proj", {
    equation: "btf,fd->btd",
    shape: [intermediateDim, hiddenDim],
    layout: ["model", "batch"],
    initializer,
  });
  return { path: block.path, attentionNorm, ...projections, attentionOutput, feedforwardNorm, gate, up, down };
}

/** The decoder of Phi-3. */
export const Phi3Backbone = phi3.Backbone;
/** The decoder of Phi-3. */
export type Phi3Backbone = BackboneOf<Phi3Config>;
