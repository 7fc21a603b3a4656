/**
 * PaliGemma 1 (arXiv 2407.07726) and PaliGemma 2 (arXiv 2412.03555), with Keras's variable paths and shapes: a SigLIP tower
 * whose patches, projected to the decoder's hidden size, stand in for the first tokens of a Gemma.
 *
 * Reference: https://github.com/huggingface/transformers/tree/main/src/transformers/models/paligemma, whose logits these are.
 * That counts positions from one; here they count from zero, which rotary embeddings and windows cannot tell apart.
 */
import { apply, full, type Tensor, where } from "@tessera/core";
import { applyDense } from "@tessera/nn";
import { z } from "zod";
import { type BackboneOf, defineArchitecture } from "../architecture/architecture.ts";
import type { Decoder, DecoderInputs } from "../architecture/backbone.ts";
import { type ConfigOf, required } from "../architecture/fields.ts";
import type { HfConfig } from "../architecture/hf_config.ts";
import type { ModelScope } from "../architecture/model_scope.ts";
import { imageNames, readNested, renamed } from "../architecture/nested_config.ts";
import { gemma, type GemmaConfig, gemmaDecoder } from "../gemma/gemma.ts";
import { biasedDense, siglipTower } from "../siglip/siglip.ts";
import { checkSiglip, readSiglip, type SiglipConfig, siglipFloats, writeSiglip } from "../siglip/siglip_config.ts";
import { paliGemmaPresets } from "./presets.ts";

const part = <Config>() => z.custom<Config>((value) => typeof value === "object" && value !== null);

/** The fields that make a PaliGemma backbone. */
const fields = {
  /** The decoder: a Gemma 1 for PaliGemma 1, a Gemma 2 for PaliGemma 2. */
  text: required(part<GemmaConfig>(), "the config of a Gemma"),
  /** The vision tower. */
  vision: required(part<SiglipConfig>(), "the config of a SigLIP tower"),
  /** The token in whose place an image's patches stand; it may lie beyond the vocabulary. */
  imageTokenId: required(z.number().int().nonnegative(), "a token id", { hf: "image_token_index" }),
};

/** The fields that make a PaliGemma backbone. */
export interface PaliGemmaConfig extends ConfigOf<typeof fields> {}

const gemmaText = { contextLength: 8192, bosTokenId: 2, eosTokenIds: [1], padTokenId: 0 };

/** PaliGemma 1 and PaliGemma 2. */
export const paliGemma = defineArchitecture({
  title: "PaliGemma",
  name: "pali_gemma",
  modelTypes: ["paligemma"],
  fields,
  inFile: gemmaText,
  text: () => gemmaText,
  endOfTurn: gemma.endOfTurn,
  presets: paliGemmaPresets,
  names: imageNames,
  // PaliGemma pools no image.
  redundant: [/^model\.vision_tower\.head\./, /\.position_ids$/],
  reads: ["text_config", "vision_config", "projection_dim"],
  floats: [...gemma.floatFields, ...siglipFloats],
  prepare: (raw) => renamed(raw, { image_token_id: "image_token_index" }),
  read: (file) => ({ text: readDecoder(file).config, vision: readSiglip(file) }),
  readText: (file) => readDecoder(file).text,
  write: ({ text, vision }, said, dtype) => {
    const { architectures: _, ...written } = gemma.writeConfig(text, said, dtype);
    const tokens = { num_image_tokens: Math.floor(vision.imageSize / vision.patchSize) ** 2 };
    return {
      architectures: ["PaliGemmaForConditionalGeneration"],
      model_type: "paligemma",
      text_config: { ...written, ...tokens },
      vision_config: { ...writeSiglip(vision), projection_dim: text.hiddenDim, vision_use_head: false },
      vocab_size: text.vocabularySize,
      hidden_size: text.hiddenDim,
      projection_dim: text.hiddenDim,
      tie_word_embeddings: true,
      max_position_embeddings: undefined,
    };
  },
  build,
});

/** The decoder's config in a file; its mask is the prefix's, whatever the file says of it. */
function readDecoder(file: HfConfig) {
  const { decoder, outer } = readNested(file, gemma, {
    drop: ["use_bidirectional_attention"],
    reads: { projection_dim },
  });
  const { hiddenDim } = decoder.config;
  if ((outer.projection_dim ?? hiddenDim) === hiddenDim) return decoder;
  throw new RangeError(
    `Cannot use "${file.path}": "projection_dim" (${outer.projection_dim}) must be the hidden size of the decoder, ` +
      `"text_config.hidden_size" (${hiddenDim})`,
  );
}

const projection_dim = z.number().int().positive().nullish();

function build(config: PaliGemmaConfig, scope: ModelScope): Decoder {
  const { text, vision, imageTokenId } = config;
  gemma.checkConfig(text);
  checkSiglip(vision);
  const tower = siglipTower(vision, scope, "model.vision_tower");
  // What it sums over the model axis travels with the tokens' embeddings, which are summed over it too.
  const sizes = [vision.hiddenDim, text.hiddenDim] as const;
  const projector = "model.multi_modal_projector.linear";
  const projection = biasedDense(scope.unquantized(), "image_classifier", projector, sizes, ["model", "batch"]);
  const decoder = gemmaDecoder(text, scope, "model.language_model");
  const images = {
    size: vision.imageSize,
    resampling: "bicubic",
    tokens: tower.tokens,
    tokenId: imageTokenId,
    place: "start",
  } as const;

  /** The hidden states of tokens, among which image tokens are replaced by the images' patches. */
  function hidden(inputs: DecoderInputs): Tensor {
    const { tokenIds } = inputs;
    const isImage = tokenIds.equal(imageTokenId);
    // The image token may lie beyond the vocabulary: then any row of the embedding will do.
    const known = imageTokenId < text.vocabularySize
      ? tokenIds
      : where(isImage, full(tokenIds.shape, 0, "int32"), tokenIds);
    const embedded = decoder.embed(known);
    if (inputs.images === undefined) return decoder.decode(embedded, inputs);
    const patches = applyDense(projection, tower.encode(inputs.images.cast(scope.compute)));
    const [batch, time] = tokenIds.shape as [number, number];
    const seen = spread(patches, embedded, images.tokens);
    return decoder.decode(where(isImage.reshape([batch, time, 1]), seen, embedded), inputs);
  }

  return { ...decoder, images, hidden };
}

/** Patches [images, tokens, hidden] at the beginning of rows like `text`, [batch, time, hidden]. */
function spread(patches: Tensor, text: Tensor, tokens: number): Tensor {
  const [batch, time, size] = text.shape as [number, number, number];
  const perRow = patches.shape[0]! / batch * patches.shape[1]!;
  if (!Number.isInteger(perRow / tokens) || perRow > time) {
    throw new TypeError(
      `Cannot place ${patches.shape[0]} images of ${tokens} tokens in ${batch} rows of ${time} tokens: ` +
        "each row must begin with the tokens of as many images",
    );
  }
  return apply("pad", [patches.reshape([batch, perRow, size])], {
    low: [0, 0, 0],
    high: [0, time - perRow, 0],
    value: 0,
  });
}

/** A Gemma 1 or Gemma 2 that sees one image before each text. */
export const PaliGemmaBackbone = paliGemma.Backbone;
/** A Gemma 1 or Gemma 2 that sees one image before each text. */
export type PaliGemmaBackbone = BackboneOf<PaliGemmaConfig>;
