import assert from "node:assert/strict";
import { serveUploadHub, type UploadHub, type UploadHubOptions } from "@tessera/hub/testing";
import { CausalLM, openBackend } from "tessera";
import { join } from "node:path";
import { parseArguments } from "../job/command_line.ts";
import type { ConfigInput } from "../job/config.ts";
import { readJob } from "../job/job.ts";
import { runJob, type RunOptions } from "./run.ts";
import { namesIn, recordingConsole, run, withWorkplace } from "../testing.ts";

/** Runs a test with a hub, which the environment names for as long. */
async function withHub(
  options: UploadHubOptions,
  use: (hub: UploadHub, folder: string) => Promise<void>,
): Promise<void> {
  const names = ["HF_ENDPOINT", "HF_TOKEN", "HF_HOME"];
  const before = names.map((name) => Deno.env.get(name));
  await using hub = serveUploadHub(options);
  try {
    await withWorkplace(async (folder) => {
      const values = [hub.endpoint, hub.token, join(folder, "cache")];
      names.forEach((name, i) => Deno.env.set(name, values[i]!));
      await use(hub, folder);
    });
  } finally {
    names.forEach((name, i) => before[i] === undefined ? Deno.env.delete(name) : Deno.env.set(name, before[i]));
  }
}

const quick: Partial<ConfigInput> = { training: { steps: 2, batchSize: 4 } };

function pushTo(to: string, changes: Partial<NonNullable<ConfigInput["push"]>> = {}): Partial<ConfigInput> {
  return { ...quick, push: { to, ...changes } };
}

/** The files of a repository, as text. */
function textsOf(hub: UploadHub, repository: string): Map<string, string> {
  const files = Object.entries(hub.repositories.get(repository)!.files);
  const textOf = (content: string | Uint8Array) =>
    typeof content === "string" ? content : new TextDecoder().decode(content);
  return new Map(files.map(([name, content]) => [name, textOf(content)]));
}

async function share(output: string, flags: readonly string[], options: Partial<RunOptions> = {}) {
  const job = await readJob(parseArguments(["--resume", output, ...flags]));
  const signal = new AbortController().signal;
  return await runJob(job, { console: recordingConsole(), signal, overwrite: false, planOnly: false, ...options });
}

Deno.test("runJob() pushes the adapter that it saved, with what was measured, and nothing of this machine", () =>
  withHub({}, async (hub, folder) => {
    const console = recordingConsole();
    const { output, record } = await run(folder, pushTo("hf://me/mine", { baseModel: "hf://owner/base" }), { console });
    const files = textsOf(hub, "me/mine");
    assert.deepEqual([...files.keys()].sort(), [
      ".gitattributes",
      "README.md",
      "adapter_config.json",
      "adapter_model.safetensors",
    ]);
    const bytes = hub.repositories.get("me/mine")!.files["adapter_model.safetensors"];
    assert.deepEqual(bytes, await Deno.readFile(join(output, "adapter", "adapter_model.safetensors")));
    assert.equal(JSON.parse(files.get("adapter_config.json")!).base_model_name_or_path, "owner/base");
    const card = files.get("README.md")!;
    for (
      const text of ["base_model: owner/base", "library_name: peft", "| Loss per token |", "train.jsonl", "of rank 8"]
    ) {
      assert(card.includes(text), `${text} in ${card}`);
    }
    for (const [name, text] of files) {
      assert(!text.includes(folder) && !text.includes("Say 8"), `${name} has a path or a prompt of this machine`);
    }
    const backend = await openBackend("cpu", { threads: 1 });
    const lm = await CausalLM.fromPreset(join(folder, "model"), { backend });
    await lm.loadAdapter("hf://me/mine", { reporter: null });
    const prompts = record!.generations.map(({ prompt }) => prompt);
    const answers = await lm.generate(prompts, { maxNewTokens: 4 });
    assert.deepEqual(
      answers,
      record!.generations.map(({ after }) => after),
      "what is loaded from the hub answers the same",
    );
    await lm.dispose();
    backend.dispose();
    const printed = console.lines.join("\n");
    assert.match(printed, /Push to +http:\/\/127\.0\.0\.1:\d+\/me\/mine · a private repository, to be made/);
    assert.match(printed, /Pushed, .* of weights: http:.*\/me\/mine \(private\)/);
    assert(!printed.includes(hub.token));
  }));

Deno.test("runJob() pushes a whole model, which is loaded back from the hub and answers the same", () =>
  withHub({}, async (hub, folder) => {
    const push = { visibility: "public" } as const;
    const { record } = await run(folder, { ...pushTo("hf://me/whole", push), lora: null });
    assert.equal(hub.repositories.get("me/whole")!.private, false);
    assert.match(textsOf(hub, "me/whole").get("README.md")!, /library_name: transformers/);
    const backend = await openBackend("cpu", { threads: 1 });
    const lm = await CausalLM.fromPreset("hf://me/whole", { backend, reporter: null });
    const prompts = record!.generations.map(({ prompt }) => prompt);
    const answers = await lm.generate(prompts, { maxNewTokens: 4 });
    assert.deepEqual(answers, record!.generations.map(({ after }) => after));
    await lm.dispose();
    backend.dispose();
  }));

