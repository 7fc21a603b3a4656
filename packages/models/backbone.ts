/** What tasks ask of an architecture: variables, hidden states, logits, and the shape of its key/value cache. */
import type { FloatDType, Tensor } from "@tessera/core";
import type { DeviceMesh, LayoutMap } from "@tessera/mesh";
import type { DTypePolicy, DTypePolicyName, EinsumDense, QuantizationName, Variable } from "@tessera/nn";
import type { LayoutAxisOptions } from "./layout_axes.ts";

/** How the weights of a backbone are stored, and what it computes in. */
export interface BackboneOptions {
  /** The dtypes of weights and activations; float32 unless given. */
  readonly dtype?: DTypePolicyName | DTypePolicy;
  /** Stores dense kernels and token embeddings in 8 or 4 bits, frozen; as `dtype` says unless given. */
  readonly quantize?: QuantizationName;
}

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
  /** The images that the first tokens of each row stand for, values from -1 to 1, [images, size, size, 3]; none when left out. */
  readonly images?: Tensor;
  /** The cache that the tokens' keys and values are written to; `null` when there is none. */
  readonly cache: {
    /** One entry per layer. */
    readonly layers: readonly CacheLayer[];
    /** Where in the cache each row's tokens go, int32 [batch]. */
    readonly starts: Tensor;
    /** Whether it is empty, so that the keys are the tokens themselves; false unless given. */
    readonly empty?: boolean;
  } | null;
}

/** The images that an architecture takes. */
export interface ImageInputs {
  /** The side of an image, in pixels. */
  readonly size: number;
  /** The tokens that stand for one image. */
  readonly tokens: number;
  /** The token that stands for a patch of an image; it may lie beyond the vocabulary. */
  readonly tokenId: number;
}

/** A decoder architecture. */
export interface Backbone {
  /** The name that `summary()` prints, such as `gemma_backbone`. */
  readonly name: string;
  /** All variables, those of adapters included. */
  readonly variables: readonly Variable[];
  /** The layers that an adapter can be attached to. */
  readonly denses: readonly EinsumDense[];
  /** The number of tokens in the vocabulary. */
  readonly vocabularySize: number;
  /** The number of decoder blocks. */
  readonly numLayers: number;
  /** The width of the hidden states. */
  readonly hiddenDim: number;
  /** The shape of one layer's keys or values for one token. */
  readonly cacheShape: readonly [keyHeads: number, headDim: number];
  /** The dtype of activations. */
  readonly compute: FloatDType;
  /** The dtype of the stored weights. */
  readonly variableDType: FloatDType;
  /** The images that stand before each text, which is then read with a prefix mask; none when left out. */
  readonly images?: ImageInputs;
  /** The published layouts of the variables on a mesh with a batch and a model axis. */
  getLayoutMap<Axis extends string>(mesh: DeviceMesh<Axis>, options?: LayoutAxisOptions<Axis>): LayoutMap<Axis>;
  /** The final hidden states, [batch, time, hidden]. */
  hidden(inputs: DecoderInputs): Tensor;
  /** The logits of hidden states, [.., hidden] to [.., vocabulary]. */
  logits(hidden: Tensor): Tensor;
}
