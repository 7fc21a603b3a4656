/** What training tells of itself: reports of updates and epochs. */
import type { Evaluation } from "./evaluator.ts";

/** What an update did. */
export interface StepReport {
  /** The number of updates so far in this training, this one and those before it was resumed included. */
  readonly step: number;
  /** The number of updates that this training will make. */
  readonly steps: number;
  /** The number of the epoch, from 0. */
  readonly epoch: number;
  /** The mean loss over the tokens that count, before the update. */
  readonly loss: number;
  /** The number of real tokens read. */
  readonly tokens: number;
  /** Real tokens per second, from the start of this update to its end. */
  readonly tokensPerSecond: number;
  /** The learning rate of the update. */
  readonly learningRate: number;
  /** The joint norm of the gradients, before clipping. */
  readonly gradientNorm: number;
}

/** What happened in an epoch. */
export interface EpochReport {
  /** The number of the epoch, from 0. */
  readonly epoch: number;
  /** The mean training loss over the tokens that count. */
  readonly loss: number;
  /** The evaluation on the validation data, where some was given. */
  readonly validation?: Evaluation;
}

/** What happened in a training, before it was resumed too. */
export interface TrainingHistory {
  /** One entry per update. */
  readonly steps: readonly StepReport[];
  /** One entry per epoch, the last one also when it was cut short. */
  readonly epochs: readonly EpochReport[];
}

/** How far a training has come, between two updates. */
export interface Progress {
  /** The number of updates that the optimizer has made, in earlier trainings too. */
  updates: number;
  /** The number of the epoch under way, from 0. */
  epoch: number;
  /** The number of updates made in it. */
  epochSteps: number;
  /** The sum of the losses in it over the tokens that count. */
  lossSum: number;
  /** The number of those tokens. */
  tokenSum: number;
  /** What happened so far; an epoch is listed when it is over. */
  readonly history: { readonly steps: StepReport[]; readonly epochs: EpochReport[] };
}
