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
export { backendNames, chooseBackend, openBackend } from "./backends.ts";
export type { BackendChoice, BackendName, BackendOptions } from "./backends.ts";
export { planTraining, suggestMeshes } from "./plan.ts";
export * from "@tessera/core";
export * from "@tessera/mesh";
export * from "@tessera/runtime";
export * from "@tessera/nn";
export * from "@tessera/lora";
export * from "@tessera/convert";
export * from "@tessera/models";
export * from "@tessera/train";
export * from "@tessera/vision";
export {
  blobFolder,
  checkJson,
  checkPush,
  downloadRepository,
  fetchFolder,
  loadTokenizer,
  openCheckpoint,
  openSafetensors,
  parseHandle,
  parseJson,
  prepareRepository,
  pushToHub,
  readHfConfig,
  readJson,
  repositoryToPush,
  showDownloads,
  showPushes,
  torchDtypeOf,
  writeCheckpoint,
  writeSafetensors,
} from "@tessera/hub";
export type {
  BlobFolder,
  CardSection,
  ChatMessage,
  Checkpoint,
  Download,
  DownloadOptions,
  DownloadReporter,
  EnvironmentReader,
  FileEntry,
  Folder,
  HfConfig,
  ModelCardDetails,
  NamedBlob,
  Pushed,
  PushKind,
  PushOptions,
  PushReporter,
  PushTarget,
  TensorSource,
  TensorStore,
  Tokenizer,
  UploadProgress,
  Visibility,
} from "@tessera/hub";
