/** The one channel by which long work reports its progress. */

/** What is being done. */
export type WorkPhase = "download" | "load" | "compile" | "train" | "evaluate" | "generate";

/** The progress of some work. */
export interface WorkProgress {
  /** What is being done. */
  readonly phase: WorkPhase;
  /** How much of it is done. */
  readonly done: number;
  /** How much there is to do, at most. */
  readonly total: number;
  /** What is counted. */
  readonly unit: "bytes" | "tensors" | "programs" | "steps" | "batches" | "tokens";
}

/** Is told of work as it proceeds. */
export type WorkListener = (progress: WorkProgress) => void;
