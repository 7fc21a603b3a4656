import assert from "node:assert/strict";
import { onnxBackend } from "@tessera/backend-onnx";
import { type FloatDType, toFloat32 } from "@tessera/core";
import { blobFolder, openSafetensors } from "@tessera/files";
import { disposeValues } from "@tessera/nn";
import { createDataset, type Dataset } from "../data/batches.ts";
import type { StepReport, TrainingHistory } from "../history.ts";
import { adamW, type AdamWOptions } from "../optimizer.ts";
import { type BigramModel, bigramModel, data, examples } from "../testing.ts";
import type { CompileSettings, FitOptions } from "../fit_options.ts";
import { Trainer } from "../trainer.ts";
import { listCheckpoints, removeCheckpoints } from "./checkpoint_files.ts";
import { type CheckpointOptions, lastCheckpoint } from "./checkpointer.ts";

const backend = onnxBackend({ threads: 1 });

/** How a model is trained here, and what is changed before. */
interface Fit extends Omit<FitOptions, "checkpoint"> {
  readonly settings?: Partial<CompileSettings>;
  readonly optimizer?: Partial<AdamWOptions>;
  readonly dataset?: Dataset;
  readonly checkpoint?: CheckpointOptions;
  readonly change?: (model: BigramModel) => void;
  readonly name?: string;
  readonly dtype?: FloatDType;
}

/** Trains a fresh model, and gives what happened and the weights in the end. */
async function fit(options: Fit = {}): Promise<{ readonly history: TrainingHistory; readonly weights: number[] }> {
  const { settings, optimizer, dataset = data, change, name, dtype, ...rest } = options;
  const made = bigramModel(backend, dtype);
  const model = name === undefined ? made : { ...made, name };
  change?.(model);
  const learningRate = { type: "cosine", peak: 0.1, warmupSteps: 2, totalSteps: 12 } as const;
  const trainer = new Trainer(model, backend, { optimizer: adamW({ learningRate, ...optimizer }), ...settings });
  try {
    const history = await trainer.fit(dataset, rest);
    return { history, weights: [...toFloat32(await model.table.value!.read())] };
  } finally {
    trainer.dispose();
    disposeValues(model.variables);
  }
}

/** A history without what a clock gives. */
function timeless({ steps, epochs }: TrainingHistory): unknown {
  return { steps: steps.map((step) => ({ ...step, tokensPerSecond: 0 })), epochs };
}

/** Ends training by hand after an update. */
function endAfter(last: number): Pick<FitOptions, "signal" | "onStep"> {
  const controller = new AbortController();
  return {
    signal: controller.signal,
    onStep: ({ step }: StepReport) => step === last ? controller.abort() : undefined,
  };
}

const shuffled = { epochs: 4, seed: 3, validation: data };

for (
  const [what, settings] of [["each batch", {}], ["two batches together", { gradientAccumulationSteps: 2 }]] as const
) {
  Deno.test(`fit() that was ended resumes as if it had not been, with updates on ${what}`, async () => {
    const whole = await fit({ ...shuffled, settings });
    const { length: steps } = whole.history.steps;
    for (const last of [1, Math.ceil(steps / 4), steps - 1, steps]) {
      const folder = blobFolder();
      await fit({ ...shuffled, settings, checkpoint: { folder }, ...endAfter(last) });
      const seen: number[] = [];
      const onStep = ({ step }: StepReport) => void seen.push(step);
      const rest = await fit({ ...shuffled, settings, checkpoint: { folder, resume: true }, onStep });
      assert.deepEqual(timeless(rest.history), timeless(whole.history), `ended after ${last}`);
      assert.deepEqual(rest.weights, whole.weights);
      assert.deepEqual(seen, Array.from({ length: steps - last }, (_, i) => last + i + 1));
    }
  });
}

Deno.test("fit() resumes after several stops, in the middle of an epoch and while it validates", async () => {
  const whole = await fit(shuffled);
  const folder = blobFolder();
  const checkpoint = { folder, resume: true };
  for (const last of [2, 4, 5, 9]) await fit({ ...shuffled, checkpoint, ...endAfter(last) });
  const controller = new AbortController();
  await fit({ ...shuffled, checkpoint, signal: controller.signal, onEpoch: () => controller.abort() });
  const rest = await fit({ ...shuffled, checkpoint });
  assert.deepEqual(timeless(rest.history), timeless(whole.history));
  assert.deepEqual(rest.weights, whole.weights);
});

