/**
 * Gemma 1 (arXiv 2403.08295) and Gemma 2 (arXiv 2408.00118), with Keras's variable paths and shapes.
 *
 * Reference: https://github.com/huggingface/transformers/tree/main/src/transformers/models/gemma2, whose logits these are.
 * What Gemma 2 adds to Gemma 1 is data: two more norms, soft caps, and a sliding window in every other layer.
 */
import { constant, type FloatDType, gelu, rmsNorm, rotaryEmbedding, type Tensor } from "@tessera/core";
import { gemmaAttentionScale, type GemmaConfig, gemmaLayerTypes } from "@tessera/convert";
import type { DeviceMesh, LayoutMap } from "@tessera/mesh";
import {
  activation,
  applyDense,
  contract,
  dtypePolicy,
  type EinsumDense,
  einsumDense,
  lookup,
  modelVariables,
  quantizeVariables,
  randomNormal,
  Scope,
  type Variable,
  zeros,
} from "@tessera/nn";
import type { Backbone, BackboneOptions, DecoderInputs } from "./backbone.ts";
import { attend } from "./cache.ts";
import { gemmaLayoutMap } from "./gemma_layout.ts";
import type { LayoutAxisOptions } from "./layout_axes.ts";

interface Block {
  readonly preAttentionNorm: Variable;
  readonly query: EinsumDense;
  readonly key: EinsumDense;
  readonly value: EinsumDense;
  readonly attentionOutput: EinsumDense;
  readonly postAttentionNorm: Variable | null;
  readonly preFfwNorm: Variable;
  readonly ffwGating: EinsumDense;
  readonly ffwGating2: EinsumDense;
  readonly ffwLinear: EinsumDense;
  readonly postFfwNorm: Variable | null;
}

/** The decoder of Gemma 1 and Gemma 2. It exists without values, so its summary costs nothing. */
export class GemmaBackbone implements Backbone {
  /** The name that `summary()` prints. */
  readonly name = "gemma_backbone";
  /** The fields that it was made from. */
  readonly config: GemmaConfig;
  /** The dtype of activations. */
  readonly compute: FloatDType;
  /** The dtype of the stored weights. */
  readonly variableDType: FloatDType;
  /** The shape of one layer's keys or values for one token: [keyHeads, headDim]. */
  readonly cacheShape: readonly [keyHeads: number, headDim: number];
  readonly #scope: Scope;
  readonly #embeddings: Variable;
  readonly #blocks: readonly Block[];
  readonly #finalNorm: Variable;

