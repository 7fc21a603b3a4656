/** What a GPU cannot bind: vocabularies whose logits never exist whole, and what is refused before a weight is read. */
import assert from "node:assert/strict";
import { assertAllClose } from "@tessera/core/testing";
import { webgpuBackend } from "@tessera/backend-webgpu";
import { checkTrainingCapacity } from "@tessera/models";
import {
  adamW,
  type Backend,
  CausalLM,
  createDataset,
  enableLora,
  GemmaBackbone,
  type GemmaConfig,
  openBackend,
} from "tessera";
import { withGpu } from "@tessera/backend-webgpu/testing";
import { countingRows, examplesOf, golden, tinyModel } from "../support/models.ts";

const [vocabularySize, batchSize, time] = [20_000, 4, 160];
const dataset = createDataset(examplesOf(countingRows(new Array(batchSize).fill(time), 36)), {
  batchSize,
  buckets: [time],
});

/** The loss of a step of LoRA, and an evaluation after it, with a table of many tokens. */
async function train(backend: Backend) {
  const lm = tinyModel(backend, { vocabularySize, numLayers: 1 });
  lm.enableLora({ rank: 2 });
  lm.compile({ optimizer: adamW({ learningRate: 1e-2 }) });
  const { steps } = await lm.fit(dataset);
  const { loss, accuracy } = await lm.evaluate(dataset);
  await lm.dispose();
  return [...steps.map((step) => step.loss), loss, accuracy];
}

/** Two blocks of Gemma 2 2B, whose arrays are as large as those of all 26. */
const gemma: GemmaConfig = {
  vocabularySize: 256_000,
  numLayers: 2,
  numQueryHeads: 8,
  numKeyValueHeads: 4,
  hiddenDim: 2304,
  intermediateDim: 18_432,
  headDim: 256,
  usePostFfwNorm: true,
  usePostAttentionNorm: true,
  attentionLogitSoftCap: 50,
  finalLogitSoftCap: 30,
  useSlidingWindowAttention: true,
};

/** What asking whether some training fits comes to: nothing, or the message. */
async function refusal(backend: Backend, batchSize: number, length: number, rank: number | null): Promise<string> {
  const backbone = new GemmaBackbone(gemma);
  if (rank !== null) enableLora(backbone, { rank });
  const training = { backbone, optimizer: adamW({ learningRate: 1e-4 }), batchSize, length };
  try {
    await checkTrainingCapacity(training, { backend, distribution: null });
    return "";
  } catch (error) {
    assert(error instanceof RangeError);
    assert(backbone.variables.every(({ value }) => value === null));
    return error.message;
  }
}

await withGpu(() => {
  Deno.test("LoRA on WebGPU with logits larger than a binding has the losses of the processor", async () => {
    // The logits of the batch take 51 MB, those of a chunk 26 MB.
    const backend = await webgpuBackend({ maxBindingBytes: 32 * 2 ** 20 });
    const found = await train(backend);
    backend.dispose();
    const cpu = await openBackend("cpu", { threads: 1 });
    const expected = await train(cpu);
    cpu.dispose();
    assertAllClose(found, expected, { absolute: 0, relative: 1e-4 });
    assert(expected[1]! < expected[0]!, "it must have learned something");
  });

  Deno.test("Gemma 2 2B trains with LoRA where a binding has 128 MiB; what does not fit is refused with what does", async () => {
    const backend = await webgpuBackend({ maxBindingBytes: 128 * 2 ** 20 });
    assert.equal(await refusal(backend, 1, 512, 8), "");
    assert.equal(await refusal(backend, 4, 512, 8), "");
    const large = await refusal(backend, 16, 512, 8);
    assert.match(large, /"gemma_backbone" on webgpu with batches of 16 × 512 tokens: .* takes .*B, .* at most 128 MiB/);
    const fits = Number(/; a batch of (\d+) fits/.exec(large)![1]);
    assert.equal(await refusal(backend, fits, 512, 8), "");
    assert.notEqual(await refusal(backend, fits + 1, 512, 8), "");
    const full = await refusal(backend, 1, 512, null);
    assert.match(full, /float32\[256000,2304\], takes 2.20 GiB.*train adapters \(LoRA\) or freeze "token_embedding/);
    assert.equal(backend.memory().usedBytes, 0);
    backend.dispose();
  });

  Deno.test("fromPreset() on WebGPU refuses a weight that fits no binding, and reads none", async () => {
    const folder = await Deno.makeTempDir();
    const backend = await webgpuBackend({ maxBindingBytes: 64 });
    try {
      await Deno.copyFile(`${golden("gemma/gemma2_gqa")}/config.json`, `${folder}/config.json`);
      // Who reads this finds no tensors in it.
      await Deno.writeTextFile(`${folder}/model.safetensors`, "weights");
      await assert.rejects(CausalLM.fromPreset(folder, { backend }), {
        name: "RangeError",
        message:
          /Cannot load "gemma_causal_lm" on webgpu: .*takes .* at most 64 B of one tensor; use "quantize", or another/,
      });
      assert.equal(backend.memory().usedBytes, 0);
    } finally {
      backend.dispose();
      await Deno.remove(folder, { recursive: true });
    }
  });
});
