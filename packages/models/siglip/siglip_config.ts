/** The config of a SigLIP tower, in Tessera's names and as the `vision_config` of Hugging Face's files. */
import { z } from "zod";
import { type ConfigOf, count, fixed, positive } from "../architecture/fields.ts";
import type { HfConfig } from "../architecture/hf_config.ts";
import {
  checkConfig,
  checkFile,
  checkFromHf,
  type ConfigSpec,
  fieldsFromHf,
  fieldsToHf,
  fileSchema,
  floatFields,
} from "../architecture/read_config.ts";

/** The fields that make a SigLIP tower. */
const fields = {
  /** The side of an image, in pixels. */
  imageSize: count("image_size", { inFile: 224 }),
  /** The side of a patch, in pixels. */
  patchSize: count("patch_size", { inFile: 16 }),
  /** The number of encoder blocks. */
  numLayers: count("num_hidden_layers"),
  /** The number of attention heads; it divides `hiddenDim`. */
  numHeads: count("num_attention_heads"),
  /** The hidden size. */
  hiddenDim: count("hidden_size"),
  /** The intermediate size of the feed-forward layer. */
  intermediateDim: count("intermediate_size"),
  /** Added to the variance in every norm. 1e-6 unless given. */
  layerNormEpsilon: positive("layer_norm_eps", { fallback: 1e-6 }),
};

/** The fields that make a SigLIP tower. */
export interface SiglipConfig extends ConfigOf<typeof fields> {}

const modelType = "siglip_vision_model";

const spec: ConfigSpec<typeof fields> = {
  title: "SigLIP",
  makes: "tower",
  fields,
  fixed: { model_type: fixed(modelType), num_channels: fixed(3), hidden_act: fixed("gelu_pytorch_tanh") },
  check: ({ imageSize, patchSize, numHeads, hiddenDim }, name) => {
    if (patchSize > imageSize) {
      return `${name("patchSize")} (${patchSize}) is larger than ${name("imageSize")} (${imageSize})`;
    }
    if (hiddenDim % numHeads === 0) return null;
    return `${name("hiddenDim")} (${hiddenDim}) is not divisible by ${name("numHeads")} (${numHeads})`;
  },
};

/**
 * Checks the config of a tower.
 *
 * @throws {RangeError} when a field is out of range or two fields contradict each other.
 */
export function checkSiglip(config: SiglipConfig): void {
  checkConfig(spec, config);
}

/**
 * The tower of a file's `vision_config`.
 *
 * @throws {TypeError} when a field is missing, misspelled or wrong, or asks for what is not computed.
 * @throws {RangeError} when fields contradict each other.
 */
export function readSiglip(file: HfConfig): SiglipConfig {
  const schema = { vision_config: z.looseObject(fileSchema(spec, modelType)) };
  const { vision_config: parsed } = checkFile(file, schema) as { readonly vision_config: Record<string, unknown> };
  const config = fieldsFromHf(fields, parsed, { modelType, raw: parsed }) as SiglipConfig;
  checkFromHf(spec, config, file.path, "vision_config");
  return config;
}

/** The `vision_config` of a tower, without what the model around it adds. */
export function writeSiglip(config: SiglipConfig): Record<string, unknown> {
  return fieldsToHf(spec, config, modelType);
}

/** Names of its fields in files that Transformers wants with a decimal point. */
export const siglipFloats: readonly string[] = floatFields(fields);
