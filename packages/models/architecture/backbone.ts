/** What tasks ask of an architecture, and the one class that gives it: variables, hidden states, logits, layouts. */
import type { FloatDType, Tensor } from "@tessera/core";
import type { DeviceMesh, LayoutMap } from "@tessera/mesh";
import {
  type DTypePolicy,
  dtypePolicy,
  type DTypePolicyName,
  type EinsumDense,
  formatSummary,
  modelVariables,
  type QuantizationName,
  quantizeVariables,
  type Variable,
} from "@tessera/nn";
import type { OptionNames } from "@tessera/text";
import { type LayoutAxisOptions, layoutMapOf } from "./layout.ts";
import type { ImageTokens } from "@tessera/train";
import type { Resampling } from "@tessera/vision";
import { type Declarations, ModelScope } from "./model_scope.ts";

/** How the weights of a backbone are stored, and what it computes in. */
export interface BackboneOptions {
  /** The dtypes of weights and activations; float32 unless given. */
  readonly dtype?: DTypePolicyName | DTypePolicy;
  /** Stores dense kernels and token embeddings in 8 or 4 bits, frozen; as `dtype` says unless given. */
  readonly quantize?: QuantizationName;
}

/** The names of `BackboneOptions`. */
export const backboneOptionNames: OptionNames<BackboneOptions> = { dtype: true, quantize: true };

/** One layer's part of a key/value cache: two variables [batch, length, keyHeads, headDim]. */
export interface CacheLayer {
  /** The keys so far. */
  readonly key: Variable;
  /** The values so far. */
  readonly value: Variable;
}

/** The tokens that a decoder reads, and what it may look back on. */
export interface DecoderInputs {
  /** The tokens, int32 [batch, time]. */
  readonly tokenIds: Tensor;
  /** The position of each token, int32 [batch, time]. */
  readonly positions: Tensor;
  /** The position of each key, int32 [batch, keys], -1 to hide it; the keys are the tokens, or what the cache then holds. */
  readonly keyPositions: Tensor;
  /** Tokens at positions below this see each other, those that follow included, int32 [batch]; none when left out. */
  readonly prefix?: Tensor;
  /** The last position that each token sees, int32 [batch, time]; its own when left out. */
  readonly lastSeen?: Tensor;
  /** The images that image tokens stand for, each row's in order, values from -1 to 1, [images, size, size, 3]; none when left out. */
  readonly images?: Tensor;
  /** The cache that the tokens' keys and values are written to; `null` when there is none. */
  readonly cache: {
    /** One entry per layer; `null` for those that look at an earlier layer's. */
    readonly layers: readonly (CacheLayer | null)[];
    /** Where in the cache each row's tokens go, int32 [batch]. */
    readonly starts: Tensor;
    /** Whether it is empty, so that the keys are the tokens themselves; false unless given. */
    readonly empty?: boolean;
  } | null;
}

/**
 * The images that an architecture takes. Where they stand before texts, each row's prompt is read with a prefix mask; where they
 * stand anywhere, the tokens of each see each other.
 */
export interface ImageInputs extends ImageTokens {
  /** The side of an image, in pixels. */
  readonly size: number;
  /** How images of other sizes are resized. */
  readonly resampling: Resampling;
}

/** The projections that make one layer's keys and values, [batch, time, keyHeads, headDim] each. */
export interface KeyValueProjections {
  /** Makes the keys. */
  readonly key: EinsumDense;
  /** Makes the values. */
  readonly value: EinsumDense;
}

/** What an architecture makes of a config: its parts, and how tokens go through them. */
export interface Decoder {
  /** The token embedding, [vocabulary, hidden]. */
  readonly embeddings: Variable;
  /** What makes the keys and values of each decoder block; `null` for blocks that use those of an earlier one. */
  readonly blocks: readonly (KeyValueProjections | null)[];
  /** The images that it takes; none when left out. */
  readonly images?: ImageInputs;
  /**
   * The most tokens whose keys and values are of use to a longer text, which is read again from its start once it has more; without
   * limit when left out.
   */
  readonly rereadBeyond?: number;
  /** The final hidden states, [batch, time, hidden]. */
  hidden(inputs: DecoderInputs): Tensor;
  /** The logits of hidden states, [.., hidden] to [.., vocabulary]. */
  logits(hidden: Tensor): Tensor;
}

