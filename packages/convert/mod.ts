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
export type { GemmaConfig, GemmaTextFields } from "./gemma.ts";
export { checkCheckpoint, loadWeights } from "./load.ts";
export type { LoadOptions } from "./load.ts";
export { layerOf, mergedShape, moduleOf, pair, translate } from "./rows.ts";
export type { Pairing, TensorRow } from "./rows.ts";
export { saveWeights } from "./save.ts";
export type { SaveOptions } from "./save.ts";
