/**
 * Folders and files, on this machine or in memory, and what they hold: JSON with a schema, safetensors, checkpoints.
 *
 * @example
 * ```ts
 * import { openCheckpoint } from "@tessera/files";
 *
 * const checkpoint = await openCheckpoint("gemma-2-2b");
 * console.log(checkpoint.read("model.norm.weight").shape);
 * checkpoint.close();
 * ```
 *
 * @module
 */
export { type BlobFolder, blobFolder, fetchFolder, type NamedBlob } from "./blob_folder.ts";
export { type Checkpoint, indexName, openCheckpoint, otherWeights, readIndex, singleName } from "./checkpoint.ts";
export { countedBlob, environmentVariable, isFolder, pathBeside } from "./disk.ts";
export {
  type FileBytes,
  type FileEntry,
  fileOf,
  type Folder,
  folderOf,
  type OpenOptions,
  type WriteBytes,
  writeText,
} from "./files.ts";
export { checkJson, parseJson, readJson, readText, readTextIfPresent } from "./json_file.ts";
export {
  type AxisRange,
  hostTypeOf,
  openSafetensors,
  type ReadOptions,
  type SafetensorsFile,
  type TensorStore,
} from "./safetensors.ts";
export { type SafetensorsDType, type TensorInfo } from "./safetensors_header.ts";
export {
  type TensorSource,
  writeCheckpoint,
  type WriteCheckpointOptions,
  writeSafetensors,
} from "./safetensors_writer.ts";
