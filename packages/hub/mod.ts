/**
 * The Hugging Face Hub: repositories downloaded into the cache that Python's tools share, and folders pushed to it.
 *
 * @example
 * ```ts
 * import { downloadRepository, pushToHub } from "@tessera/hub";
 *
 * const folder = await downloadRepository("hf://google/gemma-2-2b");
 * await pushToHub("hf://me/my-gemma", "my-gemma", { baseModel: "hf://google/gemma-2-2b" });
 * ```
 *
 * @module
 */
export { downloadRepository } from "./download/download.ts";
export {
  describeDownload,
  type Download,
  type DownloadDisplay,
  type DownloadOptions,
  type DownloadReporter,
  showDownloads,
} from "./download/download_options.ts";
export type { EnvironmentReader, HubOptions, Wait } from "./hub_access.ts";
export type { HubLimits } from "./hub_limits.ts";
export { type CachedSnapshot, cachedSnapshot, repositoryFolder } from "./download/hub_cache.ts";
export { parseHandle, type RepositoryHandle } from "./hub_handle.ts";
export type { RepositoryFile } from "./hub_listing.ts";
export { type CardSection, type CardTable, type ModelCardDetails, type ModelTask } from "./push/model_card.ts";
export { type Pushed, type PushOptions, pushToHub } from "./push/push.ts";
export type { PushKind } from "./push/push_folder.ts";
export { type PushReporter, showPushes } from "./push/push_reporter.ts";
export {
  checkPush,
  prepareRepository,
  type PushAccess,
  type PushTarget,
  repositoryToPush,
  type Visibility,
} from "./push/push_target.ts";
export { type RepositoryPart, textFiles } from "./download/repository_files.ts";
export { type UploadProgress } from "./push/upload_commit.ts";