/** The architecture that a backbone is of. */
export interface BackboneKind<Config> {
  /** The name in messages, such as `Gemma`. */
  readonly title: string;
  /** What the names of its backbone and its task begin with, such as `gemma`. */
  readonly name: string;
  /** Checks a config. Throws when a field is out of range or two fields contradict each other. */
  checkConfig(config: Config): void;
  /** Declares the variables and says how tokens go through them. */
  build(config: Config, scope: ModelScope): Decoder;
}

/** A model without the head that makes it a task: it exists without values, so its summary costs nothing. */
export class Backbone<Config = unknown> {
  /** The name that `summary()` prints, such as `gemma_backbone`. */
  readonly name: string;
  /** The fields that it was made from. */
  readonly config: Config;
  /** The dtype of activations. */
  readonly compute: FloatDType;
  /** The dtype of the stored weights. */
  readonly variableDType: FloatDType;
  /** What its architecture declared: tensors of checkpoints, layouts, blocks. */
  readonly declared: Declarations;
  /** Its parts, and how tokens go through them. */
  readonly decoder: Decoder;
  readonly #title: string;
  readonly #scope: ModelScope;

  /**
   * Makes the variables, without values.
   *
   * @throws {RangeError} when a field is out of range or two fields contradict each other.
   * @throws {TypeError} when a field is not known.
   */
  constructor(kind: BackboneKind<Config>, config: Config, options: BackboneOptions = {}) {
    kind.checkConfig(config);
    const policy = dtypePolicy(options.dtype ?? "float32");
    this.#scope = new ModelScope(policy);
    this.#title = kind.title;
    this.name = `${kind.name}_backbone`;
    this.config = config;
    this.compute = policy.compute;
    this.variableDType = policy.variable;
    this.declared = this.#scope.declared;
    this.decoder = kind.build(config, this.#scope);
    if (options.quantize !== undefined) quantizeVariables(this.declared.quantizable, options.quantize);
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
    return this.decoder.embeddings.shape[0]!;
  }

  /** The hidden size. */
  get hiddenDim(): number {
    return this.decoder.embeddings.shape[1]!;
  }

  /** The number of decoder blocks. */
  get numLayers(): number {
    return this.decoder.blocks.length;
  }

  /** The paths of the decoder blocks, such as `decoder_block_0`. */
  get blockPaths(): readonly string[] {
    return this.declared.blocks;
  }

  /** The images that it takes; `undefined` for none. */
  get images(): ImageInputs | undefined {
    return this.decoder.images;
  }

  /** The most tokens whose keys and values are of use to a longer text; `Infinity` for no limit. */
  get rereadBeyond(): number {
    return this.decoder.rereadBeyond ?? Infinity;
  }

  /**
   * The published layouts of the variables on a mesh with a batch and a model axis.
   *
   * @throws {RangeError} when the mesh lacks one of the two axes.
   */
  getLayoutMap<Axis extends string>(
    mesh: DeviceMesh<Axis>,
    options: LayoutAxisOptions<NoInfer<Axis>> = {},
  ): LayoutMap<Axis> {
    return layoutMapOf(this.#title, this.declared.layouts, mesh, options);
  }

  /** The final hidden states of some tokens, [batch, time, hidden]. */
  hidden(inputs: DecoderInputs): Tensor {
    return this.decoder.hidden(inputs);
  }

  /** The logits of hidden states, [.., hidden] to [.., vocabulary]. */
  logits(hidden: Tensor): Tensor {
    return this.decoder.logits(hidden);
  }

  /** The table of variables and parameter counts. */
  summary(options: { readonly width?: number } = {}): string {
    return formatSummary(this.name, this.variables, options);
  }
}
