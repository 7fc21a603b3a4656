/**
 * Pretrains `paligemma-tiny` with Tessera, from random weights, on images of shapes that it draws itself, and writes the folder:
 * config, tokenizer, weights, and `pretraining.json`, which says how it went.
 *
 *     deno run -A apps/finetune/shapes/pretrain.ts [--output <folder>] [--phase 1]
 *
 * `--phase` leaves the phases before it out and resumes from the weights in the folder. Images, first weights and order follow from the
 * seed in `recipe.ts`, and kernels sum in the same order in every run: a second run of all steps on the same machine wrote the same
 * bytes. Another processor rounds in other places and ends near the same loss.
 */
import { parseArgs } from "node:util";
import { folderOf } from "@tessera/files";
import { imageEncoding } from "@tessera/models";
import { initialize } from "@tessera/nn";
import { progress } from "@tessera/text";
import { createRandom } from "@tessera/tiny";
import { encodeExamples } from "@tessera/train";
import { adamW, CausalLM, createDataset, type Dataset, loadTokenizer, openBackend, paliGemma } from "tessera";
import { scoreImages } from "./score.ts";
import { rasterize } from "./raster.ts";
import { architecture, contextLength, pretraining as recipe } from "./recipe.ts";
import { drawScene, palettes, tasksOf } from "./scene.ts";
import { tokenizerFiles } from "./tokenizer.ts";

/** The scenes of one call of `fit`. */
const partSteps = 50;

function toJson(value: unknown): string {
  return JSON.stringify(value, null, 2) + "\n";
}

/** Endless sections of the stream of examples, each of `partSteps` batches. */
async function* parts(lm: CausalLM, phase: number): AsyncGenerator<Dataset> {
  const random = createRandom(recipe.seed + 1000 * phase);
  const { scenesPerStep } = recipe;
  for (let part = 0;; part++) {
    const scenes = Array.from({ length: partSteps * scenesPerStep }, () => drawScene(random, palettes.pretraining));
    const drawn = scenes.map((scene) => rasterize(scene).pixels);
    const tasks = scenes.map((scene) => tasksOf(scene, random));
    // The model sees the drawn pixels, so no file is written and read again.
    const images = {
      ...imageEncoding(lm.images!),
      read: (image: string | Uint8Array) => Promise.resolve(image as Uint8Array),
    };
    const examples = tasks[0]!.flatMap((_, kind) =>
      scenes.map((_, i) => ({ kind: "prompt" as const, image: drawn[i]!, ...tasks[i]![kind]!, at: `part ${part}` }))
    );
    const encoded = await encodeExamples(examples, lm.tokenizer, { maxLength: contextLength, images });
    yield createDataset(encoded.examples, {
      batchSize: scenesPerStep * tasks[0]!.length,
      padId: lm.tokenizer.padId!,
      buckets: [88],
    });
  }
}

/** Writes the config, the tokenizer and the preprocessor's settings of the model without weights. */
async function writeFolder(folder: string): Promise<void> {
  await Deno.mkdir(folder, { recursive: true });
  const { tokenizer, config } = tokenizerFiles();
  const { imageSize, patchSize } = architecture.vision;
  const preprocessor = {
    image_processor_type: "SiglipImageProcessor",
    processor_class: "PaliGemmaProcessor",
    image_seq_length: (imageSize / patchSize) ** 2,
    size: { height: imageSize, width: imageSize },
    resample: 3,
    rescale_factor: 1 / 255,
    image_mean: [0.5, 0.5, 0.5],
    image_std: [0.5, 0.5, 0.5],
    do_convert_rgb: true,
    do_resize: true,
    do_rescale: true,
    do_normalize: true,
  };
  await Deno.writeTextFile(`${folder}/tokenizer.json`, toJson(tokenizer));
  await Deno.writeTextFile(`${folder}/tokenizer_config.json`, toJson(config));
  await Deno.writeTextFile(`${folder}/preprocessor_config.json`, toJson(preprocessor));
}

/** Trains through one phase; gives the loss of each step. */
async function trainPhase(lm: CausalLM, phase: number, output: string): Promise<number[]> {
  const { steps, learningRate: peak, warmupSteps, totalSteps } = recipe.phases[phase]!;
  const { beta2, weightDecay, clipNorm } = recipe;
  lm.compile({
    optimizer: adamW({
      learningRate: { type: "cosine", peak, warmupSteps, totalSteps },
      beta2,
      weightDecay,
      globalClipNorm: clipNorm,
      excludeFromWeightDecay: ["/(scale|gamma|beta|bias)$"],
    }),
  });
  const bar = progress({ total: steps, label: `Phase ${phase}`, unit: "steps" });
  const losses: number[] = [];
  for await (const part of parts(lm, phase)) {
    await lm.fit(part, {
      seed: recipe.seed,
      maxSteps: Math.min(partSteps, steps - losses.length),
      onStep: (step) => {
        losses.push(step.loss);
        bar.update(losses.length, { loss: step.loss.toFixed(3), "tokens/s": Math.round(step.tokensPerSecond) });
      },
    });
    // A killed run keeps the weights so far.
    await lm.saveToPreset(output);
    if (losses.length >= steps) break;
  }
  bar.done();
  return losses;
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { output: { type: "string" }, phase: { type: "string" } } });
  const output = values.output ?? new URL("./paligemma-tiny", import.meta.url).pathname;
  const first = Number(values.phase ?? 0);
  await writeFolder(output);
  const backend = await openBackend("cpu");
  const text = { contextLength, bosTokenId: 2, eosTokenIds: [1], padTokenId: 0 };
  const model = paliGemma.build(architecture, { text });
  let lm: CausalLM = new CausalLM({ model, backend, tokenizer: await loadTokenizer(output), preset: folderOf(output) });
  if (first === 0) initialize(lm.variables, backend, { seed: recipe.seed });
  else lm = await CausalLM.fromPreset(output, { backend });
  console.log(lm.summary({ width: 100 }));
  const start = performance.now();
  const losses: number[] = [];
  for (let phase = first; phase < recipe.phases.length; phase++) losses.push(...await trainPhase(lm, phase, output));
  const report = {
    seed: recipe.seed,
    steps: recipe.phases.reduce((sum, { steps }) => sum + steps, 0),
    finalTrainingLoss: losses.slice(-100).reduce((sum, value) => sum + value, 0) / Math.min(100, losses.length),
    heldOut: await scoreImages(lm, 300),
    recipe,
  };
  await Deno.writeTextFile(`${output}/pretraining.json`, toJson(report));
  console.log(`${toJson(report)}${Math.round((performance.now() - start) / 1000)} s. Wrote ${output}`);
  lm.dispose();
  backend.dispose();
}

if (import.meta.main) await main();