Deno.test("runJob() finds before training that it may not push, and leaves nothing behind", () =>
  withHub({ role: "read" }, async (hub, folder) => {
    const labels: string[] = [];
    const console = recordingConsole((label) => labels.push(label));
    await assert.rejects(run(folder, pushTo("hf://me/mine"), { console }), { message: /may only read; set HF_TOKEN/ });
    assert.deepEqual([labels, namesIn(folder), [...hub.repositories]], [
      [],
      ["heldout.jsonl", "model", "train.jsonl"],
      [],
    ]);
  }));

Deno.test("runJob() makes the repository before it trains, which an organization may refuse", () =>
  withHub({ organizations: { acme: "write" }, closed: ["acme"] }, async (_, folder) => {
    const labels: string[] = [];
    const console = recordingConsole((label) => labels.push(label));
    await assert.rejects(run(folder, pushTo("hf://acme/mine"), { console }), {
      message: /Cannot make the repository acme\/mine/,
    });
    assert.deepEqual([labels, namesIn(folder)], [[], ["heldout.jsonl", "model", "train.jsonl"]]);
  }));

Deno.test("runJob() asks before it trains whether it may write to a repository that is there", () =>
  withHub(
    { repositories: { "me/fixed": { files: { ".gitattributes": "" } } }, fixed: ["me/fixed"] },
    async (_, folder) => {
      const labels: string[] = [];
      const console = recordingConsole((label) => labels.push(label));
      await assert.rejects(run(folder, pushTo("hf://me/fixed"), { console }), {
        message: /Cannot push to me\/fixed: the hub forbids/,
      });
      assert.deepEqual([labels, namesIn(folder)], [[], ["heldout.jsonl", "model", "train.jsonl"]]);
    },
  ));

Deno.test("runJob() that only plans makes no repository", () =>
  withHub({}, async (hub, folder) => {
    const console = recordingConsole();
    await run(folder, pushTo("hf://me/mine"), { console, planOnly: true });
    assert.match(console.lines.join("\n"), /Push to .* to be made/);
    assert.deepEqual([...hub.repositories], []);
  }));

Deno.test("runJob() keeps the results when the push fails, and --resume pushes them", () =>
  withHub({}, async (hub, folder) => {
    hub.faults.push({ path: "/commit/main", status: 400 });
    const output = join(folder, "runs", "trial");
    await assert.rejects(run(folder, pushTo("hf://me/mine")), (error: Error) => {
      assert.match(error.message, /Cannot commit to me\/mine/);
      const command = `deno task finetune --resume ${output} --push hf://me/mine`;
      assert(error.message.endsWith(`The results are in ${output}; try again with: ${command}`), error.message);
      return true;
    });
    assert.deepEqual(namesIn(output), ["adapter", "config.json", "metrics.json", "report.html"]);
    const again = await share(output, []);
    assert.equal(again.output, output);
    assert.deepEqual(hub.commits.map(({ repository }) => repository), ["me/mine"]);
    const console = recordingConsole();
    await share(output, ["--push", "hf://me/mine"], { console });
    assert.match(console.lines.join("\n"), /Everything is there already/);
    assert.equal(hub.commits.length, 1);
  }));

Deno.test("runJob() whose push is ended by hand says how to resume it", () =>
  withHub({}, async (hub, folder) => {
    const controller = new AbortController();
    const console = recordingConsole((label) => {
      if (label === "Uploading") controller.abort(new Error("Ended by hand"));
    });
    const { output, resume, record } = await run(folder, pushTo("hf://me/mine"), {
      console,
      signal: controller.signal,
    });
    assert.equal(resume, `deno task finetune --resume ${output} --push hf://me/mine`);
    assert.equal(record!.training.interrupted, false);
    assert.deepEqual(hub.commits, []);
    await share(output, ["--push", "hf://me/mine"]);
    assert.equal(hub.commits.length, 1);
  }));

Deno.test("readJob() shares a run that is over, and nothing else with it", () =>
  withHub({}, async (hub, folder) => {
    const { output } = await run(folder, quick);
    const over = {
      name: "UsageError",
      message: /the run is over, .* share these with --push hf:\/\/me\/my-gemma alone/,
    };
    await assert.rejects(share(output, []), over);
    await assert.rejects(share(output, ["--push", "hf://me/mine", "--backend", "cpu"]), over);
    await share(output, ["--push", "hf://me/mine", "--visibility", "public"]);
    assert.equal(hub.repositories.get("me/mine")!.private, false);
    await Deno.writeTextFile(join(output, "metrics.json"), '{"format": 2}');
    await assert.rejects(share(output, ["--push", "hf://me/mine"]), { name: "UsageError", message: /"format"/ });
  }));

Deno.test("parseArguments() refuses what can be no place to push to", () => {
  for (const handle of ["mine", "me/mine", "hf://mine", "hf://me/-mine", "hf://me/a--b"]) {
    assert.throws(() => parseArguments(["--push", handle]), {
      name: "UsageError",
      message: /^Cannot use --push .*Cannot push to/,
    });
  }
  assert.throws(() => parseArguments(["--baseModel", "google/gemma"]), { message: /expected a handle such as/ });
});
