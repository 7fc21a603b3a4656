/** What the page and its worker tell each other: plain values that a message can hold. */

/** What a model is, as far as its config says. */
export interface ModelFacts {
  /** The name of its folder. */
  readonly name: string;
  /** The architecture, such as `gemma2`. */
  readonly architecture: string;
  /** The number of parameters. */
  readonly parameters: number;
  /** The number of layers. */
  readonly layers: number;
  /** The longest text, in tokens. */
  readonly contextLength: number;
  /** The size of the weights once they are loaded, in bytes. */
  readonly weightBytes: number;
  /** Whether it has a chat template, as instruction-tuned models have. */
  readonly hasChatTemplate: boolean;
}

/** A question and its right answer. */
export interface Pair {
  /** What the model is asked. */
  readonly prompt: string;
  /** What it is to answer. */
  readonly response: string;
}

/** What training examples are. */
export interface ExampleFacts {
  /** Where they come from. */
  readonly source: string;
  /** The number of examples. */
  readonly count: number;
  /** The examples that training does not see and that are asked before and after. */
  readonly questions: readonly Pair[];
}

/** How a model is fine-tuned. */
export interface Settings {
  /** The number of updates. */
  readonly steps: number;
  /** The batch size. */
  readonly batchSize: number;
  /** The highest learning rate. */
  readonly learningRate: number;
  /** The rank of the adapters. */
  readonly rank: number;
  /** The scale of the adapters, times the rank. */
  readonly alpha: number;
  /** The layers that get an adapter, as a regular expression over their names. */
  readonly targets: string;
  /** The most tokens of an example; what is longer is cut off. */
  readonly maxLength: number;
  /** The seed of the adapters and of the order of examples. */
  readonly seed: number;
  /** Whether prompts go into the model's chat template. */
  readonly chat: boolean;
}

/** What fine-tuning will do. */
export interface Plan {
  /** The number of parameters that are trained. */
  readonly trainable: number;
  /** The size of the loaded weights, in bytes. */
  readonly weightBytes: number;
  /** The size of the adapters and of the optimizer's two means of each of their parameters, in bytes. */
  readonly adapterBytes: number;
  /** The peak of the values of a step, in bytes. */
  readonly activationBytes: number;
  /** The size of the adapter's files, in bytes. */
  readonly fileBytes: number;
  /** The number of examples to train on. */
  readonly examples: number;
  /** The number of tokens in them. */
  readonly tokens: number;
  /** How often each example is seen. */
  readonly epochs: number;
  /** The number of updates. */
  readonly steps: number;
  /** The number of examples that were cut off at `maxLength`. */
  readonly truncated: number;
}

/** What an update did. */
export interface StepFacts {
  /** The number of updates so far, this one included. */
  readonly step: number;
  /** The number of updates in all. */
  readonly steps: number;
  /** The mean loss of its batch, before the update. */
  readonly loss: number;
  /** The number of real tokens that it read. */
  readonly tokens: number;
}
