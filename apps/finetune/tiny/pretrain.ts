/**
 * Pretrains `gemma2-tiny` with Tessera, from random weights, on text that `pretraining.ts` makes up, and writes the weights beside
 * its config and tokenizer, with `pretraining.json`, which says how it went.
 *
 *     deno run -A apps/finetune/tiny/pretrain.ts [--steps 3000] [--output <folder>]
 *
 * Everything follows from the seed in `recipe.ts`; a second run ends at the same loss.
 */
import { parseArgs } from "node:util";
import { adamW, CausalLM, createDataset, type Dataset, openBackend, progress, type Tokenizer } from "tessera";
import { pretrainingText } from "./pretraining.ts";
import { pretraining as recipe } from "./recipe.ts";

/** The number of sequences, made from another seed, on which the final loss is measured. */
const heldOutSequences = 128;

/** Documents packed end to end, each between `<bos>` and `<eos>`, and cut into sequences of equal length. */
export function packedSequences(tokenizer: Tokenizer, seed: number, count: number): Dataset {
  const { batchSize, sequenceLength } = recipe;
  const tokens = new Int32Array(count * sequenceLength);
  let filled = 0;
  for (const text of pretrainingText(seed)) {
    const document = [tokenizer.bosId!, ...tokenizer.encode(text), tokenizer.eosId!];
    tokens.set(document.slice(0, tokens.length - filled), filled);
    filled += document.length;
    if (filled >= tokens.length) break;
  }
  const lossMask = new Uint8Array(sequenceLength).fill(1, 1);
  const examples = Array.from({ length: count }, (_, i) => ({
    tokenIds: tokens.subarray(i * sequenceLength, (i + 1) * sequenceLength),
    lossMask,
    at: `sequence ${i}`,
  }));
  return createDataset(examples, { batchSize, padId: tokenizer.padId!, buckets: [sequenceLength] });
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
  const training = packedSequences(lm.tokenizer, recipe.seed, steps * recipe.batchSize);
  const heldOut = packedSequences(lm.tokenizer, recipe.seed + 1, heldOutSequences);
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
  const { epochs } = await lm.fit(training, {
    onStep: ({ step, loss, tokensPerSecond }) =>
      bar.update(step, { loss: loss.toFixed(3), "tokens/s": Math.round(tokensPerSecond) }),
  });
  bar.done();
  const { loss, accuracy } = await lm.evaluate(heldOut);
  const report = {
    seed: recipe.seed,
    steps,
    tokens: steps * recipe.batchSize * recipe.sequenceLength,
    meanTrainingLoss: epochs[0]!.loss,
    heldOutLoss: loss,
    heldOutAccuracy: accuracy,
    seconds: Math.round((performance.now() - start) / 1000),
    recipe,
  };
  await lm.saveToPreset(output);
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
