/**
 * Tessera: shard, fine-tune and run large language models in TypeScript.
 *
 * This module has what a program that uses models needs; the layers below are in the sub-paths, such as `tessera/core`,
 * and in the packages, such as `@tessera/core`, which are the same.
 *
 * ```ts
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

// Models: the architectures, and the tasks on top of them.
export * from "@tessera/models/architectures";
export { Backbone, buildPreset, CausalLM, OpenedPreset, openPreset, presets } from "@tessera/models";
export type {
  ChatGenerateOptions,
  DataOptions,
  FromPresetOptions,
  GenerateOptions,
  ImagePrompt,
  PresetName,
  Prompt,
} from "@tessera/models";
export { formatSummary } from "@tessera/nn";
export { loadTokenizer } from "@tessera/tokenizer";
export type { ChatMessage, Tokenizer } from "@tessera/tokenizer";

// Backends, and the devices of a mesh.
export { openBackend } from "@tessera/backends";
export type { BackendName } from "@tessera/backends";
export type { Backend } from "@tessera/runtime";
export {
  DataParallel,
  DeviceMesh,
  LayoutMap,
  listDevices,
  ModelParallel,
  setDistribution,
  TensorLayout,
  virtualDevices,
  visualizeSharding,
  withDistribution,
} from "@tessera/mesh";
export type { Distribution } from "@tessera/mesh";

// Fine-tuning: adapters, data, optimizers, the course of training.
export { enableLora } from "@tessera/lora";
export type { LoraOptions } from "@tessera/lora";
export { adamW, createDataset, lastCheckpoint } from "@tessera/train";
export type {
  AdamWOptions,
  CheckpointOptions,
  Dataset,
  Evaluation,
  FitOptions,
  Optimizer,
  Schedule,
  StepReport,
  TrainingHistory,
} from "@tessera/train";

// Plans: what training takes, before anything is loaded.
export { distributionFor, hardware, planTraining, suggestMeshes } from "@tessera/models";
export type { TrainingPlan } from "@tessera/models";

// Files, and the Hugging Face Hub.
export { blobFolder, fetchFolder } from "@tessera/files";
export type { BlobFolder, Folder } from "@tessera/files";
export { downloadRepository, pushToHub } from "@tessera/hub";
export type { PushOptions } from "@tessera/hub";
export { readImage } from "@tessera/vision";

// Errors that programs act on, and whether work ended because a signal aborted it.
export { CapacityError, CheckpointError, HubError, isCancelled } from "@tessera/text";
