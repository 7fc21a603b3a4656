/**
 * Tessera: shard, fine-tune and run large language models in TypeScript.
 *
 * ```ts ignore
 * import { adamW, CausalLM, openBackend } from "tessera";
 *
 * const backend = await openBackend("cpu");
 * const lm = await CausalLM.fromPreset("gemma-2-2b", { backend });
 * lm.enableLora({ rank: 4 });
 * console.log(lm.summary());
 *
 * const data = await lm.dataset("train.jsonl", { batchSize: 4 });
 * lm.compile({ optimizer: adamW({ learningRate: 1e-4 }) });
 * await lm.fit(data, { epochs: 1 });
 * console.log(await lm.generate("The capital of Norway is", { maxNewTokens: 16 }));
 * ```
 *
 * @module
 */
export * from "@tessera/backends";
export { editDistance, nearestName } from "@tessera/text";
export { formatBytes, formatCount, formatDuration, formatNumber } from "@tessera/text";
export { displayWidth, fitText, formatTable } from "@tessera/text";
export type { Column, TableOptions } from "@tessera/text";
export { progress, renderProgress, standardErrorStream } from "@tessera/text";
export type { Progress, ProgressFields, ProgressOptions, ProgressState, ProgressStream } from "@tessera/text";
export * from "@tessera/core";
export * from "@tessera/mesh";
export * from "@tessera/runtime";
export {
  blobFolder,
  checkJson,
  fetchFolder,
  openCheckpoint,
  openSafetensors,
  parseJson,
  readJson,
  writeCheckpoint,
  writeSafetensors,
} from "@tessera/files";
export type { BlobFolder, Checkpoint, FileEntry, Folder, NamedBlob, TensorSource, TensorStore } from "@tessera/files";
export { loadTokenizer } from "@tessera/tokenizer";
export type { ChatMessage, Tokenizer } from "@tessera/tokenizer";
export {
  checkPush,
  downloadRepository,
  parseHandle,
  prepareRepository,
  pushToHub,
  repositoryToPush,
  showDownloads,
  showPushes,
} from "@tessera/hub";
export type {
  CardSection,
  Download,
  DownloadOptions,
  DownloadReporter,
  EnvironmentReader,
  ModelCardDetails,
  Pushed,
  PushKind,
  PushOptions,
  PushReporter,
  PushTarget,
  UploadProgress,
  Visibility,
} from "@tessera/hub";
export * from "@tessera/nn";
export * from "@tessera/convert";
export * from "@tessera/vision";
export * from "@tessera/lora";
export * from "@tessera/train";
export * from "@tessera/models";
