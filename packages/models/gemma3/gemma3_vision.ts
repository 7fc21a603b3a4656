/**
 * Gemma 3 with images (arXiv 2503.19786), with Keras's variable paths and shapes: a SigLIP tower whose patches, pooled, normalized
 * and projected to the decoder's hidden size, stand in for image tokens anywhere in a text.
 *
 * Reference: https://github.com/huggingface/transformers/tree/main/src/transformers/models/gemma3, whose logits these are.
 */
import { apply, einsum, full, iota, rmsNorm, type Tensor, where } from "@tessera/core";
import { randomNormal, zeros } from "@tessera/nn";
import { z } from "zod";
import { type BackboneOf, defineArchitecture } from "../architecture/architecture.ts";
import type { Decoder, DecoderInputs } from "../architecture/backbone.ts";
import { type ConfigOf, count, optional, required } from "../architecture/fields.ts";
import type { HfConfig } from "../architecture/hf_config.ts";
import type { ModelScope } from "../architecture/model_scope.ts";
import { imageNames, readNested, renamed } from "../architecture/nested_config.ts";
import { siglipTower } from "../siglip/siglip.ts";
import { checkSiglip, readSiglip, type SiglipConfig, siglipFloats, writeSiglip } from "../siglip/siglip_config.ts";
import { gemma3, type Gemma3Config, gemma3Decoder } from "./gemma3.ts";
import { gemma3VisionPresets } from "./vision_presets.ts";

const part = <Config>() => z.custom<Config>((value) => typeof value === "object" && value !== null);
const token = (hf: string, fallback: number) =>
  optional(z.number().int().nonnegative(), "a token id", { hf, fallback });

/** The fields that make a Gemma 3 with images. */
const fields = {
  /** The decoder. */
  text: required(part<Gemma3Config>(), "the config of a Gemma 3"),
  /** The vision tower. */
  vision: required(part<SiglipConfig>(), "the config of a SigLIP tower"),
  /** The tokens of an image, a square number: so many means of neighboring patches. 256 unless given. */
  tokensPerImage: count("mm_tokens_per_image", { fallback: 256 }),
  /** The token in whose place a part of an image stands; it may lie beyond the vocabulary. 262144 unless given. */
  imageTokenId: token("image_token_index", 262_144),
  /** The token before an image. 255999 unless given. */
  beginImageTokenId: token("boi_token_index", 255_999),
  /** The token behind an image. 256000 unless given. */
  endImageTokenId: token("eoi_token_index", 256_000),
};

/** The fields that make a Gemma 3 with images. */
export interface Gemma3VisionConfig extends ConfigOf<typeof fields> {}

const defaults = { contextLength: 131_072, bosTokenId: 2, eosTokenIds: [1], padTokenId: 0 };

/** Gemma 3 with images: the 4B, the 12B and the 27B, and what is made of them. */
export const gemma3Vision = defineArchitecture({
  title: "Gemma 3 with images",
  name: "gemma3_vision",
  modelTypes: ["gemma3"],
  fields,
  inFile: defaults,
  text: () => defaults,
  endOfTurn: gemma3.endOfTurn,
  presets: gemma3VisionPresets,
  names: imageNames,
  redundant: [/^model\.vision_tower\.head\./, /\.position_ids$/],
  reads: ["text_config", "vision_config"],
  floats: [...gemma3.floatFields, ...siglipFloats],
  prepare: (raw) =>
    renamed(raw, {
      image_token_id: "image_token_index",
      boi_token_id: "boi_token_index",
      eoi_token_id: "eoi_token_index",
    }),
  check: ({ vision, tokensPerImage = 256 }, name) => {
    const { side, pooled } = pooling(vision, tokensPerImage);
    if (pooled ** 2 !== tokensPerImage) return `${name("tokensPerImage")} (${tokensPerImage}) is not a square number`;
    if (pooled <= side && Math.floor(side / Math.floor(side / pooled)) === pooled) return null;
    return `${name("tokensPerImage")} (${tokensPerImage}) cannot be pooled from ${side} × ${side} patches`;
  },
  read: (file) => ({ text: readDecoder(file).config, vision: readSiglip(file) }),
  readText: (file) => readDecoder(file).text,
  write: ({ text, vision }, said, dtype) => {
    const { architectures: _, ...written } = gemma3.writeConfig(text, said, dtype);
    return {
      architectures: ["Gemma3ForConditionalGeneration"],
      model_type: "gemma3",
      text_config: written,
      vision_config: { ...writeSiglip(vision), vision_use_head: false },
      tie_word_embeddings: true,
      max_position_embeddings: undefined,
    };
  },
  build,
});

/** The decoder's config in a file. Transformers caps no logits of a Gemma 3 with images, so that a cap would be passed over. */
function readDecoder(file: HfConfig) {
  const { decoder } = readNested(file, gemma3);
  if (decoder.config.finalLogitSoftCap == null) return decoder;
  throw new TypeError(
    `Cannot use "${file.path}": "text_config.final_logit_softcapping" is ${decoder.config.finalLogitSoftCap}: ` +
      "Tessera's Gemma 3 with images computes only null",
  );
}

