/** The published PaliGemma 1 and PaliGemma 2 models. */
import type { PresetSpec } from "../architecture/architecture.ts";
import { gemmaSizes } from "../gemma/presets.ts";
import type { SiglipConfig } from "../siglip/siglip_config.ts";
import type { PaliGemmaConfig } from "./pali_gemma.ts";

/** SigLIP So400m/14. */
const so400m = {
  patchSize: 14,
  numLayers: 27,
  numHeads: 16,
  hiddenDim: 1152,
  intermediateDim: 4304,
} as const satisfies Partial<SiglipConfig>;

/** The tokens of the Gemma tokenizer, 1024 for places and 128 for outlines. The image token is the first one after them. */
const vocabularySize = 257_152;

/** The decoders, and the published numbers of parameters by the pixels of an image's side. */
const decoders = {
  "3b": [gemmaSizes.gemma2b, { 224: 2_923_335_408, 448: 2_924_220_144, 896: 2_927_759_088 }],
  "2 3b": [gemmaSizes.gemma2_2b, { 224: 3_032_094_960, 448: 3_032_979_696, 896: 3_036_518_640 }],
  "2 10b": [gemmaSizes.gemma2_9b, { 224: 9_662_409_456, 448: 9_663_294_192, 896: 9_666_833_136 }],
  // KerasHub's table repeats the first of these for 448 and 896 pixels; position embeddings add the rest.
  "2 28b": [gemmaSizes.gemma2_27b, { 224: 27_650_192_112, 448: 27_651_076_848, 896: 27_654_615_792 }],
} as const;

/** A PaliGemma of a size that sees images of some pixels a side. */
function paliGemma(
  title: string,
  repository: string,
  size: keyof typeof decoders,
  imageSize: 224 | 448 | 896,
): PresetSpec<PaliGemmaConfig> {
  const [decoder, parameters] = decoders[size];
  const config = {
    text: { ...decoder, vocabularySize },
    vision: { ...so400m, imageSize },
    imageTokenId: vocabularySize,
  };
  return { title, repository, parameters: parameters[imageSize], config };
}

/** The presets of PaliGemma, under KerasHub's names. */
export const paliGemmaPresets = {
  pali_gemma_3b_mix_224: paliGemma("PaliGemma 3B, mixed tasks, 224 px", "google/paligemma-3b-mix-224", "3b", 224),
  pali_gemma_3b_mix_448: paliGemma("PaliGemma 3B, mixed tasks, 448 px", "google/paligemma-3b-mix-448", "3b", 448),
  pali_gemma_3b_224: paliGemma("PaliGemma 3B, pretrained, 224 px", "google/paligemma-3b-pt-224", "3b", 224),
  pali_gemma_3b_448: paliGemma("PaliGemma 3B, pretrained, 448 px", "google/paligemma-3b-pt-448", "3b", 448),
  pali_gemma_3b_896: paliGemma("PaliGemma 3B, pretrained, 896 px", "google/paligemma-3b-pt-896", "3b", 896),
  pali_gemma2_mix_3b_224: paliGemma("PaliGemma 2 3B, mixed tasks, 224 px", "google/paligemma2-3b-mix-224", "2 3b", 224),
  pali_gemma2_mix_3b_448: paliGemma("PaliGemma 2 3B, mixed tasks, 448 px", "google/paligemma2-3b-mix-448", "2 3b", 448),
  pali_gemma2_mix_10b_224: paliGemma(
    "PaliGemma 2 10B, mixed tasks, 224 px",
    "google/paligemma2-10b-mix-224",
    "2 10b",
    224,
  ),
  pali_gemma2_mix_10b_448: paliGemma(
    "PaliGemma 2 10B, mixed tasks, 448 px",
    "google/paligemma2-10b-mix-448",
    "2 10b",
    448,
  ),
  pali_gemma2_mix_28b_224: paliGemma(
    "PaliGemma 2 28B, mixed tasks, 224 px",
    "google/paligemma2-28b-mix-224",
    "2 28b",
    224,
  ),
  pali_gemma2_mix_28b_448: paliGemma(
    "PaliGemma 2 28B, mixed tasks, 448 px",
    "google/paligemma2-28b-mix-448",
    "2 28b",
    448,
  ),
  pali_gemma2_pt_3b_224: paliGemma("PaliGemma 2 3B, pretrained, 224 px", "google/paligemma2-3b-pt-224", "2 3b", 224),
  pali_gemma2_pt_3b_448: paliGemma("PaliGemma 2 3B, pretrained, 448 px", "google/paligemma2-3b-pt-448", "2 3b", 448),
  pali_gemma2_pt_3b_896: paliGemma("PaliGemma 2 3B, pretrained, 896 px", "google/paligemma2-3b-pt-896", "2 3b", 896),
  pali_gemma2_pt_10b_224: paliGemma(
    "PaliGemma 2 10B, pretrained, 224 px",
    "google/paligemma2-10b-pt-224",
    "2 10b",
    224,
  ),
  pali_gemma2_pt_10b_448: paliGemma(
    "PaliGemma 2 10B, pretrained, 448 px",
    "google/paligemma2-10b-pt-448",
    "2 10b",
    448,
  ),
  pali_gemma2_pt_10b_896: paliGemma(
    "PaliGemma 2 10B, pretrained, 896 px",
    "google/paligemma2-10b-pt-896",
    "2 10b",
    896,
  ),
  pali_gemma2_pt_28b_224: paliGemma(
    "PaliGemma 2 28B, pretrained, 224 px",
    "google/paligemma2-28b-pt-224",
    "2 28b",
    224,
  ),
  pali_gemma2_pt_28b_448: paliGemma(
    "PaliGemma 2 28B, pretrained, 448 px",
    "google/paligemma2-28b-pt-448",
    "2 28b",
    448,
  ),
  pali_gemma2_pt_28b_896: paliGemma(
    "PaliGemma 2 28B, pretrained, 896 px",
    "google/paligemma2-28b-pt-896",
    "2 28b",
    896,
  ),
  pali_gemma_2_ft_docci_3b_448: paliGemma(
    "PaliGemma 2 3B, fine-tuned on DOCCI, 448 px",
    "google/paligemma2-3b-ft-docci-448",
    "2 3b",
    448,
  ),
  pali_gemma2_ft_docci_10b_448: paliGemma(
    "PaliGemma 2 10B, fine-tuned on DOCCI, 448 px",
    "google/paligemma2-10b-ft-docci-448",
    "2 10b",
    448,
  ),
} as const satisfies Readonly<Record<string, PresetSpec<PaliGemmaConfig>>>;
