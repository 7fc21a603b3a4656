import assert from "node:assert/strict";
import { CausalLM, openBackend } from "tessera";
import { join } from "node:path";
import { resumeCommand } from "./begun_run.ts";
import { configSchema } from "../job/config.ts";
import { parseArguments } from "../job/command_line.ts";
import { readJob } from "../job/job.ts";
import { main } from "../main.ts";
import { runJob, type RunOptions, type RunResult } from "./run.ts";
import { namesIn, recordingConsole, run, withWorkplace } from "../testing.ts";

Deno.test("runJob() trains, scores before and after, and writes everything", () =>
  withWorkplace(async (folder) => {
    const console = recordingConsole();
    const { output, record } = await run(folder, {}, { console });
    assert.deepEqual(namesIn(output), ["adapter", "config.json", "metrics.json", "report.html"]);
    assert.deepEqual(namesIn(join(output, "adapter")), ["adapter_config.json", "adapter_model.safetensors"]);
    const { training, before, after, generations, plan } = record!;
    assert.equal(training.steps.length, 4);
    assert.deepEqual(training.heldOut.map(({ step }) => step), [0, 2, 4]);
    assert.ok(training.steps.at(-1)!.loss < training.steps[0]!.loss);
    assert.ok(after!.loss < before!.loss);
    assert.equal(after!.loss, training.heldOut.at(-1)!.loss);
    assert.deepEqual([after!.exactMatch!.total, generations.length, plan.questions], [4, 4, 4]);
    assert.equal(generations[0]!.expected, "<8>");
    assert.deepEqual(
      JSON.parse(await Deno.readTextFile(join(output, "metrics.json"))),
      JSON.parse(JSON.stringify(record)),
    );
    assert.match(await Deno.readTextFile(join(output, "report.html")), /<!doctype html>/);
    const text = console.lines.join("\n");
    for (const expected of [/trainable parameters/, /Before training/, /Before → after/, /Say 8/, /peak memory/]) {
      assert.match(text, expected);
    }
    const kept = JSON.parse(await Deno.readTextFile(join(output, "config.json")));
    assert.equal(configSchema.parse(kept).training.epochs, 2, "the job that is kept can be run again");

    const backend = await openBackend("cpu", { threads: 1 });
    const lm = await CausalLM.fromPreset(join(folder, "model"), { backend });
    await lm.loadAdapter(join(output, "adapter"));
    const prompts = generations.map(({ prompt }) => prompt);
    const answers = await lm.generate(prompts, { maxNewTokens: 4 });
    assert.deepEqual(
      answers,
      generations.map((one) => one.after),
      "the adapter that was saved gives the answers that were scored",
    );
    await lm.dispose();
    backend.dispose();
  }));

Deno.test("runJob() saves a whole model after full fine-tuning and for adapters of Keras's layout", () =>
  withWorkplace(async (folder) => {
    for (const lora of [null, { layout: "keras" }] as const) {
      const { output, record } = await run(folder, { lora, training: { steps: 1, batchSize: 4 } });
      assert.equal(record!.saved.kind, "model");
      assert.deepEqual(namesIn(output), ["config.json", "metrics.json", "model", "report.html"]);
      assert.ok(namesIn(join(output, "model")).includes("model.safetensors"));
    }
    assert.deepEqual(namesIn(join(folder, "runs")), ["trial", "trial-2"]);
  }));

Deno.test("runJob() on a mesh learns what it learns on one device, and shows where the weights lie", () =>
  withWorkplace(async (folder) => {
    const training = { steps: 3, batchSize: 4, learningRate: 1e-2 };
    const losses = ({ record }: RunResult) => record!.training.steps.map(({ loss }) => loss);
    const one = await run(folder, { training, evaluation: { exactMatch: false } });
    const console = recordingConsole();
    const four = await run(
      folder,
      { training, evaluation: { exactMatch: false }, mesh: { batch: 2, model: 2 } },
      { console },
    );
    assert.equal(losses(one).length, 3);
    for (const [i, loss] of losses(one).entries()) {
      assert.ok(Math.abs(losses(four)[i]! - loss) < 1e-5 * loss, `${losses(four)}, ${losses(one)}`);
    }
    assert.match(console.lines.join("\n"), /Mesh +batch 2 × model 2 = 4 devices[^]*Per device +weights/);
    const page = await Deno.readTextFile(join(four.output, "report.html"));
    assert.match(page, /Weights on the mesh[^]*attention\/query\/kernel/);
    const { mesh, device } = four.plan;
    assert.equal(mesh!.devices.length, 4);
    assert.ok(device.weights < one.plan.device.weights / 2);
    assert.deepEqual(namesIn(join(four.output, "adapter")), namesIn(join(one.output, "adapter")));
    await assert.rejects(
      run(folder, { mesh: { batch: 2, model: 2 }, layout: { "decoder_block_0/ffw_gatin/kernel": [null, "model"] } }),
      /ffw_gatin.*nearest|ffw_gatin.*did you mean|ffw_gating\/kernel/,
    );
  }));

