import assert from "node:assert/strict";
import { onnxBackend } from "@tessera/backend-onnx";
import { toFloat32 } from "@tessera/core";
import { disposeValues } from "@tessera/nn";
import { createDataset } from "./data/batches.ts";
import type { EpochReport, StepReport } from "./history.ts";
import { adamW } from "./optimizer.ts";
import { type BigramModel, bigramModel, data, examples } from "./testing.ts";
import type { CompileSettings } from "./fit_options.ts";
import { Trainer } from "./trainer.ts";

const backend = onnxBackend({ threads: 1 });

async function withTrainer(
  run: (trainer: Trainer, model: BigramModel) => Promise<void>,
  settings: Partial<CompileSettings> = {},
): Promise<void> {
  const model = bigramModel(backend);
  const trainer = new Trainer(model, backend, { optimizer: adamW({ learningRate: 0.1 }), ...settings });
  try {
    await run(trainer, model);
  } finally {
    trainer.dispose();
    disposeValues(model.variables);
  }
}

Deno.test("fit() reports each update and each epoch, and its losses are means over tokens", async () => {
  await withTrainer(async (trainer) => {
    const [steps, epochs]: [StepReport[], EpochReport[]] = [[], []];
    const history = await trainer.fit(data, {
      epochs: 2,
      onStep: (report) => void steps.push(report),
      onEpoch: (report) => void epochs.push(report),
    });
    assert.deepEqual(history, { steps, epochs });
    assert.deepEqual(steps.map(({ step, steps, epoch }) => [step, steps, epoch]), [
      [1, 6, 0],
      [2, 6, 0],
      [3, 6, 0],
      [4, 6, 1],
      [5, 6, 1],
      [6, 6, 1],
    ]);
    assert.deepEqual(
      steps.slice(0, 3).map(({ tokens }) => tokens),
      [6, 8, 2],
      "real tokens, without padding and empty rows",
    );
    assert(Math.abs(steps[0]!.loss - Math.log(5)) < 1e-6, `${steps[0]!.loss}`);
    assert(steps.every(({ learningRate, tokensPerSecond }) => learningRate === 0.1 && tokensPerSecond > 0));
    assert.deepEqual(epochs.map(({ epoch }) => epoch), [0, 1]);
    // Of 16 tokens, the first of each of the 5 rows is not predicted.
    const mean = [4, 6, 1].reduce((sum, tokens, i) => sum + steps[i]!.loss * tokens, 0) / 11;
    assert(Math.abs(epochs[0]!.loss - mean) < 1e-6);
    assert(epochs[1]!.loss < epochs[0]!.loss);
  });
});

Deno.test("fit() learns, trains what is trainable only, and resumes where it stopped", async () => {
  await withTrainer(async (trainer, model) => {
    await trainer.fit(data, { epochs: 40 });
    assert.equal(trainer.updates, 120);
    await trainer.fit(data, { epochs: 10 });
    assert.equal(trainer.updates, 150);
    const { loss, accuracy, tokens } = await trainer.evaluate(data);
    assert(loss < 0.05, `${loss}`);
    assert.deepEqual([accuracy, tokens], [1, 11]);
    assert.deepEqual([...toFloat32(await model.frozen.value!.read())], [1]);
    assert.equal(trainer.optimizerBytes, 200);
  });
});

Deno.test("evaluate() gives the mean over all tokens, whatever the batches, and changes nothing", async () => {
  await withTrainer(async (trainer, model) => {
    await trainer.fit(data, { epochs: 3 });
    const before = await model.table.value!.read();
    const results = [];
    for (const [batchSize, buckets, batches] of [[1, [2, 3, 5], 5], [5, [8], 1], [2, [5], 3]] as const) {
      const seen: number[][] = [];
      const dataset = createDataset(data.examples, { batchSize, buckets });
      results.push(
        await trainer.evaluate(dataset, {
          onProgress: ({ phase, done, total }) => void (phase === "evaluate" && seen.push([done, total])),
        }),
      );
      assert.deepEqual(seen, Array.from({ length: batches }, (_, i) => [i + 1, batches]));
    }
    for (const { loss, accuracy, tokens } of results) {
      assert(Math.abs(loss - results[0]!.loss) < 1e-6);
      assert.deepEqual([accuracy, tokens], [results[0]!.accuracy, 11]);
    }
    assert.deepEqual(await model.table.value!.read(), before);
  });
});

