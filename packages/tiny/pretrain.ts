/**
 * Pretrains `gemma2-tiny` with Tessera, from random weights, on text that `pretraining.ts` makes up, and writes the weights beside
 * its config and tokenizer, with `pretraining.json`, which says how it went.
 *
 *     deno run -A packages/tiny/pretrain.ts [--steps 3000] [--output <folder>]
 *
 * Data, first weights and order follow from the seed in `recipe.ts`, and kernels sum in the same order in every run: a second run of
 * all 4,000 steps on the same machine wrote the same bytes. Another processor, or a kernel that was changed, rounds in other places and
 * ends near the same loss: 0.8931 in place of 0.8932 after the loss was computed in chunks and products in slices.
 */
import { parseArgs } from "node:util";
import { progress } from "@tessera/text";
import { adamW, CausalLM, createDataset, type Dataset, openBackend, type Tokenizer } from "tessera";
import { generateFiles } from "./generate.ts";
import { pretrainingText } from "./pretraining.ts";
import { pretraining as recipe } from "./recipe.ts";

/** The documents of one section of the stream: sorted into batches by length within it, in the order of the stream beyond it. */
const partDocuments = 2048;

/** The lengths that documents are padded to, in tokens. */
const buckets = [48, 64, 80, 96, recipe.sequenceLength];

/** The first `count` documents of a stream in sections, each sequence between `<bos>` and `<eos>`. */
export function* encodedParts(tokenizer: Tokenizer, seed: number, count: number): Generator<Dataset> {
  const stream = pretrainingText(seed);
  for (let done = 0; done < count; done += partDocuments) {
    const examples = Array.from({ length: Math.min(partDocuments, count - done) }, (_, i) => {
      const tokens = [tokenizer.bosId!, ...tokenizer.encode(stream.next().value), tokenizer.eosId!];
      const tokenIds = Int32Array.from(tokens.slice(0, recipe.sequenceLength));
      return { tokenIds, lossMask: new Uint8Array(tokenIds.length).fill(1, 1), at: `document ${done + i}` };
    });
    yield createDataset(examples, { batchSize: recipe.batchSize, padId: tokenizer.padId!, buckets });
  }
}

async function main(): Promise<void> {
  const folder = new URL("./gemma2-tiny", import.meta.url).pathname;
  const { values } = parseArgs({ options: { steps: { type: "string" }, output: { type: "string" } } });
  const steps = Number(values.steps ?? recipe.steps);
  const output = values.output ?? folder;
  const backend = await openBackend("cpu");
  const lm = await CausalLM.fromPreset(folder, { backend, loadWeights: false, seed: recipe.seed });
  console.log(lm.summary({ width: 100 }));
  const bar = progress({ total: steps, label: "Pretraining", unit: "steps" });
  const { learningRate: peak, warmupSteps, beta1, beta2, weightDecay, clipNorm } = recipe;
  lm.compile({
    optimizer: adamW({
      learningRate: { type: recipe.schedule, peak, warmupSteps, totalSteps: steps },
      beta1,
      beta2,
      weightDecay,
      globalClipNorm: clipNorm,
      excludeFromWeightDecay: ["/scale$"],
    }),
  });
  const start = performance.now();
  const losses: number[] = [];
  let tokens = 0;
  // Buckets leave some batches partly empty, so the steps are used up a little before the documents are.
  for (const part of encodedParts(lm.tokenizer, recipe.seed, steps * recipe.batchSize)) {
    if (losses.length >= steps) break;
    await lm.fit(part, {
      seed: recipe.seed,
      maxSteps: steps - losses.length,
      onStep: (step) => {
        losses.push(step.loss);
        tokens += step.tokens;
        bar.update(losses.length, { loss: step.loss.toFixed(3), "tokens/s": Math.round(step.tokensPerSecond) });
      },
    });
    // A killed run keeps the weights so far.
    await lm.saveToPreset(output);
  }
  bar.done();
  const [heldOut] = encodedParts(lm.tokenizer, recipe.seed + 1, partDocuments);
  const { loss, accuracy } = await lm.evaluate(heldOut!);
  const report = {
    seed: recipe.seed,
    steps,
    tokens,
    finalTrainingLoss: losses.slice(-100).reduce((sum, value) => sum + value, 0) / Math.min(100, losses.length),
    heldOutLoss: loss,
    heldOutAccuracy: accuracy,
    seconds: Math.round((performance.now() - start) / 1000),
    recipe,
  };
  await lm.saveToPreset(output);
  // The config as it was: saving writes one of its own, which says the same in other words.
  await Deno.writeTextFile(`${output}/config.json`, generateFiles()["gemma2-tiny/config.json"]!);
  await Deno.writeTextFile(`${output}/pretraining.json`, JSON.stringify(report, null, 2) + "\n");
  console.log(
    `Held-out loss ${loss.toFixed(4)}, next-token accuracy ${
      (100 * accuracy).toFixed(1)
    } %, ${report.seconds} s. Wrote ${output}`,
  );
  lm.dispose();
  backend.dispose();
}

if (import.meta.main) await main();
