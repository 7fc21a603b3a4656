/**
 * Checkpoints on disk: safetensors, configurations and tokenizers of Hugging Face folders.
 *
 * @example
 * ```ts ignore
 * import { gemmaConfig, loadTokenizer, openCheckpoint, readHfConfig } from "@tessera/hub";
 *
 * const config = gemmaConfig(await readHfConfig("gemma-2-2b"));
 * const tokenizer = await loadTokenizer("gemma-2-2b");
 * const checkpoint = await openCheckpoint("gemma-2-2b");
 *
 * console.log(config.num_hidden_layers, tokenizer.encode("Hello"));
 * console.log(checkpoint.read("model.norm.weight").shape);
 * checkpoint.close();
 * ```
 *
 * @module
 */
export { type BlobFolder, blobFolder, fetchFolder, type NamedBlob } from "./blob_folder.ts";
export { type Checkpoint, openCheckpoint } from "./checkpoint.ts";
export { type ChatMessage } from "./chat_template.ts";
export { environmentVariable, isFolder, pathBeside } from "./disk.ts";
export { downloadRepository } from "./download.ts";
export {
  describeDownload,
  type Download,
  type DownloadDisplay,
  type DownloadOptions,
  type DownloadReporter,
  showDownloads,
} from "./download_options.ts";
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
export { gemmaConfig, type HfGemmaConfig } from "./gemma_config.ts";
export {
  type GenerationConfig,
  type HfConfig,
  type LayerType,
  layerTypesOf,
  readGenerationConfig,
  readHfConfig,
  type Rope,
  ropeOf,
  torchDtypeOf,
} from "./hf_config.ts";
export type { EnvironmentReader, Wait } from "./hub_access.ts";
export { type CachedSnapshot, cachedSnapshot, repositoryFolder } from "./hub_cache.ts";
export { parseHandle, type RepositoryHandle } from "./hub_handle.ts";
export type { RepositoryFile } from "./hub_listing.ts";
export { checkJson, parseJson, readJson, readText } from "./json_file.ts";
export {
  type HfDynamicRope,
  type HfLinearRope,
  type HfLlama3Rope,
  type HfLlamaConfig,
  type HfLlamaRope,
  type HfYarnRope,
  llamaConfig,
} from "./llama_config.ts";
export { type CardSection, type CardTable, type ModelCardDetails, type ModelTask } from "./model_card.ts";
export { didYouMean, listNames } from "./name_hints.ts";
export { type HfPaliGemmaConfig, type HfSiglipConfig, paliGemmaConfig } from "./pali_gemma_config.ts";
export { type Pushed, type PushOptions, pushToHub } from "./push.ts";
export type { PushKind } from "./push_folder.ts";
export { type PushReporter, showPushes } from "./push_reporter.ts";
export {
  checkPush,
  prepareRepository,
  type PushAccess,
  type PushTarget,
  repositoryToPush,
  type Visibility,
} from "./push_target.ts";
export { type RepositoryPart, textFiles } from "./repository_files.ts";
export {
  hostTypeOf,
  openSafetensors,
  type Range,
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
export { type TextStream, textStream } from "./text_stream.ts";
export {
  type ChatOptions,
  type DecodeOptions,
  type EncodeOptions,
  loadTokenizer,
  type Tokenizer,
} from "./tokenizer.ts";
export { type UploadProgress } from "./upload_commit.ts";
