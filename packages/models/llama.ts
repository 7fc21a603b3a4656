/**
 * Llama 3, 3.1, 3.2 and 3.3 (arXiv 2407.21783), with Keras's variable paths and shapes.
 *
 * Reference: https://github.com/huggingface/transformers/tree/main/src/transformers/models/llama, whose logits these are.
 * What tells the releases apart is data: rotary frequencies that are stretched for long texts from 3.1 on, and a head that is
 * the token embedding in the small models of 3.2. Models made of it may have biases, and rotary frequencies of other kinds.
 */
import { type FloatDType, rmsNorm, silu, type Tensor } from "@tessera/core";
import { type LlamaConfig, llamaHeadDim } from "@tessera/convert";
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
  ones,
  quantizeVariables,
  randomNormal,
  Scope,
  type Variable,
} from "@tessera/nn";
import type { Backbone, BackboneOptions, DecoderInputs } from "./backbone.ts";
import { attend } from "./cache.ts";
import type { LayoutAxisOptions } from "./layout_axes.ts";
import { llamaLayoutMap } from "./llama_layout.ts";
import { llamaRotation, ropeProblem } from "./llama_rope.ts";

interface Block {
  readonly query: EinsumDense;
  readonly key: EinsumDense;
  readonly value: EinsumDense;
  readonly attentionOutput: EinsumDense;
  readonly attentionNorm: Variable;
  readonly up: EinsumDense;
  readonly gate: EinsumDense;
  readonly down: EinsumDense;
  readonly feedforwardNorm: Variable;
}

/** The decoder of Llama 3. It exists without values, so its summary costs nothing. */
export class Llama3Backbone implements Backbone {
  /** The name that `summary()` prints. */
  readonly name = "llama3_backbone";
  /** The fields that it was made from. */
  readonly config: LlamaConfig;
  /** The dtype of activations. */
  readonly compute: FloatDType;
  /** The dtype of the stored weights. */
  readonly variableDType: FloatDType;
  /** The shape of one layer's keys or values for one token: [keyHeads, headDim]. */
  readonly cacheShape: readonly [keyHeads: number, headDim: number];
  readonly #scope = new Scope();
  readonly #embeddings: Variable;
  readonly #reverseEmbeddings: Variable | null;
  readonly #blocks: readonly Block[];
  readonly #finalNorm: Variable;

