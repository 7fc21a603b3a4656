/**
 * Gemma 4's dense text decoders, with Keras's variable paths and shapes.
 *
 * Reference: https://github.com/huggingface/transformers/tree/main/src/transformers/models/gemma4, whose logits these are. What
 * is new since Gemma 3: global layers with heads of their own size, whose keys may be their values; layers at the end that use an
 * earlier layer's keys and values; and an input of its own for each layer, from a table of its own (Gemma 3n's per-layer
 * embeddings). Published files hold towers for images and sound beside the decoder, which are left out.
 */
import { constant, full, gelu, rmsNorm, rotaryEmbedding, type Tensor } from "@tessera/core";
import { activation, applyDense, type EinsumDense, lookup, ones, randomNormal, type Variable } from "@tessera/nn";
import { attendTo, type KeyValue, remember } from "../architecture/attend.ts";
import { type BackboneOf, defineArchitecture } from "../architecture/architecture.ts";
import type { Decoder, DecoderInputs, KeyValueProjections } from "../architecture/backbone.ts";
import { fixed } from "../architecture/fields.ts";
import type { LayerType } from "../architecture/hf_config.ts";
import type { ModelScope } from "../architecture/model_scope.ts";
import { declareTokens, embed, softCapped, tokenLogits } from "../architecture/tokens.ts";
import { applyGemmaFeedforward, declareGemmaFeedforward, type GemmaFeedforward } from "../gemma/gemma_layers.ts";
import {
  arrangeGemma4,
  checkGemma4,
  flattenGemma4,
  type Gemma4Config,
  gemma4Fields,
  gemma4LayerTypes,
  gemma4ModelTypes,
  gemma4Reads,
  readGemma4,
  writeGemma4,
} from "./config.ts";
import { gemma4Presets } from "./presets.ts";

const towers = {
  tensors: /^model\.(?:vision_tower|audio_tower|embed_vision|embed_audio|vision_embedder)\./,
  what: "towers for images and sound",
};
const hasTowers = ({ modelType = "gemma4_text" }: Gemma4Config) => !modelType.endsWith("_text");
const text = { contextLength: 131_072, bosTokenId: 2, eosTokenIds: [1], padTokenId: 0 };

/** Gemma 4's dense text decoders. */
export const gemma4 = defineArchitecture({
  title: "Gemma 4",
  name: "gemma4",
  modelTypes: gemma4ModelTypes,
  fields: gemma4Fields,
  fixed: { hidden_activation: fixed("gelu_pytorch_tanh") },
  inFile: text,
  text: () => text,
  endOfTurn: ["<turn|>"],
  presets: gemma4Presets,
  names: [{ from: /^language_model\.(?:model\.)?/, to: "model.language_model." }],
  leftOut: (config) => hasTowers(config) ? towers : null,
  reads: gemma4Reads,
  floats: ["rope_theta", "factor", "partial_rotary_factor"],
  prepare: flattenGemma4,
  arrange: arrangeGemma4,
  check: checkGemma4,
  read: readGemma4,
  write: writeGemma4,
  build,
});

interface Block {
  readonly path: string;
  readonly preAttentionNorm: Variable;
  readonly query: EinsumDense;
  readonly queryNorm: Variable;
  /** What makes its own keys and values; `null` where it uses those of an earlier block. */
  readonly own: (KeyValueProjections & { readonly keyNorm: Variable }) | null;
  readonly attentionOutput: EinsumDense;
  readonly postAttentionNorm: Variable;
  readonly preFfwNorm: Variable;
  readonly feedforward: GemmaFeedforward;
  readonly postFfwNorm: Variable;
  /** How its own input is added; `null` where it has none. */
  readonly input: { readonly gate: EinsumDense; readonly up: EinsumDense; readonly norm: Variable } | null;
  readonly layerScalar: Variable;
}

