/**
 * Hugging Face checkpoints to and from Tessera's variables.
 *
 * @module
 */
export {
  gemma2Rows,
  gemmaAttentionScale,
  gemmaFromHf,
  gemmaLayerTypes,
  gemmaRedundant,
  gemmaRows,
  gemmaToHf,
} from "./gemma.ts";
export type { GemmaConfig } from "./gemma.ts";
export { gemmaConfig } from "./gemma_config.ts";
export type { HfGemmaConfig } from "./gemma_config.ts";
export { layerTypesOf, readGenerationConfig, readHfConfig, ropeOf, torchDtypeOf } from "./hf_config.ts";
export type { GenerationConfig, HfConfig, LayerType, Rope } from "./hf_config.ts";
export { llamaFromHf, llamaHeadDim, llamaRedundant, llamaRows, llamaToHf } from "./llama.ts";
export type { LlamaConfig } from "./llama.ts";
export { llamaConfig } from "./llama_config.ts";
export type {
  HfDynamicRope,
  HfLinearRope,
  HfLlama3Rope,
  HfLlamaConfig,
  HfLlamaRope,
  HfYarnRope,
} from "./llama_config.ts";
export type { DynamicRope, LinearRope, LlamaRopeFields, LlamaRopeScaling, YarnRope } from "./llama_rope.ts";
export { checkCheckpoint, loadWeights } from "./load.ts";
export type { LoadOptions } from "./load.ts";
export {
  paliGemma2Rows,
  paliGemmaFromHf,
  paliGemmaNames,
  paliGemmaRedundant,
  paliGemmaRows,
  paliGemmaToHf,
} from "./pali_gemma.ts";
export { paliGemmaConfig } from "./pali_gemma_config.ts";
export type { HfPaliGemmaConfig, HfSiglipConfig } from "./pali_gemma_config.ts";
export type { PaliGemmaConfig, SiglipConfig } from "./pali_gemma.ts";
export { layerOf, mergedShape, moduleOf, pair, tableName, translate } from "./rows.ts";
export type { NameRule, Pairing, TensorRow } from "./rows.ts";
export { saveWeights } from "./save.ts";
export type { SaveOptions } from "./save.ts";
export type { TextFields } from "./text_fields.ts";
