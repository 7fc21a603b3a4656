/** The main job on WebGPU: the shipped model, its data and its recipe. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { withGpu } from "@tessera/backend-webgpu/testing";
import { openConsole } from "@tessera/cli";
import { parseArguments } from "./job/command_line.ts";
import { readJob } from "./job/job.ts";
import type { RunRecord } from "./run/record.ts";
import { runJob } from "./run/run.ts";

/** How many of the thousand steps are made; by then the answers are JSON, and a third to a half of them are right. */
const steps = 60;

/** So few steps need larger ones than the whole job takes. */
const learningRate = 4e-3;

/** The job of `deno task finetune` with some flags. */
async function run(...flags: string[]): Promise<RunRecord> {
  const folder = await Deno.makeTempDir();
  try {
    const { record } = await runJob({ ...await readJob(parseArguments(flags)), output: join(folder, "run") }, {
      console: openConsole({ json: true, quiet: true }),
      signal: new AbortController().signal,
      overwrite: false,
      planOnly: false,
    });
    return record!;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

await withGpu(() => {
  Deno.test("The main job on WebGPU learns what it learns on the processor", async () => {
    const length = ["--steps", `${steps}`, "--learningRate", `${learningRate}`, "--evaluation.examples", "50"];
    const [cpu, gpu] = [await run("--backend", "cpu", ...length), await run("--backend", "webgpu", ...length)];
    assert(Math.abs(gpu.before!.loss - cpu.before!.loss) < 1e-3, `${gpu.before!.loss}, ${cpu.before!.loss}`);
    // Roundings differ, and grow with every step.
    assert.deepEqual([cpu.training.steps.length, gpu.training.steps.length], [steps, steps]);
    for (const [i, { loss }] of gpu.training.steps.slice(0, 10).entries()) {
      const expected = cpu.training.steps[i]!.loss;
      assert(Math.abs(loss - expected) < 1e-3 * expected, `step ${i + 1}: ${loss}, expected ${expected}`);
    }
    assert(gpu.after!.loss < 1.25 * cpu.after!.loss, `${gpu.after!.loss} is as low as ${cpu.after!.loss}`);
    const share = (record: RunRecord) => record.after!.exactMatch!.share;
    assert(share(gpu) >= 0.25, `${share(gpu)} of the answers are right, and ${share(cpu)} on the processor`);
    assert.equal(gpu.before!.exactMatch!.share, cpu.before!.exactMatch!.share);
  });

  Deno.test("The main job on a mesh of one GPU learns what it learns on the processor", async () => {
    const flags = ["--steps", "3", "--batchSize", "4", "--heldOut", "none"];
    const cpu = await run("--backend", "cpu", ...flags);
    const gpu = await run("--backend", "webgpu", "--mesh", "batch=2,model=2", ...flags);
    const losses = ({ training }: RunRecord) => training.steps.map(({ loss }) => loss);
    assert.deepEqual([losses(cpu).length, losses(gpu).length], [3, 3]);
    for (const [i, loss] of losses(gpu).entries()) {
      assert(Math.abs(loss - losses(cpu)[i]!) < 1e-3, `${losses(gpu)}, expected ${losses(cpu)}`);
    }
  });
});
