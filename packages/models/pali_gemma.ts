/**
 * PaliGemma 1 (arXiv 2407.07726) and PaliGemma 2 (arXiv 2412.03555), with Keras's variable paths and shapes: a SigLIP tower
 * whose patches, projected to the decoder's width, stand in for the first tokens of a Gemma.
 *
 * Reference: https://github.com/huggingface/transformers/tree/main/src/transformers/models/paligemma, whose logits these are.
 * That counts positions from one; here they count from zero, which rotary embeddings and windows cannot tell apart.
 */
import { apply, type FloatDType, full, type Tensor, where } from "@tessera/core";
import type { PaliGemmaConfig } from "@tessera/convert";
import type { DeviceMesh, LayoutMap } from "@tessera/mesh";
import { applyDense, dtypePolicy, type EinsumDense, modelVariables, Scope, type Variable } from "@tessera/nn";
import type { Backbone, BackboneOptions, DecoderInputs, ImageInputs } from "./backbone.ts";
import { GemmaBackbone } from "./gemma.ts";
import type { LayoutAxisOptions } from "./layout_axes.ts";
import { paliGemmaLayoutMap } from "./pali_gemma_layout.ts";
import { biasedDense, SiglipTower } from "./siglip.ts";

/** A Gemma 1 or Gemma 2 that sees one image before each text. It exists without values, so its summary costs nothing. */
export class PaliGemmaBackbone implements Backbone {
  /** The name that `summary()` prints. */
  readonly name = "pali_gemma_backbone";
  /** The fields that it was made from. */
  readonly config: PaliGemmaConfig;
  /** The decoder. */
  readonly decoder: GemmaBackbone;
  /** The images that it takes. */
  readonly images: ImageInputs;
  readonly #scope = new Scope();
  readonly #tower: SiglipTower;
  readonly #projection: EinsumDense;

  /**
   * Makes the variables, without values. Only the decoder's are quantised, where that is asked for.
   *
   * @throws {RangeError} when a field is out of range or two fields contradict each other.
   */
  constructor(config: PaliGemmaConfig, options: BackboneOptions = {}) {
    const dtype = dtypePolicy(options.dtype ?? "float32").variable;
    this.config = config;
    this.#tower = new SiglipTower(this.#scope.scope("image_encoder"), config.vision, dtype);
    this.#projection = biasedDense(
      this.#scope,
      "image_classifier",
      config.vision.hiddenDim,
      config.text.hiddenDim,
      dtype,
    );
    this.decoder = new GemmaBackbone(config.text, { ...options, scope: this.#scope });
    this.images = { size: config.vision.imageSize, tokens: this.#tower.tokens, tokenId: config.imageTokenId };
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
    return this.decoder.vocabularySize;
  }

  /** The number of decoder blocks. */
  get numLayers(): number {
    return this.decoder.numLayers;
  }

  /** The width of the hidden states. */
  get hiddenDim(): number {
    return this.decoder.hiddenDim;
  }

  /** The shape of one layer's keys or values for one token: [keyHeads, headDim]. */
  get cacheShape(): readonly [keyHeads: number, headDim: number] {
    return this.decoder.cacheShape;
  }

  /** The dtype of activations. */
  get compute(): FloatDType {
    return this.decoder.compute;
  }

  /** The dtype of the stored weights. */
  get variableDType(): FloatDType {
    return this.decoder.variableDType;
  }

  /** Layouts of the variables of both towers on a mesh with a batch and a model axis; see `paliGemmaLayoutMap`. */
  getLayoutMap<Axis extends string>(mesh: DeviceMesh<Axis>, options?: LayoutAxisOptions<Axis>): LayoutMap<Axis> {
    return paliGemmaLayoutMap(mesh, options);
  }

  /** The final hidden states of some tokens, [batch, time, hiddenDim]; image tokens are replaced by the images' patches. */
  hidden(inputs: DecoderInputs): Tensor {
    const { tokenIds, images } = inputs;
    const { imageTokenId } = this.config;
    const isImage = tokenIds.equal(imageTokenId);
    // The image token may lie beyond the vocabulary: then any row of the embedding will do.
    const known = imageTokenId < this.vocabularySize
      ? tokenIds
      : where(isImage, full(tokenIds.shape, 0, "int32"), tokenIds);
    const text = this.decoder.embed(known);
    if (images === undefined) return this.decoder.decode(text, inputs);
    const seen = this.#spread(this.project(images), text);
    const [batch, time] = tokenIds.shape as [number, number];
    return this.decoder.decode(where(isImage.reshape([batch, time, 1]), seen, text), inputs);
  }

  /** Images [images, size, size, 3] with values from -1 to 1 as embeddings of the decoder, [images, tokens, hiddenDim]. */
  project(images: Tensor): Tensor {
    return applyDense(this.#projection, this.#tower.encode(images.cast(this.compute)));
  }

  /** The logits of hidden states, [.., hiddenDim] to [.., vocabulary]: the head is the token embedding. */
  logits(hidden: Tensor): Tensor {
    return this.decoder.logits(hidden);
  }

  /** Patches [images, tokens, hiddenDim] at the beginning of rows like `text`, [batch, time, hiddenDim]. */
  #spread(patches: Tensor, text: Tensor): Tensor {
    const [batch, time, width] = text.shape as [number, number, number];
    const perRow = patches.shape[0]! / batch * patches.shape[1]!;
    if (!Number.isInteger(perRow / this.images.tokens) || perRow > time) {
      throw new TypeError(
        `Cannot place ${patches.shape[0]} images of ${this.images.tokens} tokens in ${batch} rows of ${time} tokens: ` +
          "each row must begin with the tokens of as many images",
      );
    }
    const rows = patches.reshape([batch, perRow, width]);
    return apply("pad", [rows], { low: [0, 0, 0], high: [0, time - perRow, 0], value: 0 });
  }
}
