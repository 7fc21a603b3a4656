import assert from "node:assert/strict";
import { join } from "node:path";
import { chooseOutput, claimOutput } from "./output_folder.ts";

async function withFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await use(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function makeRun(folder: string): Promise<void> {
  await Deno.mkdir(join(folder, "adapter"), { recursive: true });
  await Deno.writeTextFile(join(folder, "metrics.json"), "{}");
}

Deno.test("chooseOutput() numbers runs of one name", () =>
  withFolder(async (runs) => {
    const choose = () => chooseOutput({ output: null, name: "tiny", overwrite: false, runs });
    assert.equal(await choose(), join(runs, "tiny"));
    await makeRun(join(runs, "tiny"));
    assert.equal(await choose(), join(runs, "tiny-2"));
    await Deno.mkdir(join(runs, "tiny-2"));
    assert.equal(await choose(), join(runs, "tiny-2"), "a folder without results is free");
    await makeRun(join(runs, "tiny-2"));
    await Deno.writeTextFile(join(runs, "tiny-3"), "a file");
    assert.equal(await choose(), join(runs, "tiny-4"));
  }));

Deno.test("chooseOutput() refuses a folder that holds another run, unless told to overwrite it", () =>
  withFolder(async (folder) => {
    const choose = (overwrite: boolean) => chooseOutput({ output: folder, name: "tiny", overwrite, runs: "runs" });
    assert.equal(await choose(false), folder, "an empty folder is free");
    await Deno.writeTextFile(join(folder, "notes.txt"), "mine");
    assert.equal(await choose(false), folder, "other files are in nobody's way");
    await makeRun(folder);
    await assert.rejects(choose(false), {
      name: "UsageError",
      message: /holds another run \(adapter, metrics\.json\).*--overwrite/,
    });
    assert.equal(await choose(true), folder);
    await Deno.mkdir(join(folder, "checkpoints"));
    await assert.rejects(choose(false), {
      message: /checkpoints.*, or add --overwrite, or resume it by --resume$/,
    });
    const file = join(folder, "notes.txt");
    await assert.rejects(chooseOutput({ output: file, name: "tiny", overwrite: true, runs: "runs" }), {
      message: /it is a file/,
    });
  }));

function namesIn(folder: string): string[] {
  return Array.from(Deno.readDirSync(folder), ({ name }) => name).sort();
}

Deno.test("claimOutput() keeps a folder from other runs until it is given back", () =>
  withFolder(async (runs) => {
    const choose = () => chooseOutput({ output: null, name: "tiny", overwrite: false, runs });
    const claim = await claimOutput(await choose(), "{}");
    assert.equal(await choose(), join(runs, "tiny-2"));
    await claim.release();
    assert.deepEqual(namesIn(runs), []);
    await claim.release();
  }));

Deno.test("claimOutput() leaves earlier results until there are new ones, and other files always", () =>
  withFolder(async (folder) => {
    await makeRun(folder);
    await Deno.writeTextFile(join(folder, "notes.txt"), "mine");
    await (await claimOutput(folder, "{}")).release();
    assert.deepEqual(namesIn(folder), ["adapter", "metrics.json", "notes.txt"]);
    await (await claimOutput(folder, "{}")).prepare();
    assert.deepEqual(namesIn(folder), ["config.json", "notes.txt"]);
    await Deno.mkdir(join(folder, "checkpoints"));
    await (await claimOutput(folder, "{}")).prepare();
    assert.deepEqual(
      namesIn(folder),
      ["checkpoints", "config.json", "notes.txt"],
      "a run can still resume after it ended",
    );
  }));