Deno.test("fit() resumes with weights in 16 bits, and with their copies in float32", async () => {
  const whole = await fit({ ...shuffled, dtype: "bfloat16" });
  const folder = blobFolder();
  await fit({ ...shuffled, dtype: "bfloat16", checkpoint: { folder }, ...endAfter(7) });
  const file = await openSafetensors(folder.file("checkpoint-000007.safetensors"));
  file.close();
  const types = [...file.tensors].map(([name, { dtype }]) => `${name} ${dtype}`);
  assert.deepEqual(types.sort(), [
    "adamw/table_master F32",
    "adamw/table_momentum F32",
    "adamw/table_velocity F32",
    "table BF16",
  ]);
  const rest = await fit({ ...shuffled, dtype: "bfloat16", checkpoint: { folder, resume: true } });
  assert.deepEqual(timeless(rest.history), timeless(whole.history));
  assert.deepEqual(rest.weights, whole.weights);
});

Deno.test("fit() keeps the last checkpoints, those of the last update among them, and only what is trained", async () => {
  const folder = blobFolder();
  await fit({ ...shuffled, checkpoint: { folder, everySteps: 5 } });
  assert.deepEqual(await listCheckpoints(folder), [12, 10]);
  assert.deepEqual([...folder.files.keys()].sort(), [
    "checkpoint-000010.json",
    "checkpoint-000010.safetensors",
    "checkpoint-000012.json",
    "checkpoint-000012.safetensors",
  ]);
  const file = await openSafetensors(folder.file("checkpoint-000012.safetensors"));
  assert.deepEqual([...file.tensors.keys()], ["table", "adamw/table_momentum", "adamw/table_velocity"]);
  file.close();
  const { step, steps, history } = (await lastCheckpoint(folder))!;
  assert.deepEqual([step, steps, history.steps.length], [12, 12, 12]);
  await removeCheckpoints(folder);
  assert.deepEqual([folder.files.size, await lastCheckpoint(folder)], [0, null]);
  await fit({ ...shuffled, checkpoint: { folder, everySteps: 2, keep: 4 } });
  assert.deepEqual(await listCheckpoints(folder), [12, 10, 8, 6]);
});

Deno.test("fit() saves when enough time has passed", async () => {
  const folder = blobFolder();
  await fit({ ...shuffled, checkpoint: { folder, everyMinutes: 1e-9, keep: 99 } });
  assert.equal((await listCheckpoints(folder)).length, 12);
});

Deno.test("fit() that is over can resume for more epochs", async () => {
  const optimizer = { learningRate: 0.1 };
  const folder = blobFolder();
  await fit({ ...shuffled, optimizer, epochs: 2, checkpoint: { folder } });
  const longer = await fit({ ...shuffled, optimizer, checkpoint: { folder, resume: true } });
  const whole = await fit({ ...shuffled, optimizer });
  assert.deepEqual(longer.weights, whole.weights);
  assert.deepEqual(longer.history.epochs, whole.history.epochs);
  await assert.rejects(fit({ ...shuffled, optimizer, maxSteps: 7, checkpoint: { folder, resume: true } }), {
    name: "RangeError",
    message:
      'Cannot resume training "bigram" from "the given files": its checkpoint has made 12 updates, and 7 are asked for; raise maxSteps or epochs',
  });
});

Deno.test("fit() with resume starts from the beginning where there is no checkpoint", async () => {
  const folder = blobFolder();
  const { history } = await fit({ checkpoint: { folder, resume: true } });
  assert.equal(history.steps[0]!.step, 1);
});

/** Requires that training does not resume from a checkpoint of the model as it is, and that the folder stays as it was. */
async function assertRefused(options: Fit, message: RegExp | string): Promise<void> {
  const folder = blobFolder();
  await fit({ ...shuffled, checkpoint: { folder }, ...endAfter(5) });
  const before = [...folder.files];
  await assert.rejects(fit({ ...shuffled, checkpoint: { folder, resume: true }, ...options }), { message });
  assert.deepEqual([...folder.files], before);
}

const another = 'Cannot resume training "bigram" from update 5 in "the given files", which is of another training: ';

Deno.test("fit() refuses a checkpoint of another optimizer, schedule or accumulation, and says what differs", async () => {
  await assertRefused(
    { optimizer: { beta2: 0.99, globalClipNorm: 1 } },
    `${another}"optimizer.beta2" is 0.999 there and 0.99 here; "optimizer.globalClipNorm" is null there and 1 here`,
  );
  await assertRefused(
    { optimizer: { learningRate: { type: "cosine", peak: 0.1, warmupSteps: 2, totalSteps: 13 } } },
    `${another}"optimizer.learningRate.totalSteps" is 12 there and 13 here`,
  );
  await assertRefused(
    { settings: { gradientAccumulationSteps: 2 } },
    `${another}"training.gradientAccumulationSteps" is 1 there and 2 here`,
  );
});