Deno.test("runJob() ends by hand after a step, with the adapter saved", () =>
  withWorkplace(async (folder) => {
    const controller = new AbortController();
    const console = recordingConsole((label, done) => {
      if (label === "Training" && done === 1) controller.abort(new Error("by hand"));
    });
    const { output, record } = await run(folder, {}, { console, signal: controller.signal });
    assert.deepEqual([record!.training.interrupted, record!.training.steps.length, record!.after], [true, 1, null]);
    assert.ok(namesIn(output).includes("adapter"));
    assert.match(await Deno.readTextFile(join(output, "report.html")), /Ended by hand after 1 of 4/);
  }));

/** Ends a run by hand after a step of its training. */
function endAfter(step: number): Pick<RunOptions, "console" | "signal"> {
  const controller = new AbortController();
  const console = recordingConsole((label, done) => {
    if (label === "Training" && done === step) controller.abort(new Error("by hand"));
  });
  return { console, signal: controller.signal };
}

/** Resumes the run in a folder, as the command line does. */
async function resume(output: string, options: Partial<RunOptions> = {}, flags: string[] = []): Promise<RunResult> {
  const job = await readJob(parseArguments(["--resume", output, ...flags]));
  const signal = new AbortController().signal;
  return await runJob(job, { console: recordingConsole(), signal, overwrite: false, planOnly: false, ...options });
}

/** What a run measured, without what a clock gives. */
function measured({ record }: RunResult): unknown {
  const { training, before, after, generations } = record!;
  const steps = training.steps.map(({ tokensPerSecond: _, ...step }) => step);
  const scores = [before, after].map((score) => ({ ...score!, seconds: 0 }));
  return { steps, heldOut: training.heldOut, tokens: training.tokens, scores, generations };
}

Deno.test("runJob() that was ended by hand resumes as if it had not been, in the same folder", () =>
  withWorkplace(async (folder) => {
    const whole = await run(folder);
    const ended = await run(folder, {}, endAfter(1));
    const { output } = ended;
    assert.equal(ended.resume, `deno task finetune --resume ${output}`);
    assert.deepEqual(namesIn(join(output, "checkpoints")), [
      "checkpoint-000001.json",
      "checkpoint-000001.safetensors",
      "run.json",
    ]);
    const again = endAfter(3);
    assert.deepEqual((await resume(output, again)).record!.training.resumedAfter, [1]);
    assert.match((again.console as ReturnType<typeof recordingConsole>).lines.join("\n"), /Resume with: deno task/);

    const console = recordingConsole();
    const rest = await resume(output, { console }, ["--keep", "1"]);
    assert.deepEqual(measured(rest), measured(whole));
    assert.deepEqual([rest.output, rest.resume, rest.record!.startedAt], [output, null, ended.record!.startedAt]);
    assert.match(console.lines.join("\n"), /Resumes +after step 3 of 4\n[^]*Before → after/);
    assert.match(await Deno.readTextFile(join(output, "report.html")), /Resumed after[^]*step 1, 3/);
    assert.deepEqual(namesIn(output), ["adapter", "config.json", "metrics.json", "report.html"]);
    const adapters = await Promise.all(
      [output, whole.output].map((one) => Deno.readFile(join(one, "adapter", "adapter_model.safetensors"))),
    );
    assert.deepEqual(adapters[0], adapters[1]);
    await assert.rejects(resume(output), { name: "UsageError", message: /^Cannot resume .*: the run is over/ });
  }));

Deno.test("runJob() whose training fails says how to resume, and leaves its folder to it", () =>
  withWorkplace(async (folder) => {
    const console = recordingConsole((label, done) => {
      if (label === "Training" && done === 3) throw Object.assign(new Error("The GPU was lost"), { name: "LostError" });
    });
    const output = join(folder, "runs", "trial");
    await assert.rejects(run(folder, { checkpoint: { everySteps: 2 } }, { console }), {
      name: "LostError",
      message: `The GPU was lost\nResume with: ${resumeCommand(output)}`,
    });
    assert.deepEqual(namesIn(output), ["checkpoints"]);
    const printed = recordingConsole();
    const other = await run(folder, {}, { console: printed });
    assert.ok(printed.lines.includes(`An earlier run was stopped; resume it with: ${resumeCommand(output)}`));
    assert.equal(other.output, join(folder, "runs", "trial-2"), "another run takes another folder");
    assert.deepEqual(measured(await resume(output)), measured(other));
    await assert.rejects(run(folder, { checkpoint: null }, { console }), { message: "The GPU was lost" });
    assert.deepEqual(namesIn(join(folder, "runs")), ["trial", "trial-2"]);
  }));

