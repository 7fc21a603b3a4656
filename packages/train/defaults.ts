/** What training takes where nothing is said; the command line shares it. */
export const defaults = {
  /** The learning rate. */
  learningRate: 2e-4,
  /** The decay of AdamW. */
  weightDecay: 0.01,
  /** The decay rate of AdamW's momentum. */
  beta1: 0.9,
  /** The decay rate of AdamW's velocity. */
  beta2: 0.999,
  /** The number of examples in a batch. */
  batchSize: 8,
} as const;
