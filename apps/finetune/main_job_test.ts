/** The main job on WebGPU: the shipped model, its data and its recipe. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { withGpu } from "@tessera/backend-webgpu/testing";
import { openConsole } from "@tessera/cli";
import { parseArguments } from "./command_line.ts";
import { readJob } from "./job.ts";
import type { RunRecord } from "./record.ts";
import { runJob } from "./run.ts";

/** How many of the thousand steps are made; by then the answers are JSON, and a third to a half of them are right. */
const steps = 60;

/** So few steps need larger ones than the whole job takes. */
const learningRate = 4e-3;

/** The job of `deno task finetune` on a backend, with fewer and larger steps, and fewer answers. */
async function run(backend: string, folder: string): Promise<RunRecord> {
  const length = ["--steps", `${steps}`, "--learningRate", `${learningRate}`, "--evaluation.examples", "50"];
  const line = ["--backend", backend, ...length];
  const { record } = await runJob({ ...await readJob(parseArguments(line)), output: join(folder, backend) }, {
    console: openConsole({ json: true, quiet: true }),
    signal: new AbortController().signal,
    overwrite: false,
    planOnly: false,
  });
  return record!;
}

await withGpu(() => {
  Deno.test("The main job on WebGPU learns what it learns on the processor", async () => {
    const folder = await Deno.makeTempDir();
    try {
      const [cpu, gpu] = [await run("cpu", folder), await run("webgpu", folder)];
      assert(Math.abs(gpu.before!.loss - cpu.before!.loss) < 1e-3, `${gpu.before!.loss}, ${cpu.before!.loss}`);
      // Roundings differ, and grow with every step.
      for (const [i, { loss }] of gpu.training.steps.slice(0, 10).entries()) {
        const expected = cpu.training.steps[i]!.loss;
        assert(Math.abs(loss - expected) < 1e-3 * expected, `step ${i + 1}: ${loss}, expected ${expected}`);
      }
      assert.equal(gpu.training.steps.length, steps);
      assert(gpu.after!.loss < 1.25 * cpu.after!.loss, `${gpu.after!.loss} is as low as ${cpu.after!.loss}`);
      const share = (record: RunRecord) => record.after!.exactMatch!.share;
      assert(share(gpu) >= 0.25, `${share(gpu)} of the answers are right, and ${share(cpu)} on the processor`);
      assert.equal(gpu.before!.exactMatch!.share, cpu.before!.exactMatch!.share);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });
});
