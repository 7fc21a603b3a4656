import assert from "node:assert/strict";
import { onnxBackend } from "@tessera/backend-onnx";
import { bytesOf, type Graph } from "@tessera/core";
import { disposeValues, Variable, zeros } from "@tessera/nn";
import type { Backend, Excess } from "@tessera/runtime";
import { createDataset } from "./data/batches.ts";
import { checkCapacity } from "./capacity.ts";
import { adamW } from "./optimizer.ts";
import type { TrainableModel } from "./step.ts";
import { bigramModel, examples } from "./testing.ts";
import { Trainer } from "./trainer.ts";

const cpu = onnxBackend({ threads: 1 });

/** A backend on which what a program computes may take so many bytes, and that counts what is put on it. */
function limited(limitBytes: number): Backend & { uploads: number } {
  const backend = {
    ...cpu,
    uploads: 0,
    upload: (...args: Parameters<Backend["upload"]>) => {
      backend.uploads++;
      return cpu.upload(...args);
    },
    excess: ({ nodes }: Graph): Promise<Excess | null> => {
      const large = nodes.flatMap(({ results }) => results).find(({ type }) => bytesOf(type) > limitBytes);
      if (large === undefined) return Promise.resolve(null);
      return Promise.resolve({ what: "a result", type: large.type, bytes: bytesOf(large.type), limitBytes });
    },
  };
  return backend;
}

/** A table of 40 tokens that every position is looked up in, and a head that is trained. */
function wideModel(): TrainableModel {
  const table = new Variable("table", { shape: [40, 8], initializer: zeros(), trainable: false });
  const head = new Variable("head", { shape: [40, 8], initializer: zeros() });
  return {
    name: "wide",
    vocabularySize: 40,
    variables: [table, head],
    hidden: ({ tokenIds }) => table.raw().gather(tokenIds),
    // [batch, time, 8] to [batch, time, 40]
    logits: (hidden) => hidden.reshape([...hidden.shape.slice(0, 2), 1, 8]).mul(head.raw()).sum(-1),
  };
}

const refused = (limitBytes: number, batchSize: number, length: number) =>
  checkCapacity({
    model: wideModel(),
    optimizer: adamW({ learningRate: 1 }),
    backend: limited(limitBytes),
    distribution: null,
    batchSize,
    length,
  });

// The product before the sum takes batch · time · 40 · 8 · 4 bytes; head and its gradient take 1,280.
Deno.test("checkCapacity() lets pass what fits, and what runs where there is no limit", async () => {
  await refused(1280 * 64, 2, 32);
  const backend = cpu;
  const optimizer = adamW({ learningRate: 1 });
  await checkCapacity({ model: wideModel(), optimizer, backend, distribution: null, batchSize: 64, length: 512 });
});

Deno.test("checkCapacity() names the tensor and the limit, and the largest batch that fits", async () => {
  await assert.rejects(refused(1280 * 100, 16, 32), {
    name: "RangeError",
    message:
      'Cannot train "wide" on cpu with batches of 16 × 32 tokens: a result, float32[16,32,40,8], takes 640 KiB, ' +
      "and a program there reads and writes at most 125 KiB of one tensor; a batch of 3 fits, and gradient accumulation " +
      "makes up for it",
  });
  await refused(1280 * 100, 3, 32);
});

Deno.test("checkCapacity() proposes shorter texts where not even one row fits, and another backend where nothing does", async () => {
  await assert.rejects(refused(1280 * 100, 4, 256), { message: /; a batch of 1 × 64 tokens fits$/ });
  await assert.rejects(refused(1000, 1, 16), {
    message: /; no batch of it fits; use another backend, such as cpu$/,
  });
});

Deno.test("checkCapacity() proposes adapters where a whole array is too large", async () => {
  const model = bigramModel(cpu);
  const backend = limited(99);
  const optimizer = adamW({ learningRate: 1 });
  await assert.rejects(
    checkCapacity({ model, optimizer, backend, distribution: null, batchSize: 1, length: 2 }),
    { message: /float32\[5,5\], takes 100 B.*train adapters \(LoRA\) or freeze "table"/ },
  );
  disposeValues(model.variables);
});

Deno.test("fit() refuses the largest batch of a data set before anything is put on the devices", async () => {
  const model = bigramModel(cpu);
  const backend = limited(1000);
  const trainer = new Trainer(model, backend, { optimizer: adamW({ learningRate: 0.1 }) });
  const rows = [[0, 1], [1, 2], ...Array.from({ length: 6 }, () => new Array(16).fill(3))];
  const data = createDataset(examples(rows), { batchSize: 6, buckets: [2, 16] });
  await assert.rejects(trainer.fit(data), { message: /batches of 6 × 16 tokens: .*; a batch of 3 fits/ });
  assert.equal(backend.uploads, 0);
  assert.equal(trainer.optimizerBytes > 0, true);
  assert(trainer.settings.optimizer.variables.every(({ value }) => value === null));
  const smaller = createDataset(examples(rows), { batchSize: 3, buckets: [2, 16] });
  assert.equal((await trainer.fit(smaller, { maxSteps: 1 })).steps.length, 1);
  trainer.dispose();
  disposeValues(model.variables);
});