  /**
   * Makes the variables, without values.
   *
   * @throws {RangeError} when a field is out of range or two fields contradict each other.
   */
  constructor(config: LlamaConfig, options: BackboneOptions = {}) {
    checkConfig(config);
    const policy = dtypePolicy(options.dtype ?? "float32");
    this.config = config;
    this.compute = policy.compute;
    this.variableDType = policy.variable;
    this.cacheShape = [config.numKeyValueHeads, llamaHeadDim(config)];
    const dtype = policy.variable;
    const { vocabularySize, hiddenDim, numLayers, tieWordEmbeddings = false } = config;
    const scope = this.#scope;
    const embedding = scope.scope("token_embedding");
    this.#embeddings = embedding.variable("embeddings", {
      shape: [vocabularySize, hiddenDim],
      summed: [1],
      fewestBits: 8,
      dtype,
      initializer: randomNormal(0.01),
    });
    this.#reverseEmbeddings = tieWordEmbeddings ? null : embedding.variable("reverse_embeddings", {
      shape: [hiddenDim, vocabularySize],
      summed: [0],
      fewestBits: 8,
      order: [1, 0],
      dtype,
      initializer: randomNormal(0.02),
    });
    this.#blocks = Array.from(
      { length: numLayers },
      (_, i) => makeBlock(scope.scope(`transformer_layer_${i}`), config, dtype),
    );
    this.#finalNorm = makeNorm(scope, "sequence_output_layernorm", hiddenDim, dtype);
    if (options.quantize !== undefined) quantizeVariables(this.variables, options.quantize);
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

  /** The layouts of the variables on a mesh with a batch and a model axis; see `llamaLayoutMap`. */
  getLayoutMap<Axis extends string>(mesh: DeviceMesh<Axis>, options?: LayoutAxisOptions<Axis>): LayoutMap<Axis> {
    return llamaLayoutMap(mesh, options);
  }

  /** The final hidden states of some tokens, [batch, time, hiddenDim]. */
  hidden(inputs: DecoderInputs): Tensor {
    const { config, compute } = this;
    const epsilon = config.layerNormEpsilon ?? 1e-6;
    const norm = (scale: Variable, x: Tensor) => rmsNorm(x, scale.read(compute), { epsilon });
    const headDim = llamaHeadDim(config);
    const { rotate, gain } = llamaRotation(config, inputs);
    const scale = gain * headDim ** -0.5;
    let x = activation("token_embedding", lookup(this.#embeddings, inputs.tokenIds, compute));
    this.#blocks.forEach((block, layer) => {
      const a = norm(block.attentionNorm, x);
      const [query, key] = [rotate(applyDense(block.query, a)), rotate(applyDense(block.key, a))];
      const parts = { query, key, value: applyDense(block.value, a) };
      const mixed = attend(inputs, layer, parts, { scale, softCap: null, window: null });
      x = x.add(applyDense(block.attentionOutput, mixed));
      const f = norm(block.feedforwardNorm, x);
      const gated = silu(applyDense(block.gate, f)).mul(applyDense(block.up, f));
      x = activation(`transformer_layer_${layer}`, x.add(applyDense(block.down, gated)));
    });
    return activation("sequence_output_layernorm", norm(this.#finalNorm, x));
  }

  /** The logits of hidden states, [.., hiddenDim] to [.., vocabulary]: the head is its own, or the token embedding. */
  logits(hidden: Tensor): Tensor {
    const rows = hidden.rank === 3 ? "bt" : "b";
    return this.#reverseEmbeddings === null
      ? contract(`${rows}d,vd->${rows}v`, hidden, this.#embeddings)
      : contract(`${rows}d,dv->${rows}v`, hidden, this.#reverseEmbeddings);
  }
}

/** Kernels are stored as checkpoints have them, output axes first; the logical shapes are Keras's. */
function makeBlock(scope: Scope, config: LlamaConfig, dtype: FloatDType): Block {
  const { hiddenDim, intermediateDim, numQueryHeads, numKeyValueHeads, attentionBias = false, mlpBias = false } =
    config;
  const headDim = llamaHeadDim(config);
  const initializer = randomNormal(0.02);
  const attention = scope.scope("self_attention");
  const heads = (name: string, equation: string, count: number) =>
    einsumDense(attention, name, {
      equation,
      shape: [hiddenDim, count, headDim],
      order: [1, 2, 0],
      dtype,
      initializer,
      bias: attentionBias,
    });
  const feedforward = (name: string, equation: string, shape: [input: number, output: number]) =>
    einsumDense(scope, name, { equation, shape, order: [1, 0], dtype, initializer, bias: mlpBias });
  return {
    query: heads("query", "btd,dnh->btnh", numQueryHeads),
    key: heads("key", "bsd,dkh->bskh", numKeyValueHeads),
    value: heads("value", "bsd,dkh->bskh", numKeyValueHeads),
    attentionOutput: einsumDense(attention, "attention_output", {
      equation: "btnh,nhd->btd",
      shape: [numQueryHeads, headDim, hiddenDim],
      order: [2, 0, 1],
      dtype,
      initializer,
      bias: attentionBias,
    }),
    attentionNorm: makeNorm(scope, "self_attention_layernorm", hiddenDim, dtype),
    up: feedforward("feedforward_intermediate_dense", "btd,df->btf", [hiddenDim, intermediateDim]),
    gate: feedforward("feedforward_gate_dense", "btd,df->btf", [hiddenDim, intermediateDim]),
    down: feedforward("feedforward_output_dense", "btf,fd->btd", [intermediateDim, hiddenDim]),
    feedforwardNorm: makeNorm(scope, "feedforward_layernorm", hiddenDim, dtype),
  };
}

function makeNorm(scope: Scope, name: string, width: number, dtype: FloatDType): Variable {
  return scope.scope(name).variable("scale", { shape: [width], dtype, initializer: ones() });
}

function checkConfig(config: LlamaConfig): void {
  const fail = (problem: string): never => {
    throw new RangeError(`Cannot make a Llama backbone: ${problem}`);
  };
  const { numQueryHeads, numKeyValueHeads, hiddenDim, dropout = 0 } = config;
  const counts = {
    vocabularySize: config.vocabularySize,
    numLayers: config.numLayers,
    numQueryHeads,
    numKeyValueHeads,
    hiddenDim,
    intermediateDim: config.intermediateDim,
    headDim: config.headDim ?? 2,
  };
  for (const [field, value] of Object.entries(counts)) {
    if (!Number.isInteger(value) || value < 1) fail(`${field} must be a positive integer, found ${value}`);
  }
  const positive = {
    layerNormEpsilon: config.layerNormEpsilon ?? 1e-6,
    ropeMaxWavelength: config.ropeMaxWavelength ?? 10000,
  };
  for (const [field, value] of Object.entries(positive)) {
    if (!(value > 0 && Number.isFinite(value))) fail(`${field} must be a positive number, found ${value}`);
  }
  if (numQueryHeads % numKeyValueHeads !== 0) {
    fail(`numKeyValueHeads (${numKeyValueHeads}) must divide numQueryHeads (${numQueryHeads})`);
  }
  if (config.headDim === undefined && hiddenDim % numQueryHeads !== 0) {
    fail(`numQueryHeads (${numQueryHeads}) must divide hiddenDim (${hiddenDim}) where no headDim is given`);
  }
  if (llamaHeadDim(config) % 2 !== 0) fail(`headDim must be even, found ${llamaHeadDim(config)}`);
  const problem = ropeProblem(config);
  if (problem !== null) fail(problem);
  if (dropout !== 0) fail(`dropout must be 0, found ${dropout}; no Llama 3 was trained with any`);
}