Deno.test("a batch in which nothing counts has loss zero, and moves nothing", async () => {
  const silent = examples([[0, 1, 2]]).map((example) => ({ ...example, lossMask: new Uint8Array(3) }));
  const dataset = createDataset(silent, { batchSize: 2, buckets: [4] });
  await withTrainer(async (trainer, model) => {
    const { steps } = await trainer.fit(dataset, { epochs: 2 });
    assert.deepEqual(steps.map(({ loss, gradientNorm }) => [loss, gradientNorm]), [[0, 0], [0, 0]]);
    assert(toFloat32(await model.table.value!.read()).every((value) => value === 0));
    assert.deepEqual(await trainer.evaluate(dataset), { loss: 0, accuracy: 0, tokens: 0 });
  });
});

Deno.test("maxSteps ends in the middle of an epoch, which is reported all the same", async () => {
  await withTrainer(async (trainer) => {
    const { steps, epochs } = await trainer.fit(data, { epochs: 9, maxSteps: 4 });
    assert.deepEqual(steps.map(({ steps }) => steps), [4, 4, 4, 4]);
    assert.deepEqual(epochs.map(({ epoch }) => epoch), [0, 1]);
    assert.equal(epochs[1]!.loss, steps[3]!.loss);
  });
});

Deno.test("a signal ends training after the update under way, without validation", async () => {
  await withTrainer(async (trainer) => {
    const controller = new AbortController();
    const onStep = ({ step }: StepReport) => step === 2 ? controller.abort() : undefined;
    const history = await trainer.fit(data, { epochs: 9, signal: controller.signal, onStep, validation: data });
    assert.equal(history.steps.length, 2);
    assert.deepEqual(history.epochs.map(({ validation }) => validation), [undefined]);
    assert.deepEqual(await trainer.fit(data, { signal: controller.signal }), { steps: [], epochs: [] });
  });
});

Deno.test("validation is evaluated after each epoch", async () => {
  await withTrainer(async (trainer) => {
    const { epochs } = await trainer.fit(data, { epochs: 2, validation: data });
    assert.equal(epochs[0]!.validation!.tokens, 11);
    assert.deepEqual(epochs[1]!.validation, await trainer.evaluate(data));
  });
});

Deno.test("the seed decides the order: the same twice, another for another, and for another epoch", async () => {
  const lossesOf = async (seed?: number) => {
    let losses: number[] = [];
    await withTrainer(async (trainer) => {
      const { steps } = await trainer.fit(data, { epochs: 2, ...(seed === undefined ? {} : { seed }) });
      losses = steps.map(({ loss, tokens }) => loss + 100 * tokens);
    }, { optimizer: adamW({ learningRate: 1e-9 }) });
    return losses;
  };
  const first = await lossesOf(1);
  assert.deepEqual(await lossesOf(1), first);
  assert.notDeepEqual(await lossesOf(2), first);
  assert.notDeepEqual(first.slice(3), first.slice(0, 3));
  const inOrder = await lossesOf();
  assert.deepEqual(inOrder.slice(3).map(Math.round), inOrder.slice(0, 3).map(Math.round));
});

Deno.test("accumulation makes an update of what is left at the end of an epoch", async () => {
  await withTrainer(async (trainer) => {
    const { steps } = await trainer.fit(data, { epochs: 2 });
    assert.deepEqual(steps.map(({ tokens }) => tokens), [14, 2, 14, 2]);
    assert.equal(trainer.updates, 4);
  }, { gradientAccumulationSteps: 2 });
});

Deno.test("training can change what is trainable between calls", async () => {
  await withTrainer(async (trainer, model) => {
    await trainer.fit(data);
    const table = await model.table.value!.read();
    model.table.trainable = false;
    model.frozen.trainable = true;
    const { steps } = await trainer.fit(data);
    assert.equal(steps.length, 3);
    assert.deepEqual(await model.table.value!.read(), table);
    assert.notEqual(toFloat32(await model.frozen.value!.read())[0], 1);
    assert.equal(trainer.optimizerBytes, 8);
  });
});

Deno.test("an error in a callback reaches the caller, and training can resume after it", async () => {
  await withTrainer(async (trainer) => {
    const onStep = () => {
      throw new Error("The terminal is gone");
    };
    await assert.rejects(trainer.fit(data, { onStep }), { message: "The terminal is gone" });
    assert.equal((await trainer.fit(data)).steps.length, 3);
  }, { gradientAccumulationSteps: 1 });
});
