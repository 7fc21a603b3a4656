/**
 * The configuration of a fine-tuning job: one schema from which the flags, the help text, the JSON Schema for editors and
 * every complaint about a wrong field follow.
 */
import { backendNames } from "@tessera/backends";
import { parseHandle, repositoryToPush } from "@tessera/hub";
import { parseMeshAxes } from "@tessera/models";
import { trainingDefaults } from "@tessera/train";
import { z } from "zod";

const count = z.int().min(1);

const lora = z.strictObject({
  rank: count.default(8).describe("The rank of the adapters: more can learn more, and cost more."),
  targets: z.array(z.string().min(1)).min(1).default(["query", "value"]).describe(
    "The layers that get an adapter: names such as query, key, value, attention_output, ffw_gating, ffw_gating_2 and " +
      "ffw_linear, or regular expressions over paths; also in PEFT's words: q_proj, gate_proj, all-linear.",
  ),
  alpha: z.number().positive().nullable().default(null).describe(
    "The scale of the adapters times their rank; null is the rank, so a scale of 1.",
  ),
  layout: z.enum(["peft", "keras"]).default("peft").describe(
    "The shape of the factors: PEFT's, saved as a PEFT adapter, or Keras's, merged into the weights and saved as a whole model.",
  ),
});

const data = z.strictObject({
  train: z.string().min(1).describe(
    "The training examples: a JSONL file of { prompt, response }, { text } or { messages } records; for a model that sees " +
      "images, of { image, prompt, response }, where the path of the image starts at the folder of the file.",
  ),
  heldOut: z.union([z.string().min(1), z.number().gt(0).lt(1)]).nullable().default(0.1).describe(
    "The held-out examples: a JSONL file, a share of the training examples to set aside, or null for none.",
  ),
  maxLength: z.int().min(2).nullable().default(null).describe(
    "The most tokens of an example; null is the context of the model.",
  ),
  overflow: z.enum(["error", "truncate"]).default("error").describe("What happens to an example that is too long."),
  chat: z.boolean().default(false).describe(
    "Puts prompts and responses into the model's chat template, as instruction-tuned models expect.",
  ),
});

const training = z.strictObject({
  epochs: count.default(3).describe("How often every training example is seen."),
  steps: count.nullable().default(null).describe(
    "The number of optimizer steps; when set, it decides instead of epochs.",
  ),
  batchSize: count.default(trainingDefaults.batchSize).describe("The number of examples in a batch."),
  gradientAccumulationSteps: count.default(1).describe("The number of batches whose gradients make one step."),
  learningRate: z.number().positive().default(trainingDefaults.learningRate).describe("The highest learning rate."),
  schedule: z.enum(["cosine", "linear", "constant"]).default("cosine").describe(
    "How the learning rate falls after the warm-up: to zero along half a cosine or a straight line, or not at all.",
  ),
  warmupSteps: z.int().min(0).default(0).describe("The number of steps over which the learning rate rises."),
  beta1: z.number().min(0).lt(1).default(trainingDefaults.beta1).describe(
    "AdamW's decay rate of the mean of the gradients.",
  ),
  beta2: z.number().min(0).lt(1).default(trainingDefaults.beta2).describe(
    "AdamW's decay rate of the mean of their squares.",
  ),
  weightDecay: z.number().min(0).default(trainingDefaults.weightDecay).describe("AdamW's decoupled weight decay."),
  globalClipNorm: z.number().positive().nullable().default(1).describe(
    "The norm that the gradients together are clipped to; null clips nothing.",
  ),
  seed: z.int().min(0).default(1).describe(
    "The seed of the adapters, of the order of examples and of the held-out share.",
  ),
});

const evaluation = z.strictObject({
  exactMatch: z.boolean().default(true).describe(
    "Generates an answer to held-out prompts, before and after, and counts those that are right to the character.",
  ),
  examples: count.default(200).describe("The most held-out prompts to answer."),
  generationBatchSize: count.default(50).describe("The number of prompts answered at once."),
  maxNewTokens: count.default(128).describe("The most tokens of an answer."),
  samples: z.int().min(0).default(4).describe("The number of answers to print; the report has more."),
});

const checkpoint = z.strictObject({
  everySteps: count.nullable().default(null).describe("Saves after every so many steps; null saves by time alone."),
  everyMinutes: z.number().positive().nullable().default(5).describe(
    "Saves when so many minutes have passed since the last time; null saves by steps alone.",
  ),
  keep: count.default(2).describe("The number of checkpoints to keep."),
});

