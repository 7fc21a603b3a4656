import assert from "node:assert/strict";
import { join } from "node:path";
import { UsageError } from "@tessera/cli";
import { parseArguments } from "./command_line.ts";
import { isTiny, type Job, readJob } from "./job.ts";
import { finetuning } from "@tessera/tiny";

function jobOf(...line: string[]): Promise<Job> {
  return readJob(parseArguments(line));
}

async function withFile<T>(name: string, text: string, use: (path: string, folder: string) => Promise<T>): Promise<T> {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(join(folder, name), text);
    return await use(join(folder, name), folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const least = { preset: "model", data: { train: "train.jsonl" } };

Deno.test("readJob() takes the shipped job when nothing is said", async () => {
  const { config, output, source } = await jobOf();
  assert.ok(isTiny(config));
  assert.equal(config.name, "gemma2-tiny");
  assert.equal(config.training.steps, finetuning.steps);
  assert.equal(config.lora?.rank, finetuning.rank);
  assert.match(String(config.data.heldOut), /heldout\.jsonl$/);
  assert.deepEqual([output, source], [null, null]);
});

Deno.test("readJob() changes the shipped job by flags", async () => {
  const { config } = await jobOf("--rank", "3", "--data", "mine.jsonl");
  assert.equal(config.lora?.rank, 3);
  assert.equal(config.data.train, "mine.jsonl");
  assert.equal(config.data.heldOut, 0.1, "the held-out set of other data would be meaningless");
  assert.equal((await jobOf("--epochs", "2")).config.training.steps, null, "epochs that are asked for count");
  assert.equal((await jobOf("--steps", "10")).config.training.warmupSteps, 1, "the warm-up fits in");
});

Deno.test("readJob() leaves the recipe of the tiny model when another model is named", async () => {
  const { config } = await jobOf("--preset", "/models/gemma-2-2b/");
  assert.equal(config.name, "gemma-2-2b");
  assert.equal(config.training.learningRate, 2e-4);
  assert.equal(config.training.steps, null);
});

Deno.test("readJob() reads JSON with paths relative to the file, and flags go before it", async () => {
  const job = {
    ...least,
    output: "results",
    data: { train: "sub/train.jsonl", heldOut: "/else/h.jsonl" },
    training: { seed: 4 },
  };
  await withFile("job.json", JSON.stringify(job), async (path, folder) => {
    const { config, output, source } = await jobOf(
      "--config",
      path,
      "--training.batchSize",
      "2",
      "--data",
      "here.jsonl",
    );
    assert.equal(config.preset, join(folder, "model"));
    assert.equal(config.data.heldOut, "/else/h.jsonl");
    assert.equal(config.data.train, "here.jsonl", "the path of a flag is relative to the working folder");
    assert.deepEqual([config.training.batchSize, config.training.seed], [2, 4]);
    assert.deepEqual([output, source], [join(folder, "results"), path]);
  });
});

Deno.test("readJob() reads TypeScript", async () => {
  const text =
    `const train: string = "train.jsonl";\nexport default { preset: "hf://owner/model", data: { train } };\n`;
  await withFile("job.ts", text, async (path, folder) => {
    const { config } = await jobOf("--config", path);
    assert.equal(config.preset, "hf://owner/model");
    assert.equal(config.data.train, join(folder, "train.jsonl"));
  });
  await withFile("job.ts", "export const job = 1;\n", async (path) => {
    await assert.rejects(jobOf("--config", path), { name: "UsageError", message: /no default export/ });
  });
});

Deno.test("the examples are jobs", async () => {
  for (const name of ["example.config.json", "example.config.ts"]) {
    const { config } = await jobOf("--config", join(import.meta.dirname!, "..", name));
    assert.ok(isTiny(config), name);
    assert.equal(config.lora?.alpha, 32);
  }
});

Deno.test("readJob() names the path of a wrong field, and the nearest name of a misspelled one", async () => {
  const cases: [object, RegExp][] = [
    [
      { ...least, training: { learnigRate: 1 } },
      /"training\.learnigRate" is not a known field, did you mean "training\.learningRate"\?/,
    ],
    [{ ...least, lora: { rnak: 2 } }, /"lora\.rnak" is not a known field, did you mean "/],
    [{ ...least, training: { epochs: "three" } }, /"training\.epochs" is "three": .*number/],
    [{ ...least, bakend: "cpu" }, /"bakend" is not a known field, did you mean "backend"\?/],
    [{ preset: "model" }, /"data" is missing/],
    [{ ...least, training: { steps: 5, warmupSteps: 5 } }, /"training\.warmupSteps" is 5; expected less than/],
  ];
  for (const [job, message] of cases) {
    await withFile("job.json", JSON.stringify(job), async (path) => {
      await assert.rejects(jobOf("--config", path), (error) => {
        assert.ok(error instanceof UsageError);
        assert.match(error.message, message);
        assert.ok(error.message.includes(path), error.message);
        return true;
      });
    });
  }
});

Deno.test("readJob() says which file cannot be read, and where it is not JSON", async () => {
  await assert.rejects(jobOf("--config", "no/such.json"), {
    name: "UsageError",
    message: /"no\/such\.json": there is no such file/,
  });
  await withFile("job.json", '{\n  "preset": \n}', async (path) => {
    await assert.rejects(jobOf("--config", path), { name: "UsageError", message: /line 3, column \d+ is not JSON/ });
  });
});

Deno.test("TESSERA_BACKEND changes the default, and nothing that was said", async () => {
  Deno.env.set("TESSERA_BACKEND", "webgpu");
  try {
    assert.equal((await readJob(parseArguments([]))).config.backend, "webgpu");
    assert.equal((await readJob(parseArguments(["--backend", "tfjs-cpu"]))).config.backend, "tfjs-cpu");
    Deno.env.set("TESSERA_BACKEND", "abacus");
    await assert.rejects(readJob(parseArguments([])), /TESSERA_BACKEND=abacus: expected one of cpu, onnx-cuda, webgpu/);
    Deno.env.set("TESSERA_BACKEND", "onnx-cuda");
    assert.equal((await readJob(parseArguments(["--mesh", "batch=2"]))).config.backend, "onnx-cuda");
  } finally {
    Deno.env.delete("TESSERA_BACKEND");
  }
});

Deno.test("readJob() reads a mesh as text and as an object, and layouts by expressions", async () => {
  const axes = { batch: 2, model: 2 };
  assert.deepEqual((await jobOf("--mesh", "batch=2,model=2")).config.mesh, axes);
  assert.equal((await jobOf()).config.mesh, null);
  const layout = { ".*ffw_gating.*/kernel": [null, "model"], "token_embedding/embeddings": [["model", "batch"]] };
  await withFile("job.json", JSON.stringify({ ...least, mesh: axes, layout }), async (path) => {
    const { config } = await jobOf("--config", path);
    assert.deepEqual([config.mesh, config.layout], [axes, layout]);
    assert.equal((await jobOf("--config", path, "--layout", "data-parallel")).config.layout, "data-parallel");
  });
});

Deno.test("readJob() says what is wrong with a mesh", async () => {
  const fails = (line: readonly string[], message: RegExp) => assert.rejects(async () => await jobOf(...line), message);
  await fails(["--mesh", "batch:2"], /Cannot use --mesh batch:2: .*"batch:2" is no axis; expected one such as batch=2/);
  await fails(["--mehs", "batch=2"], /did you mean --mesh\?/);
  await fails(["--layout", "data-parallel"], /"layout" says where weights lie on a mesh; give "mesh" too/);
  await withFile("job.json", JSON.stringify({ ...least, mesh: { batch: 0 } }), async (path) => {
    await fails(["--config", path], /"mesh\.batch"|mesh/);
  });
});
