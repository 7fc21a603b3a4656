/** What a run measured and made: the contents of `metrics.json`, from which the report is written. */
import type { DeviceMemory } from "@tessera/models";

/** Examples, as the trainer sees them. */
export interface DataFacts {
  /** Where they come from. */
  readonly source: string;
  /** The number of examples. */
  readonly examples: number;
  /** The number of tokens, without padding. */
  readonly tokens: number;
  /** The number of tokens in the loss mask. */
  readonly targetTokens: number;
  /** The tokens of the longest example. */
  readonly longest: number;
  /** The share of the tokens in batches that is padding. */
  readonly padding: number;
  /** The shapes of batches, `[batch size, tokens]`, and how many there are of each in an epoch. */
  readonly shapes: readonly { readonly shape: readonly [number, number]; readonly batches: number }[];
  /** The number of examples whose end was cut off. */
  readonly truncated: number;
  /** The number of examples that were left out because their loss mask was empty. */
  readonly dropped: number;
}

/** The model, and what is trained of it. */
export interface ModelFacts {
  /** The name of the architecture or of the checkpoint. */
  readonly name: string;
  /** The number of parameters of the model itself. */
  readonly parameters: number;
  /** The number of parameters that are trained. */
  readonly trainable: number;
  /** The size of all stored parameters, in bytes. */
  readonly weightBytes: number;
  /** The size of the optimizer's state, in bytes. */
  readonly optimizerBytes: number;
  /** The most tokens that the model can read. */
  readonly contextLength: number;
  /** Whether it sees images. */
  readonly seesImages: boolean;
}

/** Where one variable lies on a mesh. */
export interface VariableLayout {
  /** The path, such as `decoder_block_0/attention/query/kernel`. */
  readonly path: string;
  /** The shape. */
  readonly shape: readonly number[];
  /** The mesh axes that shard each dimension, the outermost first. */
  readonly dims: readonly (readonly string[])[];
}

/** The devices that share the work. */
export interface MeshFacts {
  /** The axes, in order. */
  readonly axes: readonly { readonly name: string; readonly size: number }[];
  /** The devices, the last axis running fastest. */
  readonly devices: readonly string[];
  /** The variables of one decoder block. */
  readonly block: readonly VariableLayout[];
}

/** What will be done, known before any work. */
export interface Plan {
  /** The model. */
  readonly model: ModelFacts;
  /** The mesh; null for one device. */
  readonly mesh: MeshFacts | null;
  /** Memory of each device, with the largest batch. */
  readonly device: Omit<DeviceMemory, "available" | "cache">;
  /** The training examples. */
  readonly train: DataFacts;
  /** The held-out examples; null without. */
  readonly heldOut: DataFacts | null;
  /** The number of optimizer steps. */
  readonly steps: number;
  /** The number of steps in an epoch. */
  readonly stepsPerEpoch: number;
  /** The number of held-out prompts to answer. */
  readonly questions: number;
}

/** How good the model is on held-out examples. */
export interface Score {
  /** The mean loss over the tokens in the loss mask. */
  readonly loss: number;
  /** The share of those tokens whose likeliest prediction is right. */
  readonly tokenAccuracy: number;
  /** Answers that are right to the character; null where none were generated. */
  readonly exactMatch: {
    /** The number that are right. */
    readonly right: number;
    /** The number of answers. */
    readonly total: number;
    /** The share that is right. */
    readonly share: number;
  } | null;
  /** How well answered boxes fit the right ones; null where no answer has boxes. */
  readonly boxes: {
    /** The mean over the right boxes of the overlap with the answered one, intersection over union; 0 for one not answered. */
    readonly overlap: number;
    /** The number of right boxes. */
    readonly total: number;
  } | null;
  /** How long it took, in seconds. */
  readonly seconds: number;
}

/** One held-out prompt and what became of it. */
export interface Generation {
  /** What the model was given. */
  readonly prompt: string;
  /** The image that it was given before that; left out for text alone. */
  readonly image?: string;
  /** The right answer. */
  readonly expected: string;
  /** The answer before training. */
  readonly before: string;
  /** The answer after training; null when training did not get that far. */
  readonly after: string | null;
}

