import { defineConfig } from "./job/config.ts";

/** The same job as in `example.config.json`, in a language that can compute: three trials of it would be a loop away. */
export default defineConfig({
  name: "appointments",
  preset: "../../packages/tiny/gemma2-tiny",
  data: {
    train: "../../packages/tiny/data/train.jsonl",
    heldOut: "../../packages/tiny/data/heldout.jsonl",
    maxLength: 128,
  },
  lora: {
    rank: 16,
    alpha: 2 * 16,
    targets: ["query", "key", "value", "attention_output", "ffw_.*"],
  },
  training: {
    epochs: 3,
    batchSize: 16,
    learningRate: 5e-3,
    warmupSteps: 20,
  },
});