/** A text that a function accepts. */
function readBy(read: (text: string) => unknown) {
  return (text: string, context: z.RefinementCtx) => {
    try {
      read(text);
    } catch (error) {
      context.addIssue((error as Error).message);
    }
  };
}

const push = z.strictObject({
  to: z.string().min(1).superRefine(readBy(repositoryToPush)).nullable().default(null).describe(
    "The repository on the Hugging Face Hub that the results are pushed to, as hf://me/my-gemma; it is made where there is none. " +
      "The token is that of HF_TOKEN.",
  ),
  visibility: z.enum(["private", "public"]).default("private").describe(
    "Who can see a repository that is made for it; one that is there stays as it is.",
  ),
  baseModel: z.string().regex(/^hf:\/\//, 'expected a handle such as "hf://google/gemma-2-9b"').superRefine(
    readBy(parseHandle),
  )
    .nullable().default(null).describe(
      "The base model on the Hub, as hf://google/gemma-2-9b, where preset is a folder.",
    ),
});

const meshAxes = z.union([z.string(), z.record(z.string().min(1), count)]).transform((given, context) => {
  try {
    return typeof given === "string" ? parseMeshAxes(given) : given;
  } catch (error) {
    context.addIssue((error as Error).message);
    return z.NEVER;
  }
});

const mesh = meshAxes.nullable().default(null).describe(
  "The devices by axis, as batch=2,model=2 or { batch: 2, model: 2 }; they are NVIDIA's GPUs with onnx-cuda, else virtual ones that share this computer's processor or GPU. null is one device.",
);

const dimension = z.union([z.string().min(1), z.array(z.string().min(1)), z.null()]);

const layout = z.union([z.enum(["auto", "data-parallel"]), z.record(z.string().min(1), z.array(dimension))]).default(
  "auto",
).describe(
  "Where weights lie on the mesh: auto is the architecture's published layout map, data-parallel replicates them on every " +
    "device; or regular expressions over paths, each with the mesh axis of every dimension.",
);

/** The schema of a job. */
export const configSchema = z.strictObject({
  $schema: z.string().optional().describe("Where editors find this schema, such as ./schema.json."),
  name: z.string().regex(/^[\w.-]+$/, "expected letters, digits, dots, dashes and underscores").optional().describe(
    "The name of the run; that of the preset when absent.",
  ),
  preset: z.string().min(1).describe(
    "The model to start from: a folder with a Hugging Face checkpoint, a preset such as gemma2_2b_en, or a repository of the " +
      "Hub such as hf://google/gemma-2-2b, which is downloaded where it is not on this machine.",
  ),
  output: z.string().min(1).optional().describe(
    "The folder for the results; runs/<name> when absent, with a number behind it where that exists.",
  ),
  backend: z.enum([...backendNames, "auto"]).default("cpu").describe(
    "What runs the programs; auto picks the fastest that is present. The environment variable TESSERA_BACKEND changes the default.",
  ),
  threads: count.nullable().default(null).describe("The number of threads; null leaves it to the backend."),
  dtype: z.enum(["float32", "bfloat16", "float16", "mixed_bfloat16", "mixed_float16"]).default("float32").describe(
    "What the weights are stored and computed in; mixed keeps weights in float32.",
  ),
  quantize: z.enum(["int8", "int4"]).nullable().default(null).describe(
    "Stores the frozen weights in 8 or 4 bits, for less memory; null keeps them as dtype says.",
  ),
  mesh,
  layout,
  lora: lora.nullable().prefault({}).describe("The low-rank adapters; null trains every weight instead."),
  data: data.describe("The examples."),
  training: training.prefault({}).describe("How the model is trained."),
  checkpoint: checkpoint.nullable().prefault({}).describe(
    "How often training is saved, so that --resume resumes it; null never saves it.",
  ),
  evaluation: evaluation.prefault({}).describe("What is measured before and after."),
  push: push.prefault({}).describe("Where the results are shared."),
}).describe("A fine-tuning job of Tessera.");

/** A job as people write it: what has a default may be absent. */
export type ConfigInput = z.input<typeof configSchema>;

/** A job with every default filled in. */
export type Config = z.output<typeof configSchema>;

/** Types the default export of a configuration file in TypeScript. */
export function defineConfig(config: ConfigInput): ConfigInput {
  return config;
}