function build(config: Gemma4Config, scope: ModelScope): Decoder {
  const { vocabularySize, hiddenDim, numLayers, tieWordEmbeddings: isTied = true } = config;
  const { compute } = scope;
  const module = hasTowers(config) ? "model.language_model" : "model";
  const tokens = declareTokens(scope, module, { vocabularySize, hiddenDim, isTied });
  const inputs = declareInputs(config, scope, module);
  const kinds = gemma4LayerTypes(config);
  const blocks = scope.blocks(
    "decoder_block",
    `${module}.layers`,
    numLayers,
    (block, layer) => declareBlock(config, block, kinds[layer]!, layer >= numLayers - (config.numKvSharedLayers ?? 0)),
  );
  const finalNorm = scope.norm("final_normalization", `${module}.norm`, hiddenDim);
  const epsilon = config.layerNormEpsilon ?? 1e-6;
  const norm = (scale: Variable, x: Tensor) => rmsNorm(x, scale.read(compute), { epsilon });
  const unscaled = (x: Tensor) => rmsNorm(x, full([x.shape.at(-1)!], 1, x.dtype), { epsilon });

  /** What each layer reads of the tokens, [batch, time, numLayers, size]: from its own table, and from their embeddings. */
  function layerInputs(tokenIds: Tensor, embedded: Tensor): Tensor | null {
    if (inputs === null) return null;
    const { table, projection, norm: scale } = inputs;
    const inputSize = config.hiddenSizePerLayerInput!;
    const shape = [...tokenIds.shape, numLayers, inputSize];
    const own = lookup(table, tokenIds, compute).mul(Math.sqrt(inputSize)).reshape(shape);
    const projected = applyDense(projection, embedded).mul(hiddenDim ** -0.5).reshape(shape);
    return activation("per_layer_projection_norm", norm(scale, projected).add(own).mul(Math.SQRT1_2));
  }

  function hidden(given: DecoderInputs): Tensor {
    const rotations = { full_attention: rotation(config, "global"), sliding_attention: rotation(config, "local") };
    const embedded = embed(tokens, given.tokenIds, compute).mul(Math.sqrt(hiddenDim));
    const perLayer = layerInputs(given.tokenIds, embedded);
    /** The keys and values of the last layer of each kind that made its own. */
    const made = new Map<LayerType, KeyValue>();
    let x = embedded;
    blocks.forEach((block, layer) => {
      const kind = kinds[layer]!;
      const rotate = (heads: Tensor) => rotaryEmbedding(heads, given.positions, rotations[kind]);
      const a = norm(block.preAttentionNorm, x);
      if (block.own !== null) {
        const key = applyDense(block.own.key, a);
        const value = block.own.value === block.own.key ? key : applyDense(block.own.value, a);
        const pair = { key: rotate(norm(block.own.keyNorm, key)), value: unscaled(value) };
        made.set(kind, remember(given, layer, pair));
      }
      const query = rotate(norm(block.queryNorm, applyDense(block.query, a)));
      // Queries and keys are normalized instead of their products being scaled.
      const mixed = attendTo(given, query, made.get(kind)!, {
        scale: 1,
        softCap: null,
        window: kind === "sliding_attention" ? config.slidingWindowSize ?? 512 : null,
      });
      x = x.add(norm(block.postAttentionNorm, applyDense(block.attentionOutput, mixed)));
      const f = norm(block.preFfwNorm, x);
      x = x.add(norm(block.postFfwNorm, applyGemmaFeedforward(block.feedforward, f)));
      if (block.input !== null) {
        const { gate, up, norm: scale } = block.input;
        const input = perLayer!.sliceAxis(2, layer, layer + 1).reshape([...given.tokenIds.shape, -1]);
        x = x.add(norm(scale, applyDense(up, gelu(applyDense(gate, x)).mul(input))));
      }
      x = activation(block.path, x.mul(block.layerScalar.read(compute)));
    });
    return activation("final_normalization", norm(finalNorm, x));
  }

  return {
    embeddings: tokens.embeddings,
    blocks: blocks.map(({ own }) => own),
    hidden,
    logits: (states) => softCapped(tokenLogits(tokens, states), config.finalLogitSoftCap ?? null),
  };
}

/** The table of the layers' own inputs and what is projected to them; `null` where there are none. */
function declareInputs(config: Gemma4Config, scope: ModelScope, module: string) {
  const { hiddenSizePerLayerInput: inputSize = 0, numLayers, hiddenDim } = config;
  if (inputSize === 0) return null;
  return {
    table: scope.variable("per_layer_token_embedding/embeddings", `${module}.embed_tokens_per_layer.weight`, {
      shape: [config.vocabSizePerLayerInput ?? config.vocabularySize, numLayers * inputSize],
      layout: ["model", "batch"],
      summed: [1],
      fewestBits: 8,
      initializer: randomNormal(inputSize ** -0.5),
    }),
    projection: scope.dense("per_layer_model_projection", `${module}.per_layer_model_projection`, {
      equation: "btd,de->bte",
      shape: [hiddenDim, numLayers * inputSize],
      layout: ["batch", "model"],
    }),
    norm: scope.norm("per_layer_projection_norm", `${module}.per_layer_projection_norm`, inputSize),
  };
}

