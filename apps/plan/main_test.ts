/** The program as a user runs it, without its process. */
import assert from "node:assert/strict";
import { displayWidth } from "@tessera/text";
import { filesOf, withHub } from "@tessera/hub/testing";
import { main } from "./main.ts";
import { describeCount, describeMesh } from "./print.ts";

/** Runs a command line with its two outputs caught; lines are as wide as without a terminal, 100 columns. */
async function runLine(...line: string[]): Promise<{ code: number; out: string; err: string }> {
  const texts = { out: "", err: "" };
  const { log, error } = console;
  const write = Deno.stdout.writeSync.bind(Deno.stdout);
  console.log = (text: unknown) => void (texts.out += `${text}\n`);
  console.error = (text: unknown) => void (texts.err += `${text}\n`);
  Deno.stdout.writeSync = (bytes) => {
    texts.out += new TextDecoder().decode(bytes);
    return bytes.length;
  };
  try {
    return { code: await main(line), ...texts };
  } finally {
    Object.assign(console, { log, error });
    Deno.stdout.writeSync = write;
  }
}

const tiny = "packages/tiny/gemma2-tiny";
const folder = new URL(`../../${tiny}`, import.meta.url).pathname;
const base = ["--folder", folder, "--length", "128", "--hardware", "laptop", "--dtype", "float32"];

Deno.test("main() plans a checkpoint folder on a mesh", async () => {
  const { code, out } = await runLine(...base, "--mesh", "batch=2,model=2");
  assert.equal(code, 0);
  const expected = [
    /batch 2 × model 2 = 4 devices/,
    /Weights +\S+ [KM]iB/,
    /✓ fits/,
    /forward +all-reduce +model/,
    /tokens\/s/,
  ];
  for (const part of expected) assert.match(out, part);
  for (const line of out.split("\n")) assert(displayWidth(line) <= 100, line);
});

Deno.test("main() ranks meshes, and gives JSON alone when asked to", async () => {
  const { code, out } = await runLine(...base, "--suggest", "2", "--json");
  assert.equal(code, 0);
  const { suggestions } = JSON.parse(out);
  assert.equal(suggestions.length, 3);
  assert.deepEqual(suggestions.map(({ fits }: { fits: boolean }) => fits), [true, true, true]);
});

Deno.test("main() plans a preset without any file", async () => {
  const { code, out } = await runLine("--preset", "llama3.2_1b", "--length", "64", "--json");
  assert.equal(code, 0);
  const { plan } = JSON.parse(out);
  assert.equal(plan.parameters.total - plan.parameters.trainable, 1_235_814_400);
  assert.equal(plan.memory.weights, 2 * 1_235_814_400 + 4 * plan.parameters.trainable);
});

Deno.test("main() plans a repository of the Hub from its config alone", async () => {
  const files = { ...await filesOf(folder), "README.md": "" };
  await withHub({ "me/gemma2-tiny": { files } }, async (hub) => {
    const flags = ["--preset", "hf://me/gemma2-tiny", ...base.slice(2)];
    const { code, out } = await runLine(...flags);
    assert.equal(code, 0);
    assert.match(out, /^Downloading me\/gemma2-tiny · 900 B in 1 file to .*\nPlan for hf:\/\/me\/gemma2-tiny\n/);
    const fetched = hub.requests.flatMap(({ path }) => path.startsWith("/api/") ? [] : [path.replace(/.*\//, "")]);
    assert.deepEqual(fetched, ["config.json"]);
    hub.requests.length = 0;
    // The dimensions of a preset are built in.
    assert.equal((await runLine("--preset", "hf://google/gemma-2-2b", "--length", "64")).code, 0);
    assert.deepEqual(hub.requests, []);
    const { err } = await runLine("--preset", "hf://me/none");
    assert.match(err, /^Error: Cannot download "me\/none": there is no repository "me\/none" at /);
  });
});

Deno.test("main() plans a model that takes images", async () => {
  const { code, out } = await runLine("--preset", "pali_gemma_3b_224", "--length", "320", "--batchSize", "2", "--json");
  assert.equal(code, 0);
  const { plan } = JSON.parse(out);
  assert.equal(plan.parameters.total - plan.parameters.trainable, 2_923_335_408);
});

Deno.test("main() says what is wrong, with the exit code for it", async () => {
  const { code, err } = await runLine("--preset", "gema2_9b");
  assert.equal(code, 1);
  assert.equal(
    err,
    'Error: Cannot load "gema2_9b": there is no such folder and no preset of that name; did you mean "gemma2_9b_en"?\n',
  );
  assert.equal((await runLine("--sugest", "8")).code, 2);
  assert.equal((await runLine("--suggest", "8", "--mesh", "batch=8")).code, 2);
  assert.match(
    (await runLine(...base, "--length", "100000")).err,
    /Cannot plan sequences of 100000 tokens: the model.s context has \d+/,
  );
});

Deno.test("describeCount() counts by block where that is plain to see", () => {
  assert.equal(describeCount(96, 46), "96 (2 a block + 4)");
  assert.equal(describeCount(91, 46), "91 (2 a block − 1)");
  assert.equal(describeCount(92, 46), "92 (2 a block)");
  assert.equal(describeCount(1, 46), "1");
  assert.equal(describeCount(7, 2), "7");
});

Deno.test("describeMesh() names axes and counts devices", () => {
  assert.equal(describeMesh([]), "one device");
  assert.equal(
    describeMesh([{ name: "batch", size: 2 }, { name: "model", size: 8 }]),
    "batch 2 × model 8 = 16 devices",
  );
  assert.equal(describeMesh([{ name: "batch", size: 4 }]), "batch 4 devices");
});
