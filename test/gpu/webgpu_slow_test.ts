/** The same models on WebGPU: parity with Transformers, training as on the processor, and a mesh on one GPU. */
import assert from "node:assert/strict";
import { assertAllClose } from "@tessera/core/testing";
import { webgpuBackend } from "@tessera/backend-webgpu";
import { withGpu } from "@tessera/backend-webgpu/testing";
import { adamW, CausalLM, createDataset, type Distribution, hardware, planTraining } from "tessera";
import { testModelsOn } from "../support/gpu_models.ts";
import { distributions, meshOf } from "../support/meshes.ts";
import { countingRows, examplesOf, largestDifference, tinyModel, withSavedModel } from "../support/models.ts";
import { trainOnBoth } from "../support/quantized.ts";
import { assertTrainsAsProcessor } from "../support/same_training.ts";

// A software driver gets programs of its own, so those that a GPU gets are requested in addition.
const kinds = [["as the adapter gets it", {}], ["by the programs for GPUs", { programs: "gpu" }]] as const;

await withGpu(async () => {
  for (const [how, options] of kinds) {
    const backend = await webgpuBackend({ ...options, deviceCount: 4 });
    const name = `WebGPU, ${how}`;

    testModelsOn(backend, name);

    for (const quantize of ["int8", "int4"] as const) {
      Deno.test(`An adapter trains on ${quantize} as on the floats that the codes stand for on ${name}`, async () => {
        await withSavedModel(backend, { hiddenDim: 64, vocabularySize: 64 }, async (folder) => {
          const { quantized, floats } = await trainOnBoth(folder, backend, { quantize, length: 12 });
          assert(floats.losses.at(-1)! < floats.losses[0]! - 0.1, `${floats.losses}`);
          for (const [found, expected] of [[quantized.losses, floats.losses], [quantized.factors, floats.factors]]) {
            assertAllClose(found!, expected!, { absolute: 1e-3, relative: 0 });
          }
        });
      });
    }

    for (const quantize of ["int8", "int4"] as const) {
      Deno.test(`${quantize} on a 2×2 mesh has the logits of one device on ${name}`, async () => {
        await withSavedModel(backend, { hiddenDim: 64, headDim: 32, intermediateDim: 512 }, async (folder) => {
          const score = async (distribution: Distribution | null) => {
            const lm = await CausalLM.fromPreset(folder, { backend, distribution, quantize });
            const logits = await lm.score({ tokenIds: countingRows([12, 12], 36) });
            lm.dispose();
            return logits;
          };
          const expected = await score(null);
          const found = await score(distributions["the published map"]!(meshOf(backend, 2, 2)));
          const difference = largestDifference(found, expected);
          assert(difference <= 1e-4, `off by ${difference}`);
        });
      });
    }

    Deno.test(
      `Ten steps of LoRA have the losses and the weights of the processor, on a 2×2 mesh too, on ${name}`,
      () => assertTrainsAsProcessor(backend),
    );

    Deno.test(`A step of LoRA takes the memory that was planned, within 20 %, on ${name}`, async () => {
      const gpu = await webgpuBackend(options);
      const config = { vocabularySize: 2000, numLayers: 3, hiddenDim: 128, intermediateDim: 1024, headDim: 32 };
      const lm = tinyModel(gpu, config);
      lm.enableLora({ rank: 4 });
      const optimizer = adamW({ learningRate: 1e-3, globalClipNorm: 1 });
      lm.compile({ optimizer });
      const [batchSize, length] = [4, 128];
      const examples = examplesOf(countingRows([length, length, length, length]));
      await lm.fit(createDataset(examples, { batchSize, buckets: [length] }), { epochs: 2 });
      const { backbone } = lm;
      const { memory } = planTraining({ backbone, optimizer, batchSize, length }, {
        distribution: null,
        hardware: hardware.laptop,
      });
      const { usedBytes, peakBytes } = gpu.memory();
      assert.equal(usedBytes, memory.weights + memory.optimizer, "between steps only weights and slots stay");
      const ratio = peakBytes / memory.training;
      assert(ratio > 0.8 && ratio < 1.2, `planned ${memory.training} B, found ${peakBytes} B: ${ratio}`);
      lm.dispose();
      gpu.dispose();
    });
  }
});
