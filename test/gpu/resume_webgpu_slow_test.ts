/** A training whose GPU is lost resumes from its last checkpoint, on the processor or on a GPU that was opened again. */
import assert from "node:assert/strict";
import { webgpuBackend } from "@tessera/backend-webgpu";
import { withGpu } from "@tessera/backend-webgpu/testing";
import { adamW, type Backend, blobFolder, createDataset, type FitOptions, openBackend } from "tessera";
import { countingRows, examplesOf, tinyModel } from "../support/models.ts";

const dataset = createDataset(examplesOf(countingRows([12, 12, 12, 12], 36)), { batchSize: 2, buckets: [12] });

/** The losses of eight steps of LoRA. */
async function train(backend: Backend, options: Pick<FitOptions, "checkpoint" | "onStep"> = {}): Promise<number[]> {
  const lm = tinyModel(backend, { vocabularySize: 64 });
  try {
    lm.enableLora({ rank: 2 });
    lm.compile({ optimizer: adamW({ learningRate: 5e-3 }) });
    const { steps } = await lm.fit(dataset, { epochs: 4, seed: 2, ...options });
    return steps.map(({ loss }) => loss);
  } finally {
    lm.dispose();
  }
}

await withGpu(() => {
  Deno.test("a training whose GPU is lost says what is saved, and resumes elsewhere", async () => {
    const adapter = (await navigator.gpu.requestAdapter())!;
    const device = await adapter.requestDevice();
    const folder = blobFolder();
    const lost = train(await webgpuBackend({ device }), {
      checkpoint: { folder, everySteps: 2 },
      onStep: async ({ step }) => {
        if (step !== 5) return;
        device.destroy();
        await device.lost;
      },
    });
    await assert.rejects(lost, {
      name: "DeviceLostError",
      message: /The GPU was lost .*; update 4 is saved in "the given files", from where the training can be resumed$/,
    });

    const cpu = await openBackend("cpu", { threads: 1 });
    const expected = await train(cpu);
    const assertNear = (losses: readonly number[]) => {
      assert.equal(losses.length, 8);
      losses.forEach((loss, i) => assert(Math.abs(loss - expected[i]!) <= 1e-3, `${losses}, expected ${expected}`));
    };
    const checkpoint = () => ({ folder: blobFolder(folder.files), resume: true });
    assertNear(await train(cpu, { checkpoint: checkpoint() }));
    const again = await openBackend("webgpu");
    assertNear(await train(again, { checkpoint: checkpoint() }));
    again.dispose();
    cpu.dispose();
  });
});
