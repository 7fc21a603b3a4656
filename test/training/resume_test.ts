/**
 * Training that was stopped resumes as if it had not been: bit for bit where it began, on another mesh, and on another backend.
 */
import assert from "node:assert/strict";
import { assertAllClose } from "@tessera/core/testing";
import { toFloat32 } from "@tessera/core";
import { openSafetensors } from "@tessera/files";
import type { CompileSettings } from "@tessera/train";
import {
  adamW,
  type Backend,
  type BlobFolder,
  blobFolder,
  type CausalLM,
  createDataset,
  type Distribution,
  type FitOptions,
  openBackend,
  withDistribution,
} from "tessera";
import { distributions, meshOf } from "../support/meshes.ts";
import { countingRows, examplesOf, tinyModel } from "../support/models.ts";

const one = await openBackend("cpu", { threads: 1 });
const many = await openBackend("cpu", { threads: 1, deviceCount: 4 });
const plain = await openBackend("tfjs-cpu");

// Batches of two shapes: four of the longer, three of the shorter, the last of which is not full.
const dataset = createDataset(examplesOf(countingRows([12, 12, 12, 12, 12, 12, 12, 12, 6, 6, 6, 6, 6])), {
  batchSize: 2,
  buckets: [6, 12],
});

/** A training, and what may differ between its parts. */
interface Part {
  readonly backend?: Backend;
  readonly distribution?: Distribution | null;
  readonly prepare: (lm: CausalLM) => void;
  readonly settings?: Partial<CompileSettings>;
  readonly checkpoint?: FitOptions["checkpoint"];
  readonly endAfter?: number;
}

/** The losses of two shuffled epochs, and the trained weights in the end. */
async function train({ backend = one, distribution = null, prepare, settings, checkpoint, endAfter }: Part) {
  return await withDistribution(distribution, async () => {
    const lm = tinyModel(backend);
    prepare(lm);
    const learningRate = { type: "cosine", peak: 5e-3, warmupSteps: 2, totalSteps: 14 } as const;
    lm.compile({ optimizer: adamW({ learningRate, globalClipNorm: 1 }), ...settings });
    const controller = new AbortController();
    const { steps } = await lm.fit(dataset, {
      epochs: 2,
      seed: 5,
      signal: controller.signal,
      onStep: ({ step }) => step === endAfter ? controller.abort() : undefined,
      ...(checkpoint === undefined ? {} : { checkpoint }),
    });
    const trained = lm.variables.filter(({ trainable }) => trainable);
    const weights = await Promise.all(trained.map(async ({ value }) => [...toFloat32(await value!.read())]));
    lm.dispose();
    return { losses: steps.map(({ loss }) => loss), weights };
  });
}

async function tensorsIn(folder: BlobFolder, name: string): Promise<string[]> {
  const file = await openSafetensors(folder.file(name));
  file.close();
  return [...file.tensors.keys()];
}

const lora = (lm: CausalLM) => lm.enableLora({ rank: 2, layout: "peft" });

const methods: Readonly<Record<string, Pick<Part, "prepare" | "settings"> & { readonly stop: number }>> = {
  "LoRA": { prepare: lora, stop: 9 },
  "LoRA with accumulation": { prepare: lora, settings: { gradientAccumulationSteps: 3 }, stop: 4 },
  "all weights": { prepare: () => {}, stop: 3 },
};

for (const [how, { stop, ...part }] of Object.entries(methods)) {
  Deno.test(`${how}: a training that was stopped has the losses and weights of one that was not, bit for bit`, async () => {
    const whole = await train(part);
    const folder = blobFolder();
    await train({ ...part, checkpoint: { folder }, endAfter: stop });
    const rest = await train({ ...part, checkpoint: { folder, resume: true } });
    assert.deepEqual(rest, whole);
    const tensors = await tensorsIn(folder, `checkpoint-${String(stop).padStart(6, "0")}.safetensors`);
    assert.equal(tensors.length, 3 * whole.weights.length, "each trained variable and its two slots, nothing else");
  });
}

Deno.test("a training resumes from a mesh on one device, and from one device on a mesh", async () => {
  const mesh = distributions["the published map"]!(meshOf(many, 2, 2));
  const whole = await train({ prepare: lora });
  for (
    const [first, second] of [[{ backend: many, distribution: mesh }, {}], [{}, { backend: many, distribution: mesh }]]
  ) {
    const folder = blobFolder();
    const begun = await train({ ...first, prepare: lora, checkpoint: { folder }, endAfter: 5 });
    const { losses } = await train({ ...second, prepare: lora, checkpoint: { folder, resume: true } });
    assert.deepEqual(losses.slice(0, 5), begun.losses);
    assert.equal(losses.length, 14);
    assertAllClose(losses, whole.losses, { absolute: 0, relative: 1e-5 });
  }
});

Deno.test("a training resumes on another backend", async () => {
  const whole = await train({ prepare: lora });
  for (const [first, second] of [[one, plain], [plain, one]] as const) {
    const folder = blobFolder();
    const begun = await train({ backend: first, prepare: lora, checkpoint: { folder }, endAfter: 12 });
    const { losses } = await train({ backend: second, prepare: lora, checkpoint: { folder, resume: true } });
    assert.deepEqual(losses.slice(0, 12), begun.losses);
    assert.equal(losses.length, 14);
    assertAllClose(losses, whole.losses, { absolute: 0, relative: 1e-4 });
  }
});

Deno.test("fit() refuses a checkpoint of adapters of another rank or scale, and says where", async () => {
  const folder = blobFolder();
  await train({ prepare: lora, checkpoint: { folder }, endAfter: 1 });
  const resume = (prepare: Part["prepare"]) => train({ prepare, checkpoint: { folder, resume: true } });
  const start =
    'Cannot resume training "gemma_causal_lm" from update 1 in "the given files", which is of another training: ';
  await assert.rejects(resume((lm) => lm.enableLora({ rank: 4, layout: "peft" })), ({ message }: Error) => {
    const path = "decoder_block_0/attention/query/lora_kernel_a";
    assert(
      message.startsWith(`${start}"model.trained.${path}" is float32[32,2] there and float32[32,4] here; `),
      message,
    );
    return / and \d+ more$/.test(message);
  });
  await assert.rejects(resume((lm) => lm.enableLora({ rank: 2, layout: "peft", alpha: 8 })), ({ message }: Error) => {
    const where = "model.adapters.decoder_block_0/attention/query";
    return message.startsWith(`${start}"${where}" is peft, rank 2, alpha 2 there and peft, rank 2, alpha 8 here; `);
  });
  await assert.rejects(resume(() => {}), /"model\.trained\.[^"]+" is (absent|float32\[[\d,]+\]) there and/);
});
