/**
 * Tensors of checkpoints to and from variables, by rows that an architecture declares.
 *
 * @module
 */
export { checkCheckpoint, loadWeights } from "./load.ts";
export type { LoadOptions } from "./load.ts";
export { layersOf, mergedShape, moduleOf, pair, tableName } from "./rows.ts";
export type { NameRule, Pairing, TensorPart, TensorRow } from "./rows.ts";
export { saveWeights } from "./save.ts";
export type { SaveOptions } from "./save.ts";