function declareBlock(config: Gemma4Config, block: ModelScope, kind: LayerType, isShared: boolean): Block {
  const { hiddenDim, numQueryHeads, numKeyValueHeads, attentionBias: bias = false } = config;
  const isGlobal = kind === "full_attention";
  const headDim = isGlobal ? config.globalHeadDim ?? config.headDim : config.headDim;
  const keyHeads = isGlobal ? config.numGlobalKeyValueHeads ?? numKeyValueHeads : numKeyValueHeads;
  const intermediateDim = config.intermediateDim * (isShared && config.useDoubleWideMlp ? 2 : 1);
  const inputSize = config.hiddenSizePerLayerInput ?? 0;
  const norm = (name: string, module: string, size = hiddenDim) => block.norm(name, module, size);
  const heads = (name: string, module: string, equation: string, count: number) =>
    block.dense(`attention/${name}`, `self_attn.${module}`, {
      equation,
      shape: [count, hiddenDim, headDim],
      layout: ["model", "batch", null],
      bias,
    });
  const own = () => {
    const key = heads("key", "k_proj", "bsd,kdh->bskh", keyHeads);
    const isValue = isGlobal && (config.attentionKeyEqualsValue ?? false);
    return {
      key,
      keyNorm: norm("attention/key_norm", "self_attn.k_norm", headDim),
      value: isValue ? key : heads("value", "v_proj", "bsd,kdh->bskh", keyHeads),
    };
  };
  // The first published files hold them all the same.
  if (isShared) { for (const name of ["k_proj", "v_proj", "k_norm", "v_norm"]) block.ignore(`self_attn.${name}`); }
  return {
    path: block.path,
    preAttentionNorm: norm("pre_attention_norm", "input_layernorm"),
    query: heads("query", "q_proj", "btd,ndh->btnh", numQueryHeads),
    queryNorm: norm("attention/query_norm", "self_attn.q_norm", headDim),
    own: isShared ? null : own(),
    attentionOutput: block.dense("attention/attention_output", "self_attn.o_proj", {
      equation: "btnh,nhd->btd",
      shape: [numQueryHeads, headDim, hiddenDim],
      layout: ["model", null, "batch"],
      bias,
    }),
    postAttentionNorm: norm("post_attention_norm", "post_attention_layernorm"),
    preFfwNorm: norm("pre_ffw_norm", "pre_feedforward_layernorm"),
    feedforward: declareGemmaFeedforward(block, { hiddenDim, intermediateDim }),
    postFfwNorm: norm("post_ffw_norm", "post_feedforward_layernorm"),
    input: inputSize === 0 ? null : {
      gate: block.dense("per_layer_input_gate", "per_layer_input_gate", {
        equation: "btd,de->bte",
        shape: [hiddenDim, inputSize],
        layout: ["batch", null],
      }),
      up: block.dense("per_layer_up_proj", "per_layer_projection", {
        equation: "bte,ed->btd",
        shape: [inputSize, hiddenDim],
        layout: [null, "batch"],
      }),
      norm: norm("post_per_layer_input_norm", "post_per_layer_input_norm"),
    },
    layerScalar: block.variable("layer_scalar", "layer_scalar", {
      shape: [],
      merge: [0],
      initializer: ones(),
      trainable: false,
    }),
  };
}

/** Radians per position for each pair of a head's elements in layers of one kind, [headDim/2]; 0 for pairs that are not turned. */
function rotation(config: Gemma4Config, kind: "local" | "global"): Tensor {
  const headDim = kind === "global" ? config.globalHeadDim ?? config.headDim : config.headDim;
  const base = config[`${kind}RopeWavelength`] ?? (kind === "global" ? 1_000_000 : 10_000);
  const factor = config[`${kind}RopeScalingFactor`] ?? 1;
  const turned = Math.floor((config[`${kind}RopePartialRotaryFactor`] ?? 1) * headDim / 2);
  const frequency = (i: number) => i < turned ? base ** (-2 * i / headDim) / factor : 0;
  return constant(Array.from({ length: headDim / 2 }, (_, i) => frequency(i)), [headDim / 2]);
}

/** A dense text decoder of Gemma 4. */
export const Gemma4Backbone = gemma4.Backbone;
/** A dense text decoder of Gemma 4. */
export type Gemma4Backbone = BackboneOf<Gemma4Config>;
