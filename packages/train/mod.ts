/**
 * Training: data, losses, optimizers, schedules and the trainer.
 *
 * @module
 */
export { defaults as trainingDefaults } from "./defaults.ts";
export { checkSchedule, learningRateAt, scheduleTypes } from "./schedules.ts";
export type {
  ConstantSchedule,
  CosineRestartsSchedule,
  CosineSchedule,
  DecayingSchedule,
  InverseSqrtSchedule,
  LinearSchedule,
  PeakedSchedule,
  Schedule,
} from "./schedules.ts";
export { parseExample } from "./data/example.ts";
export type { ChatExample, Example, PromptExample, TextExample } from "./data/example.ts";
export { loadExamples, readExamples } from "./data/jsonl.ts";
export { encodeExamples } from "./data/encode.ts";
export type { EncodedExample, EncodedExamples, EncodeOptions, ImageEncoding } from "./data/encode.ts";
export { layOutImages } from "./data/image_layout.ts";
export type { ImagePlace, ImageStretch, ImageTokens } from "./data/image_layout.ts";
export { batches, createDataset, datasetOptionNames, imageTensor } from "./data/batches.ts";
export type { Batch, BatchShape, Dataset, DatasetOptions, DatasetStatistics, EpochOptions } from "./data/batches.ts";
export { chooseBuckets } from "./data/buckets.ts";
export type { BucketOptions } from "./data/buckets.ts";
export { checkCapacity } from "./capacity.ts";
export type { TrainingDemand } from "./capacity.ts";
export { evaluationSums, languageModelLoss, perToken } from "./losses.ts";
export type { LossInputs, LossSums } from "./losses.ts";
export { adamW } from "./optimizer.ts";
export type { AdamWOptions, Optimizer, Slots, StepScalars } from "./optimizer.ts";
export { Evaluator } from "./evaluator.ts";
export { evaluateOptionNames } from "./evaluator.ts";
export type { EvaluateOptions, Evaluation } from "./evaluator.ts";
export { Trainer } from "./trainer.ts";
export type { CompileSettings, FitOptions } from "./fit_options.ts";
export type { EpochReport, StepReport, TrainingHistory } from "./history.ts";
export { lastCheckpoint } from "./checkpoints/checkpointer.ts";
export type { CheckpointOptions } from "./checkpoints/checkpointer.ts";
export { removeCheckpoints } from "./checkpoints/checkpoint_files.ts";
export type { TrainingCheckpoint } from "./checkpoints/checkpoint_files.ts";
export {
  accumulatorsOf,
  makeAccumulators,
  traceAccumulate,
  traceApply,
  traceEvaluate,
  traceTrainStep,
  trainableVariables,
} from "./step.ts";
export type { ForwardBatch, ModelImages, TrainableModel } from "./step.ts";