  /**
   * Makes the variables, without values, in a scope of their own or in that of a model which this is a part of.
   *
   * @throws {RangeError} when a field is out of range or two fields contradict each other.
   */
  constructor(config: GemmaConfig, options: BackboneOptions & { readonly scope?: Scope } = {}) {
    checkConfig(config);
    this.#scope = options.scope ?? new Scope();
    const policy = dtypePolicy(options.dtype ?? "float32");
    this.config = config;
    this.compute = policy.compute;
    this.variableDType = policy.variable;
    this.cacheShape = [config.numKeyValueHeads, config.headDim];
    const dtype = policy.variable;
    const { vocabularySize, hiddenDim, numLayers } = config;
    const scope = this.#scope;
    const others = scope.registry.variables.length;
    this.#embeddings = scope.scope("token_embedding").variable("embeddings", {
      shape: [vocabularySize, hiddenDim],
      summed: [1],
      fewestBits: 8,
      dtype,
      initializer: randomNormal(hiddenDim ** -0.5),
    });
    this.#blocks = Array.from(
      { length: numLayers },
      (_, i) => makeBlock(scope.scope(`decoder_block_${i}`), config, dtype),
    );
    this.#finalNorm = makeNorm(scope, "final_normalization", hiddenDim, dtype);
    if (options.quantize !== undefined) {
      quantizeVariables(scope.registry.variables.slice(others), options.quantize);
    }
  }

  /** All variables, those of adapters included. */
  get variables(): readonly Variable[] {
    return modelVariables(this.#scope.registry);
  }

  /** The layers that an adapter can be attached to. */
  get denses(): readonly EinsumDense[] {
    return this.#scope.registry.denses;
  }

  /** The number of tokens in the vocabulary. */
  get vocabularySize(): number {
    return this.config.vocabularySize;
  }

  /** The width of the hidden states. */
  get hiddenDim(): number {
    return this.config.hiddenDim;
  }

  /** The number of decoder blocks. */
  get numLayers(): number {
    return this.config.numLayers;
  }

  /** The published layouts of the variables of any Gemma on a mesh with a batch and a model axis; see `gemmaLayoutMap`. */
  static getLayoutMap<Axis extends string>(mesh: DeviceMesh<Axis>, options?: LayoutAxisOptions<Axis>): LayoutMap<Axis> {
    return gemmaLayoutMap(mesh, options);
  }

  /** The published layouts of the variables on a mesh with a batch and a model axis; see `gemmaLayoutMap`. */
  getLayoutMap<Axis extends string>(mesh: DeviceMesh<Axis>, options?: LayoutAxisOptions<Axis>): LayoutMap<Axis> {
    return gemmaLayoutMap(mesh, options);
  }

  /** The final hidden states of some tokens, [batch, time, hiddenDim]. */
  hidden(inputs: DecoderInputs): Tensor {
    return this.decode(this.embed(inputs.tokenIds), inputs);
  }

  /** What the first block reads in place of tokens [batch, time]: their embeddings times √hiddenDim. */
  embed(tokenIds: Tensor): Tensor {
    const embedded = lookup(this.#embeddings, tokenIds, this.compute);
    return activation("token_embedding", embedded).mul(Math.sqrt(this.config.hiddenDim));
  }

  /** The final hidden states [batch, time, hiddenDim] of what `embed` gives, or of what stands for it. */
  decode(embedded: Tensor, inputs: DecoderInputs): Tensor {
    const { config, compute } = this;
    const epsilon = config.layerNormEpsilon ?? 1e-6;
    const norm = (scale: Variable | null, x: Tensor) =>
      scale === null ? x : rmsNorm(x, scale.read(compute), { epsilon, offset: 1 });
    const kinds = gemmaLayerTypes(config);
    const frequencies = rotaryFrequencies(config);
    let x = embedded;
    this.#blocks.forEach((block, layer) => {
      const a = norm(block.preAttentionNorm, x);
      const query = rotaryEmbedding(applyDense(block.query, a), inputs.positions, frequencies);
      const key = rotaryEmbedding(applyDense(block.key, a), inputs.positions, frequencies);
      const mixed = attend(inputs, layer, { query, key, value: applyDense(block.value, a) }, {
        scale: gemmaAttentionScale(config),
        softCap: config.attentionLogitSoftCap ?? null,
        window: kinds[layer] === "sliding_attention" ? config.slidingWindowSize ?? 4096 : null,
      });
      x = x.add(norm(block.postAttentionNorm, applyDense(block.attentionOutput, mixed)));
      const f = norm(block.preFfwNorm, x);
      const gated = gelu(applyDense(block.ffwGating, f)).mul(applyDense(block.ffwGating2, f));
      x = activation(`decoder_block_${layer}`, x.add(norm(block.postFfwNorm, applyDense(block.ffwLinear, gated))));
    });
    return activation("final_normalization", norm(this.#finalNorm, x));
  }

  /** The logits of hidden states, [.., hiddenDim] to [.., vocabulary]: the head is the token embedding. */
  logits(hidden: Tensor): Tensor {
    const cap = this.config.finalLogitSoftCap ?? null;
    const logits = contract(hidden.rank === 3 ? "btd,vd->btv" : "bd,vd->bv", hidden, this.#embeddings);
    return cap === null ? logits : logits.mul(1 / cap).tanh().mul(cap);
  }
}

/** Kernels are stored as checkpoints have them, output axes first; the logical shapes are Keras's. */
function makeBlock(scope: Scope, config: GemmaConfig, dtype: FloatDType): Block {
  const { hiddenDim, headDim, numQueryHeads, numKeyValueHeads } = config;
  const width = config.intermediateDim / 2;
  const norm = (name: string) => makeNorm(scope, name, hiddenDim, dtype);
  const initializer = randomNormal(hiddenDim ** -0.5);
  const attention = scope.scope("attention");
  const heads = (name: string, equation: string, count: number) =>
    einsumDense(attention, name, {
      equation,
      shape: [count, hiddenDim, headDim],
      order: [0, 2, 1],
      dtype,
      initializer,
    });
  const preAttentionNorm = norm("pre_attention_norm");
  const query = heads("query", "btd,ndh->btnh", numQueryHeads);
  const key = heads("key", "bsd,kdh->bskh", numKeyValueHeads);
  const value = heads("value", "bsd,kdh->bskh", numKeyValueHeads);
  const attentionOutput = einsumDense(attention, "attention_output", {
    equation: "btnh,nhd->btd",
    shape: [numQueryHeads, headDim, hiddenDim],
    order: [2, 0, 1],
    dtype,
    initializer: randomNormal((numQueryHeads * headDim) ** -0.5),
  });
  const postAttentionNorm = config.usePostAttentionNorm ? norm("post_attention_norm") : null;
  const preFfwNorm = norm("pre_ffw_norm");
  const up = { equation: "btd,df->btf", shape: [hiddenDim, width], order: [1, 0], dtype, initializer };
  const ffwGating = einsumDense(scope, "ffw_gating", up);
  const ffwGating2 = einsumDense(scope, "ffw_gating_2", up);
  const ffwLinear = einsumDense(scope, "ffw_linear", {
    equation: "btf,fd->btd",
    shape: [width, hiddenDim],
    order: [1, 0],
    dtype,
    initializer: randomNormal(width ** -0.5),
  });
  const postFfwNorm = config.usePostFfwNorm ? norm("post_ffw_norm") : null;
  return {
    preAttentionNorm,
    query,
    key,
    value,
    attentionOutput,
    postAttentionNorm,
    preFfwNorm,
    ffwGating,
    ffwGating2,
    ffwLinear,
    postFfwNorm,
  };
}

function makeNorm(scope: Scope, name: string, width: number, dtype: FloatDType): Variable {
  return scope.scope(name).variable("scale", { shape: [width], dtype, initializer: zeros() });
}

/** Radians per position for each pair of a head's elements, [headDim/2]. */
function rotaryFrequencies({ headDim, ropeMaxWavelength = 10000 }: GemmaConfig): Tensor {
  const half = headDim / 2;
  return constant(Array.from({ length: half }, (_, i) => ropeMaxWavelength ** (-i / half)), [half]);
}

function checkConfig(config: GemmaConfig): void {
  const counts = {
    vocabularySize: config.vocabularySize,
    numLayers: config.numLayers,
    numQueryHeads: config.numQueryHeads,
    numKeyValueHeads: config.numKeyValueHeads,
    hiddenDim: config.hiddenDim,
    intermediateDim: config.intermediateDim,
    headDim: config.headDim,
    slidingWindowSize: config.slidingWindowSize ?? 1,
  };
  for (const [field, value] of Object.entries(counts)) {
    if (!Number.isInteger(value) || value < 1) {
      throw new RangeError(`Cannot make a Gemma backbone: ${field} must be a positive integer, found ${value}`);
    }
  }
  const positive = {
    layerNormEpsilon: config.layerNormEpsilon ?? 1e-6,
    ropeMaxWavelength: config.ropeMaxWavelength ?? 10000,
    attentionScale: config.attentionScale ?? 1,
    attentionLogitSoftCap: config.attentionLogitSoftCap ?? 1,
    finalLogitSoftCap: config.finalLogitSoftCap ?? 1,
  };
  for (const [field, value] of Object.entries(positive)) {
    if (!(value > 0 && Number.isFinite(value))) {
      throw new RangeError(`Cannot make a Gemma backbone: ${field} must be a positive number, found ${value}`);
    }
  }
  const { numQueryHeads, numKeyValueHeads, headDim, intermediateDim, layerTypes, numLayers, dropout = 0 } = config;
  if (numQueryHeads % numKeyValueHeads !== 0) {
    throw new RangeError(
      `Cannot make a Gemma backbone: numKeyValueHeads (${numKeyValueHeads}) must divide numQueryHeads (${numQueryHeads})`,
    );
  }
  for (const [field, value] of [["headDim", headDim], ["intermediateDim", intermediateDim]] as const) {
    if (value % 2 !== 0) throw new RangeError(`Cannot make a Gemma backbone: ${field} must be even, found ${value}`);
  }
  if (layerTypes !== undefined && layerTypes.length !== numLayers) {
    throw new RangeError(
      `Cannot make a Gemma backbone: layerTypes has ${layerTypes.length} entries for ${numLayers} layers`,
    );
  }
  if (dropout !== 0) {
    throw new RangeError(
      `Cannot make a Gemma backbone: dropout must be 0, found ${dropout}; no Gemma was trained with any`,
    );
  }
}
