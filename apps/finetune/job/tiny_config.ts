/** The job that runs without a configuration: the shipped model learns the shipped task by its recipe. */
import { relative } from "node:path";
import { fileURLToPath } from "node:url";
import type { ConfigInput } from "./config.ts";
import { finetuning } from "@tessera/tiny";

/** The path of something in the folder of the tiny model, from where the program runs. */
export function tinyPath(path: string): string {
  return relative(Deno.cwd(), fileURLToPath(new URL(`../../../packages/tiny/${path}`, import.meta.url)));
}

/** The folder of the tiny model. */
export const tinyFolder: string = tinyPath("gemma2-tiny");

/** The job of the tiny model. */
export const tinyConfig: ConfigInput = {
  name: "gemma2-tiny",
  preset: tinyFolder,
  lora: {
    rank: finetuning.rank,
    alpha: finetuning.alpha,
    targets: [finetuning.targets],
    layout: finetuning.layout,
  },
  data: {
    train: tinyPath("data/train.jsonl"),
    heldOut: tinyPath("data/heldout.jsonl"),
    maxLength: finetuning.sequenceLength,
  },
  training: {
    steps: finetuning.steps,
    batchSize: finetuning.batchSize,
    learningRate: finetuning.learningRate,
    schedule: finetuning.schedule,
    warmupSteps: finetuning.warmupSteps,
    beta1: finetuning.beta1,
    beta2: finetuning.beta2,
    weightDecay: finetuning.weightDecay,
    globalClipNorm: finetuning.clipNorm,
    seed: finetuning.seed,
  },
};