Deno.test("readJob() says why a run cannot resume", () =>
  withWorkplace(async (folder) => {
    const { output } = await run(folder, {}, endAfter(1));
    const job = (...flags: string[]) => readJob(parseArguments(["--resume", output, ...flags]));
    const refused = (message: RegExp) => ({ name: "UsageError", message });
    await assert.rejects(
      job("--rank", "4"),
      refused(/^Cannot use --lora\.rank with --resume: a resumed run keeps/),
    );
    await assert.rejects(job("--config", "a.json"), refused(/^Cannot use --config with --resume/));
    const { config } = await job("--backend", "tfjs-cpu", "--mesh", "batch=2");
    assert.deepEqual([config.backend, config.mesh], ["tfjs-cpu", { batch: 2 }]);
    assert.equal((await job("--plan")).stopped!.checkpoint.step, 1);
    await assert.rejects(readJob(parseArguments(["--resume", folder])), refused(/there is no run with checkpoints/));

    await Deno.writeTextFile(join(folder, "train.jsonl"), JSON.stringify({ prompt: "Say", response: "no" }) + "\n");
    await assert.rejects(resume(output), { message: /"data\.examples" is 8 there and 1 here[^\n]*$/ });
    await Deno.remove(join(output, "checkpoints", "checkpoint-000001.json"));
    await assert.rejects(job(), refused(/it was stopped before its first checkpoint; start it again$/));
    await Deno.writeTextFile(join(output, "checkpoints", "run.json"), "{");
    await assert.rejects(job(), refused(/^Cannot resume .*run\.json": line 1, column 2 is not JSON/));
  }));

Deno.test("runJob() ends by hand before training with nothing saved", () =>
  withWorkplace(async (folder) => {
    const controller = new AbortController();
    const console = recordingConsole((label) => {
      if (label.startsWith("Before")) controller.abort(new Error("by hand"));
    });
    await assert.rejects(run(folder, {}, { console, signal: controller.signal }), { message: "by hand" });
    assert.deepEqual(namesIn(join(folder, "runs")), []);
  }));

Deno.test("runJob() stops after the plan when asked, and writes nothing", () =>
  withWorkplace(async (folder) => {
    const { plan, record } = await run(folder, { data: { train: join(folder, "train.jsonl"), heldOut: 0.25 } }, {
      planOnly: true,
    });
    assert.equal(record, null);
    assert.deepEqual([plan.train.examples, plan.heldOut!.examples, plan.steps], [6, 2, 4]);
    assert.ok(!namesIn(folder).includes("runs"));
  }));

Deno.test("runJob() works without held-out examples", () =>
  withWorkplace(async (folder) => {
    const { record } = await run(folder, {
      data: { train: join(folder, "train.jsonl"), heldOut: null },
      training: { steps: 1 },
    });
    assert.deepEqual([record!.before, record!.after, record!.generations], [null, null, []]);
  }));

Deno.test("runJob() rejects a warm-up that is longer than the training, before it writes anything", () =>
  withWorkplace(async (folder) => {
    await assert.rejects(run(folder, { training: { epochs: 1, warmupSteps: 9 } }), {
      name: "RangeError",
      message: /warmupSteps/,
    });
    assert.ok(!namesIn(folder).includes("runs"));
  }));

Deno.test("runJob() needs no weights for a plan, and finds what is wrong before it loads any", () =>
  withWorkplace(async (folder) => {
    await Deno.remove(join(folder, "model", "model.safetensors"));
    assert.equal((await run(folder, {}, { planOnly: true })).plan.steps, 4);
    await assert.rejects(run(folder, { lora: { targets: ["qurey"] } }), { message: /did you mean "query"/ });
    await assert.rejects(run(folder, { preset: join(folder, "mdoel") }), { message: /there is no such folder/ });
    await assert.rejects(run(folder), { message: /model\.safetensors/ });
    assert.deepEqual(namesIn(join(folder, "runs")), []);
  }));

Deno.test("main() gives exit codes by what went wrong, and one clear line", async () => {
  const printed: string[] = [];
  const { error } = console;
  console.error = (text: string) => printed.push(text);
  try {
    assert.equal(await main(["--rnk", "4"]), 2);
    assert.equal(await main(["--config", "no/such.json"]), 2);
    assert.equal(await main(["--data", "no/such.jsonl", "--quiet"]), 1);
  } finally {
    console.error = error;
  }
  assert.deepEqual(printed.map((text) => text.split("\n").length), [1, 1, 1]);
  assert.match(printed[2]!, /^Error: .*"no\/such\.jsonl"/);
});

Deno.test("runJob() trains adapters on weights in 8 bits, and refuses to train the weights themselves", () =>
  withWorkplace(async (folder) => {
    const { record, plan } = await run(folder, { quantize: "int8" });
    assert.ok(record!.training.steps.at(-1)!.loss < record!.training.steps[0]!.loss);
    const whole = await run(folder, {}, { planOnly: true });
    assert.ok(
      plan.model.weightBytes < 0.4 * whole.plan.model.weightBytes,
      "the plan must count bytes as they are stored",
    );
    assert.equal(plan.model.parameters, whole.plan.model.parameters);
    await assert.rejects(run(folder, { quantize: "int8", lora: null }), {
      name: "RangeError",
      message: /^Cannot train every weight .* "quantize": "int8": such weights are frozen/,
    });
  }));