/** How many patches, and how many means of neighboring ones, make a side of an image. */
function pooling({ imageSize, patchSize }: SiglipConfig, tokensPerImage: number) {
  return { side: Math.floor(imageSize / patchSize), pooled: Math.floor(Math.sqrt(tokensPerImage)) };
}

function build(config: Gemma3VisionConfig, scope: ModelScope): Decoder {
  const { text, vision, tokensPerImage = 256, imageTokenId = 262_144 } = config;
  gemma3.checkConfig(text);
  checkSiglip(vision);
  const { compute } = scope;
  const tower = siglipTower(vision, scope, "model.vision_tower");
  const out = scope.unquantized().scope("vision_output_encoder", "model.multi_modal_projector");
  const norm = out.norm("vision_soft_embedding_norm", "mm_soft_emb_norm", vision.hiddenDim, zeros());
  // What it sums over the model axis travels with the tokens' embeddings, which are summed over it too.
  const projection = out.variable("vision_input_projection/kernel", "mm_input_projection_weight", {
    shape: [vision.hiddenDim, text.hiddenDim],
    layout: ["model", "batch"],
    initializer: randomNormal(vision.hiddenDim ** -0.5),
  });
  const decoder = gemma3Decoder(text, scope, "model.language_model");
  const { side, pooled } = pooling(vision, tokensPerImage);
  const width = Math.floor(side / pooled);

  /** Images [images, size, size, 3] as embeddings of the decoder, [images, tokens, hidden]. */
  function embedImages(images: Tensor): Tensor {
    const [count, size] = [images.shape[0]!, vision.hiddenDim];
    const patches = tower.encode(images).reshape([count, side, side, size]);
    // What the pools leave over on the right and at the bottom belongs to none.
    const whole = patches.slice([0, 0, 0, 0], [count, pooled * width, pooled * width, size]);
    const means = whole.reshape([count, pooled, width, pooled, width, size]).mean([2, 4]);
    const normed = rmsNorm(means.reshape([count, tokensPerImage, size]), norm.read(compute), {
      epsilon: vision.layerNormEpsilon ?? 1e-6,
      offset: 1,
    });
    return einsum("btd,df->btf", normed, projection.read(compute));
  }

  /** The hidden states of tokens, among which image tokens are replaced by parts of the images. */
  function hidden(inputs: DecoderInputs): Tensor {
    const { tokenIds, images } = inputs;
    const isImage = tokenIds.equal(imageTokenId);
    // The image token may lie beyond the vocabulary: then any row of the embedding will do.
    const known = imageTokenId < text.vocabularySize
      ? tokenIds
      : where(isImage, full(tokenIds.shape, 0, "int32"), tokenIds);
    const embedded = decoder.embed(known);
    if (images === undefined) return decoder.decode(embedded, inputs);
    const [batch, time] = tokenIds.shape as [number, number];
    const perRow = images.shape[0]! / batch;
    const parts = embedImages(images.cast(compute)).reshape([batch, perRow * tokensPerImage, text.hiddenDim]);
    const seen = where(isImage.reshape([batch, time, 1]), spread(parts, isImage), embedded);
    return decoder.decode(seen, { ...inputs, lastSeen: lastSeen(isImage, inputs.positions, perRow) });
  }

  const place = { begin: config.beginImageTokenId ?? 255_999, end: config.endImageTokenId ?? 256_000 };
  return {
    ...decoder,
    images: { size: vision.imageSize, resampling: "bilinear", tokens: tokensPerImage, tokenId: imageTokenId, place },
    hidden,
  };
}

/** A row's parts of images [batch, parts, hidden] in order at its image tokens, [batch, time, hidden]. */
function spread(parts: Tensor, isImage: Tensor): Tensor {
  const [batch, time] = isImage.shape as [number, number];
  const count = parts.shape[1]!;
  const which = apply("cumSum", [isImage.cast("int32")], { axis: 1 }).sub(1).reshape([batch, time, 1]);
  return einsum("btn,bnd->btd", which.equal(iota([batch, time, count], 2)).cast(parts.dtype), parts);
}

/**
 * The last position that each token sees, int32 [batch, time]: its own, and of the tokens of an image the image's last. Images that
 * touch are one, as in Transformers.
 */
function lastSeen(isImage: Tensor, positions: Tensor, perRow: number): Tensor {
  const [batch, time] = isImage.shape as [number, number];
  const flags = isImage.cast("int32");
  const before = apply("pad", [flags.sliceAxis(1, 0, time - 1)], { low: [0, 1], high: [0, 0], value: 0 });
  const begins = flags.greater(before).cast("int32");
  const image = apply("cumSum", [begins], { axis: 1 }).sub(1).reshape([batch, time, 1]);
  const isOf = image.equal(iota([batch, time, perRow], 2)).and(isImage.reshape([batch, time, 1]));
  const none = full([], -1, "int32");
  // [batch, 1, images]
  const ends = where(isOf, positions.reshape([batch, time, 1]), none).max(1, { keepDims: true });
  return where(isOf, ends, none).max(2).maximum(positions);
}

/** A Gemma 3 that sees images in its texts. */
export const Gemma3VisionBackbone = gemma3Vision.Backbone;
/** A Gemma 3 that sees images in its texts. */
export type Gemma3VisionBackbone = BackboneOf<Gemma3VisionConfig>;
