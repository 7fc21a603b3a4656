/** How a model is trained, for how long and on what. */
import type { OptionNames, WorkListener } from "@tessera/text";
import type { CheckpointOptions } from "./checkpoints/checkpointer.ts";
import type { Dataset } from "./data/batches.ts";
import type { EpochReport, StepReport } from "./history.ts";
import type { Optimizer } from "./optimizer.ts";

/** How a model is to be trained. */
export interface CompileSettings {
  /** What turns gradients into updates. */
  readonly optimizer: Optimizer;
  /** The number of batches per update; 1 unless given. */
  readonly gradientAccumulationSteps?: number;
}

/** The names of `CompileSettings`. */
export const compileSettingNames: OptionNames<CompileSettings> = { optimizer: true, gradientAccumulationSteps: true };

/** How long and on what to train. */
export interface FitOptions {
  /** How often to go through the data; 1 unless given. */
  readonly epochs?: number;
  /** Stop after this many updates, in the middle of an epoch if need be. */
  readonly maxSteps?: number;
  /** The seed of the order of batches and examples; in their own order unless given. */
  readonly seed?: number;
  /** Where and how often to save the training, and whether it resumes from there; not saved unless given. */
  readonly checkpoint?: CheckpointOptions;
  /** Evaluated after each epoch. */
  readonly validation?: Dataset;
  /** Called after each update. */
  readonly onStep?: (report: StepReport) => void | Promise<void>;
  /** Called after each epoch. */
  readonly onEpoch?: (report: EpochReport) => void | Promise<void>;
  /** Told of each program that is compiled and each update; `onStep` says more of an update. */
  readonly onProgress?: WorkListener;
  /** Ends training after the update under way. */
  readonly signal?: AbortSignal;
}

/** The names of `FitOptions`. */
export const fitOptionNames: OptionNames<FitOptions> = {
  epochs: true,
  maxSteps: true,
  seed: true,
  checkpoint: true,
  validation: true,
  onProgress: true,
  onStep: true,
  onEpoch: true,
  signal: true,
};