/** One optimizer step. */
export interface StepRecord {
  /** The number of the step, from 1. */
  readonly step: number;
  /** The mean loss over the tokens in the loss mask. */
  readonly loss: number;
  /** The learning rate. */
  readonly learningRate: number;
  /** The norm of the gradients, before clipping. */
  readonly gradientNorm: number;
  /** Real tokens per second. */
  readonly tokensPerSecond: number;
}

/** The loss on held-out examples at a step. */
export interface HeldOutPoint {
  /** The number of steps done; 0 is before training. */
  readonly step: number;
  /** The mean loss over the tokens in the loss mask. */
  readonly loss: number;
}

/** What training did. */
export interface TrainingFacts {
  /** Every step. */
  readonly steps: readonly StepRecord[];
  /** The loss on held-out examples, before training and after each epoch. */
  readonly heldOut: readonly HeldOutPoint[];
  /** The number of real tokens read. */
  readonly tokens: number;
  /** How long the steps took, those that compile a program included, in seconds. */
  readonly seconds: number;
  /** Real tokens per second over all steps. */
  readonly tokensPerSecond: number;
  /** How long it took until the first step was done, or the first one since it was last resumed, in seconds. */
  readonly secondsToFirstStep: number;
  /** Whether it was ended early by hand. */
  readonly interrupted: boolean;
  /** The steps after which it was stopped and resumed; none when it ran through. */
  readonly resumedAfter: readonly number[];
}

/** A saved result. */
export interface SavedFiles {
  /** Whether it is an adapter or a whole model. */
  readonly kind: "adapter" | "model";
  /** The folder. */
  readonly folder: string;
  /** The size, in bytes. */
  readonly bytes: number;
}

/** Where it ran. */
export interface Environment {
  /** Tessera's version. */
  readonly tessera: string;
  /** Deno's version. */
  readonly deno: string;
  /** The operating system and processor family. */
  readonly system: string;
  /** The number of processors. */
  readonly processors: number;
  /** What ran the programs. */
  readonly backend: string;
  /** The number of threads; null where the backend chose. */
  readonly threads: number | null;
}

/** What a report tells about the job that was run; the configuration may have more, which it shows as it is. */
export interface ReportedJob {
  /** The model that it started from. */
  readonly preset: string;
  /** What the weights were stored and computed in. */
  readonly dtype: string;
  /** The low-rank adapters; null where every weight was trained. */
  readonly lora: {
    /** The rank of the adapters. */
    readonly rank: number;
    /** The scale of the adapters times their rank; null is the rank. */
    readonly alpha: number | null;
    /** The layers that had an adapter. */
    readonly targets: readonly string[];
    /** The shape of the factors: PEFT's or Keras's. */
    readonly layout: string;
  } | null;
  /** How the model was trained. */
  readonly training: {
    /** The number of examples in a batch. */
    readonly batchSize: number;
    /** The number of batches per step (gradient accumulation). */
    readonly gradientAccumulationSteps: number;
    /** The highest learning rate. */
    readonly learningRate: number;
    /** How the learning rate fell after the warm-up. */
    readonly schedule: string;
    /** The number of steps over which the learning rate rose. */
    readonly warmupSteps: number;
    /** AdamW's decay rate of the mean of the gradients. */
    readonly beta1: number;
    /** AdamW's decay rate of the mean of their squares. */
    readonly beta2: number;
    /** AdamW's decoupled weight decay. */
    readonly weightDecay: number;
    /** The seed of all that is random. */
    readonly seed: number;
  };
}

/** Everything that a run of a job measured. */
export interface RunRecord<Job extends ReportedJob = ReportedJob> {
  /** The version of this format. */
  readonly format: 1;
  /** The name of the run. */
  readonly name: string;
  /** When it began, as ISO 8601. */
  readonly startedAt: string;
  /** How long it took in all, or since it was last resumed, in seconds. */
  readonly seconds: number;
  /** The peak resident set size of the process, in bytes. */
  readonly peakMemoryBytes: number;
  /** What was to be done. */
  readonly plan: Plan;
  /** The score before training; null without held-out examples. */
  readonly before: Score | null;
  /** The score after training; null without held-out examples, or when ended by hand. */
  readonly after: Score | null;
  /** What training did. */
  readonly training: TrainingFacts;
  /** Some held-out prompts with the answers before and after. */
  readonly generations: readonly Generation[];
  /** What was saved. */
  readonly saved: SavedFiles;
  /** Where it ran. */
  readonly environment: Environment;
  /** The configuration, with every default filled in. */
  readonly config: Job;
}
