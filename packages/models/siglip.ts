/**
 * The vision tower of SigLIP (arXiv 2303.15343): a ViT (arXiv 2010.11929) without a class token, with Keras's paths and shapes.
 *
 * Reference: https://github.com/huggingface/transformers/tree/main/src/transformers/models/siglip, whose last hidden states
 * these are.
 */
import { attention, einsum, type FloatDType, full, gelu, layerNorm, type Tensor } from "@tessera/core";
import type { SiglipConfig } from "@tessera/convert";
import {
  activation,
  applyDense,
  type EinsumDense,
  einsumDense,
  ones,
  randomNormal,
  type Scope,
  type Variable,
  zeros,
} from "@tessera/nn";

interface Norm {
  readonly gamma: Variable;
  readonly beta: Variable;
}

interface Block {
  readonly norm1: Norm;
  readonly query: EinsumDense;
  readonly key: EinsumDense;
  readonly value: EinsumDense;
  readonly out: EinsumDense;
  readonly norm2: Norm;
  readonly up: EinsumDense;
  readonly down: EinsumDense;
}

/** Makes a dense layer `[.., from]` to `[.., to]` with a bias; the kernel is stored as checkpoints have it, output axis first. */
export function biasedDense(scope: Scope, name: string, from: number, to: number, dtype: FloatDType): EinsumDense {
  return einsumDense(scope, name, {
    equation: "btd,df->btf",
    shape: [from, to],
    order: [1, 0],
    dtype,
    initializer: randomNormal(from ** -0.5),
    bias: true,
  });
}

/** The vision tower: images to one hidden state per patch. */
export class SiglipTower {
  /** The fields that it was made from. */
  readonly config: SiglipConfig;
  readonly #patches: { readonly kernel: Variable; readonly bias: Variable };
  readonly #positions: Variable;
  readonly #blocks: readonly Block[];
  readonly #finalNorm: Norm;