Deno.test("fit() refuses a checkpoint of other data, or of another order", async () => {
  await assertRefused({ seed: 4 }, `${another}"training.seed" is 3 there and 4 here`);
  const rows = [[0, 1, 2, 3], [1, 2], [2, 3, 4], [3, 4, 0, 1, 2], [4, 1]];
  await assertRefused(
    { dataset: createDataset(examples(rows), { batchSize: 2, buckets: [5] }) },
    `${another}the examples are others`,
  );
  await assertRefused(
    { dataset: createDataset(data.examples, { batchSize: 1, buckets: [5] }) },
    `${another}"data.batchSize" is 2 there and 1 here; "data.batches" is 3 there and 5 here`,
  );
});

Deno.test("fit() refuses a checkpoint of another model, and says which weights differ", async () => {
  await assertRefused({ name: "trigram" }, /of another training: "model\.name" is bigram there and trigram here$/);
  await assertRefused(
    { change: ({ frozen }) => frozen.trainable = true },
    new RegExp(
      `^${another}"model\\.frozenBytes\\.float32" is 4 there and absent here; the frozen weights have other values; ` +
        '"model\\.trained\\.frozen" is absent there and float32\\[1\\] here$',
    ),
  );
  await assertRefused(
    {
      change: ({ frozen }) => frozen.value = backend.upload({ shape: [1], dtype: "float32", data: Float32Array.of(2) }),
    },
    `${another}the frozen weights have other values`,
  );
});

Deno.test("fit() refuses a folder with checkpoints that it is not to resume from", async () => {
  await assertRefused(
    { checkpoint: { folder: await folderAfterFive() } },
    'Cannot train "bigram" with checkpoints in "the given files": it has one of a training that had made 5 updates; ' +
      "give resume: true to resume from it, or name another folder",
  );
});

async function folderAfterFive() {
  const folder = blobFolder();
  await fit({ ...shuffled, checkpoint: { folder, everySteps: 3 }, ...endAfter(5) });
  return folder;
}

Deno.test("fit() says which checkpoint is damaged, and resumes from the one before when it is gone", async () => {
  const folder = await folderAfterFive();
  const text = await folder.file("checkpoint-000005.json").text();
  const resume = () => fit({ ...shuffled, checkpoint: { folder, resume: true } });
  const write = (name: string, content: string) =>
    folder.file(name).write((write) => write(new TextEncoder().encode(content)));
  const advice = 'remove the damaged checkpoint\'s files from "the given files" to resume from the one before';
  for (const [content, reason] of [[text!.slice(0, 40), "is not JSON"], ['{"format":2}', "reads format 1"]] as const) {
    await write("checkpoint-000005.json", content);
    await assert.rejects(resume(), ({ message }: Error) => {
      assert(message.startsWith('Cannot resume training "bigram" from update 5: '), message);
      return message.includes(reason) && message.endsWith(advice);
    });
  }
  await write("checkpoint-000005.json", text!);
  await write("checkpoint-000005.safetensors", "");
  await assert.rejects(resume(), ({ message }: Error) => message.endsWith(advice));
  for (const kind of ["json", "safetensors"]) await folder.file(`checkpoint-000005.${kind}`).remove();
  assert.deepEqual((await resume()).weights, (await fit(shuffled)).weights);
});

Deno.test("fit() rejects options of checkpoints that are out of range", async () => {
  for (const [name, value] of [["everySteps", 0], ["everyMinutes", 0], ["keep", 0], ["everySteps", 1.5]] as const) {
    await assert.rejects(fit({ checkpoint: { folder: blobFolder(), [name]: value } }), {
      name: "RangeError",
      message: new RegExp(`^Cannot save "bigram" while it trains: ${name} must be .*, found ${value}$`),
    });
  }
});

Deno.test("an error of the backend says what is saved, and keeps its name", async () => {
  const folder = blobFolder();
  const failing = { ...backend, compile: backend.compile.bind(backend) };
  let runs = 0;
  failing.compile = async (graph, options) => {
    const executable = await backend.compile(graph, options);
    return {
      ...executable,
      dispose: () => executable.dispose(),
      run: async (inputs) => {
        if (++runs === 4) throw Object.assign(new Error("The GPU was lost"), { name: "DeviceLostError" });
        return await executable.run(inputs);
      },
    };
  };
  const model = bigramModel(backend);
  const trainer = new Trainer(model, failing, { optimizer: adamW({ learningRate: 0.1 }) });
  await assert.rejects(trainer.fit(data, { epochs: 2, checkpoint: { folder, everySteps: 2 } }), {
    name: "DeviceLostError",
    message: 'The GPU was lost; update 2 is saved in "the given files", from where the training can be resumed',
  });
  // On the same trainer, too.
  const { steps } = await trainer.fit(data, { epochs: 2, checkpoint: { folder, everySteps: 2, resume: true } });
  const { history } = await fit({ optimizer: { learningRate: 0.1 }, epochs: 2 });
  assert.deepEqual(steps.map(({ loss }) => loss), history.steps.map(({ loss }) => loss));
  trainer.dispose();
  disposeValues(model.variables);
});
