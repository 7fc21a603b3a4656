/**
 * The vision tower of SigLIP (arXiv 2303.15343): a ViT (arXiv 2010.11929) without a class token, with Keras's paths and shapes.
 *
 * Reference: https://github.com/huggingface/transformers/tree/main/src/transformers/models/siglip, whose last hidden states
 * these are.
 */
import { attention, einsum, full, gelu, layerNorm, type Tensor } from "@tessera/core";
import { activation, applyDense, ones, randomNormal, type Variable, zeros } from "@tessera/nn";
import type { AxisRole, ModelScope } from "../architecture/model_scope.ts";
import type { SiglipConfig } from "./siglip_config.ts";

interface Norm {
  readonly gamma: Variable;
  readonly beta: Variable;
}

/** A vision tower: images to one hidden state per patch. */
export interface SiglipTower {
  /** The number of patches of an image, each of which is one token. */
  readonly tokens: number;
  /** The hidden states [batch, tokens, hidden] of images [batch, size, size, 3] with values from -1 to 1. */
  encode(images: Tensor): Tensor;
}

/** Declares a dense layer `[.., from]` to `[.., to]` with a bias. */
export function biasedDense(
  scope: ModelScope,
  name: string,
  module: string,
  shape: readonly [from: number, to: number],
  layout: readonly AxisRole[],
) {
  return scope.dense(name, module, { equation: "btd,df->btf", shape, layout, bias: true });
}

/** Declares `image_encoder`, from the module of a checkpoint that is the tower. It is never stored in fewer bits. */
export function siglipTower(config: SiglipConfig, model: ModelScope, module: string): SiglipTower {
  const { hiddenDim, imageSize, patchSize, numLayers, numHeads, layerNormEpsilon: epsilon = 1e-6 } = config;
  const scope = model.unquantized().scope("image_encoder", module);
  const tokens = Math.floor(imageSize / patchSize) ** 2;
  const patchKernel = scope.variable("encoder_embeddings/embedding_conv/kernel", "embeddings.patch_embedding.weight", {
    shape: [patchSize, patchSize, 3, hiddenDim],
    layout: [null, null, null, "batch"],
    order: [3, 2, 0, 1],
    initializer: randomNormal((3 * patchSize ** 2) ** -0.5),
  });
  const patchBias = scope.variable("encoder_embeddings/embedding_conv/bias", "embeddings.patch_embedding.bias", {
    shape: [hiddenDim],
    initializer: zeros(),
  });
  const positions = scope.variable(
    "encoder_embeddings/position_embedding/embeddings",
    "embeddings.position_embedding.weight",
    { shape: [tokens, hiddenDim], initializer: randomNormal(hiddenDim ** -0.5) },
  );
  const blocks = scope.layers("encoder_block", "encoder.layers", numLayers, (block) => declareBlock(config, block));
  const finalNorm = declareNorm(scope, "encoder_layer_norm", "post_layernorm", hiddenDim);

  /** The patches' embeddings: a convolution whose windows do not overlap is one matrix product. */
  function embed(images: Tensor): Tensor {
    const batch = images.shape[0]!;
    const side = Math.floor(images.shape[1]! / patchSize);
    // What is left over on the right and at the bottom belongs to no patch.
    const whole = images.slice([0, 0, 0, 0], [batch, side * patchSize, side * patchSize, 3]);
    const windows = whole.reshape([batch, side, patchSize, side, patchSize, 3]);
    const embedded = einsum("bhpwqc,pqcd->bhwd", windows, patchKernel.read(images.dtype));
    return embedded.reshape([batch, side * side, hiddenDim]).add(patchBias.read(images.dtype));
  }

  function encode(images: Tensor): Tensor {
    const { dtype } = images;
    const norm = ({ gamma, beta }: Norm, x: Tensor) => layerNorm(x, gamma.read(dtype), beta.read(dtype), { epsilon });
    const batch = images.shape[0]!;
    const headDim = hiddenDim / numHeads;
    const split = (x: Tensor) => x.reshape([batch, tokens, numHeads, headDim]);
    // All at one position, so that every patch sees every patch.
    const queryPositions = full([batch, tokens], 0, "int32");
    const masks = { queryPositions, keyPositions: queryPositions };
    let x = embed(images).add(positions.read(dtype));
    for (const block of blocks) {
      const a = norm(block.norm1, x);
      const [query, key, value] = [block.query, block.key, block.value].map((layer) => split(applyDense(layer, a)));
      const attrs = { scale: headDim ** -0.5, softCap: null, window: null };
      const mixed = attention({ query: query!, key: key!, value: value!, ...masks }, attrs);
      x = x.add(applyDense(block.out, mixed.reshape([batch, tokens, hiddenDim])));
      const fed = applyDense(block.down, gelu(applyDense(block.up, norm(block.norm2, x))));
      x = activation(block.path, x.add(fed));
    }
    return activation(`${scope.path}/encoder_layer_norm`, norm(finalNorm, x));
  }

  return { tokens, encode };
}

/** Heads and intermediate units lie over the model axis, as Megatron has it (arXiv 1909.08053). */
function declareBlock({ hiddenDim, intermediateDim }: SiglipConfig, block: ModelScope) {
  const whole = [hiddenDim, hiddenDim] as const;
  const heads = (name: string, module: string) =>
    biasedDense(block, `multi_head_attention/${name}`, `self_attn.${module}`, whole, ["batch", "model"]);
  return {
    path: block.path,
    norm1: declareNorm(block, "layer_norm_1", "layer_norm1", hiddenDim),
    query: heads("query_proj", "q_proj"),
    key: heads("key_proj", "k_proj"),
    value: heads("value_proj", "v_proj"),
    out: biasedDense(block, "multi_head_attention/out_proj", "self_attn.out_proj", whole, ["model", "batch"]),
    norm2: declareNorm(block, "layer_norm_2", "layer_norm2", hiddenDim),
    up: biasedDense(block, "mlp_dense_1", "mlp.fc1", [hiddenDim, intermediateDim], ["batch", "model"]),
    down: biasedDense(block, "mlp_dense_2", "mlp.fc2", [intermediateDim, hiddenDim], ["model", "batch"]),
  };
}

function declareNorm(scope: ModelScope, name: string, module: string, size: number): Norm {
  return {
    gamma: scope.variable(`${name}/gamma`, `${module}.weight`, { shape: [size], initializer: ones() }),
    beta: scope.variable(`${name}/beta`, `${module}.bias`, { shape: [size], initializer: zeros() }),
  };
}