  /**
   * Makes the variables in a scope, without values.
   *
   * @throws {RangeError} when a field is out of range or two fields contradict each other.
   */
  constructor(scope: Scope, config: SiglipConfig, dtype: FloatDType) {
    checkConfig(config);
    this.config = config;
    const { hiddenDim, intermediateDim, patchSize, numLayers } = config;
    const embeddings = scope.scope("encoder_embeddings");
    const patches = embeddings.scope("embedding_conv");
    this.#patches = {
      kernel: patches.variable("kernel", {
        shape: [patchSize, patchSize, 3, hiddenDim],
        order: [3, 2, 0, 1],
        dtype,
        initializer: randomNormal((3 * patchSize ** 2) ** -0.5),
      }),
      bias: patches.variable("bias", { shape: [hiddenDim], dtype, initializer: zeros() }),
    };
    this.#positions = embeddings.scope("position_embedding").variable("embeddings", {
      shape: [this.tokens, hiddenDim],
      dtype,
      initializer: randomNormal(hiddenDim ** -0.5),
    });
    this.#blocks = Array.from({ length: numLayers }, (_, i) => {
      const block = scope.scope(`encoder_block_${i}`);
      const heads = block.scope("multi_head_attention");
      return {
        norm1: makeNorm(block, "layer_norm_1", hiddenDim, dtype),
        query: biasedDense(heads, "query_proj", hiddenDim, hiddenDim, dtype),
        key: biasedDense(heads, "key_proj", hiddenDim, hiddenDim, dtype),
        value: biasedDense(heads, "value_proj", hiddenDim, hiddenDim, dtype),
        out: biasedDense(heads, "out_proj", hiddenDim, hiddenDim, dtype),
        norm2: makeNorm(block, "layer_norm_2", hiddenDim, dtype),
        up: biasedDense(block, "mlp_dense_1", hiddenDim, intermediateDim, dtype),
        down: biasedDense(block, "mlp_dense_2", intermediateDim, hiddenDim, dtype),
      };
    });
    this.#finalNorm = makeNorm(scope, "encoder_layer_norm", hiddenDim, dtype);
  }

  /** The number of patches of an image, each of which is one token. */
  get tokens(): number {
    return Math.floor(this.config.imageSize / this.config.patchSize) ** 2;
  }

  /** The hidden states [batch, tokens, hidden] of images [batch, size, size, 3] with values from -1 to 1. */
  encode(images: Tensor): Tensor {
    const { numHeads, hiddenDim, layerNormEpsilon: epsilon = 1e-6 } = this.config;
    const { dtype } = images;
    const norm = ({ gamma, beta }: Norm, x: Tensor) => layerNorm(x, gamma.read(dtype), beta.read(dtype), { epsilon });
    const [batch, tokens] = [images.shape[0]!, this.tokens];
    const split = (x: Tensor) => x.reshape([batch, tokens, numHeads, hiddenDim / numHeads]);
    // All at one position, so that every patch sees every patch.
    const queryPositions = full([batch, tokens], 0, "int32");
    const masks = { queryPositions, keyPositions: queryPositions };
    let x = this.#embed(images).add(this.#positions.read(dtype));
    this.#blocks.forEach((block, i) => {
      const a = norm(block.norm1, x);
      const [query, key, value] = [block.query, block.key, block.value].map((layer) => split(applyDense(layer, a)));
      const mixed = attention({ query: query!, key: key!, value: value!, ...masks }, {
        scale: (hiddenDim / numHeads) ** -0.5,
        softCap: null,
        window: null,
      });
      x = x.add(applyDense(block.out, mixed.reshape([batch, tokens, hiddenDim])));
      const fed = applyDense(block.down, gelu(applyDense(block.up, norm(block.norm2, x))));
      x = activation(`image_encoder/encoder_block_${i}`, x.add(fed));
    });
    return activation("image_encoder/encoder_layer_norm", norm(this.#finalNorm, x));
  }

  /** The patches' embeddings: a convolution whose windows do not overlap is one matrix product. */
  #embed(images: Tensor): Tensor {
    const { patchSize, hiddenDim } = this.config;
    const batch = images.shape[0]!;
    const side = Math.floor(images.shape[1]! / patchSize);
    // What is left over on the right and at the bottom belongs to no patch.
    const whole = images.slice([0, 0, 0, 0], [batch, side * patchSize, side * patchSize, 3]);
    const windows = whole.reshape([batch, side, patchSize, side, patchSize, 3]);
    const embedded = einsum("bhpwqc,pqcd->bhwd", windows, this.#patches.kernel.read(images.dtype));
    return embedded.reshape([batch, side * side, hiddenDim]).add(this.#patches.bias.read(images.dtype));
  }
}

function makeNorm(scope: Scope, name: string, width: number, dtype: FloatDType): Norm {
  const inner = scope.scope(name);
  return {
    gamma: inner.variable("gamma", { shape: [width], dtype, initializer: ones() }),
    beta: inner.variable("beta", { shape: [width], dtype, initializer: zeros() }),
  };
}

function checkConfig(config: SiglipConfig): void {
  const { imageSize, patchSize, numHeads, hiddenDim, numLayers, intermediateDim, layerNormEpsilon = 1e-6 } = config;
  const counts = { imageSize, patchSize, numHeads, hiddenDim, numLayers, intermediateDim };
  for (const [field, value] of Object.entries(counts)) {
    if (!Number.isInteger(value) || value < 1) {
      throw new RangeError(`Cannot make a SigLIP tower: ${field} must be a positive integer, found ${value}`);
    }
  }
  if (patchSize > imageSize) {
    throw new RangeError(
      `Cannot make a SigLIP tower: a patch of ${patchSize} pixels is wider than an image (${imageSize})`,
    );
  }
  if (hiddenDim % numHeads !== 0) {
    throw new RangeError(`Cannot make a SigLIP tower: numHeads (${numHeads}) must divide hiddenDim (${hiddenDim})`);
  }
  if (!(layerNormEpsilon > 0 && Number.isFinite(layerNormEpsilon))) {
    throw new RangeError(`Cannot make a SigLIP tower: layerNormEpsilon must be positive, found ${layerNormEpsilon}`);
  }
}
