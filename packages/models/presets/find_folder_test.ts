import assert from "node:assert/strict";
import type { EnvironmentReader } from "@tessera/hub";
import { commitOf, serveHub } from "@tessera/hub/testing";
import { findPreset, folderOfPreset } from "./find_folder.ts";

/** Runs a test in a folder with these empty folders and small files in it, and removes it. */
async function withTree(files: Readonly<Record<string, string>>, run: (root: string) => Promise<void>): Promise<void> {
  const root = await Deno.makeTempDir({ prefix: "tessera-models-" });
  try {
    for (const [path, text] of Object.entries(files)) {
      await Deno.mkdir(`${root}/${path}`.replace(/\/[^/]*$/, ""), { recursive: true });
      await Deno.writeTextFile(`${root}/${path}`, text);
    }
    await run(root);
  } finally {
    await Deno.remove(root, { recursive: true });
  }
}

/** An environment with these variables alone, in which the network is not touched. */
const environmentOf = (
  variables: Readonly<Record<string, string>>,
): { readonly environment: EnvironmentReader; readonly reporter: null } => ({
  environment: (name) => ({ HF_HUB_OFFLINE: "1", ...variables })[name],
  reporter: null,
});

/** The files that make a snapshot whole, empty. */
const whole = (folder: string) =>
  Object.fromEntries(["config.json", "tokenizer.json", "model.safetensors"].map((name) => [`${folder}/${name}`, "{}"]));

Deno.test("findPreset() takes a folder as it is", async () => {
  await withTree({ "mine/config.json": "{}" }, async (root) => {
    assert.deepEqual(await findPreset(`${root}/mine`), { folder: `${root}/mine`, lookedIn: [] });
    assert.deepEqual(await findPreset(`${root}/none`), { folder: `${root}/none`, lookedIn: [] });
  });
});

Deno.test("findPreset() finds a preset by its name, by its repository, and among Hugging Face's downloads", async () => {
  const snapshot = "hf/hub/models--google--gemma-2-27b/snapshots/abc";
  const files = {
    "models/gemma2_2b_en/config.json": "{}",
    "models/google/gemma-2-9b/config.json": "{}",
    ...whole(snapshot),
    "hf/hub/models--google--gemma-2-27b/refs/main": "abc\n",
  };
  await withTree(files, async (root) => {
    const environment = environmentOf({ TESSERA_MODELS: `${root}/models`, HF_HOME: `${root}/hf` });
    assert.equal(await folderOfPreset("gemma2_2b_en", environment), `${root}/models/gemma2_2b_en`);
    assert.equal(await folderOfPreset("gemma2_9b_en", environment), `${root}/models/google/gemma-2-9b`);
    assert.equal(await folderOfPreset("gemma2_27b_en", environment), `${root}/${snapshot}`);
    const elsewhere = environmentOf({ TESSERA_MODELS: `${root}/models`, HF_HUB_CACHE: `${root}/hf/hub` });
    assert.equal(await folderOfPreset("gemma2_27b_en", elsewhere), `${root}/${snapshot}`);
  });
});

Deno.test("folderOfPreset() says why it cannot be downloaded, and where it looked", async () => {
  await assert.rejects(folderOfPreset("gemma2_9b_en", environmentOf({ TESSERA_MODELS: "/none", HOME: "/nobody" })), {
    message:
      'Cannot load "hf://google/gemma-2-9b": "/nobody/.cache/huggingface/hub/models--google--gemma-2-9b" has no ' +
      "snapshot of it, and HF_HUB_OFFLINE is set, so nothing is downloaded; unset it to go online; there is none in " +
      '"/none/gemma2_9b_en" and "/none/google/gemma-2-9b" either',
  });
});

Deno.test("folderOfPreset() downloads what is not on this machine, and what a snapshot lacks", async () => {
  const files = { "config.json": "{}", "tokenizer.json": "{}", "model.safetensors": "weights" };
  await using hub = serveHub({ "google/gemma-2-2b": { files } });
  const commit = commitOf(hub.repositories.get("google/gemma-2-2b")!);
  await withTree({}, async (root) => {
    const options = environmentOf({
      TESSERA_MODELS: "/none",
      HF_HOME: root,
      HF_ENDPOINT: hub.endpoint,
      HF_HUB_OFFLINE: "0",
    });
    const snapshot = `${root}/hub/models--google--gemma-2-2b/snapshots/${commit}`;
    assert.equal((await findPreset("gemma2_2b_en", options)).folder, null);
    assert.equal(await folderOfPreset("gemma2_2b_en", options), snapshot);
    assert.equal(await folderOfPreset(`hf://google/gemma-2-2b@${commit}`, options), snapshot);
    assert.equal((await findPreset("gemma2_2b_en", options)).folder, snapshot);
    await Deno.remove(`${snapshot}/model.safetensors`);
    assert.equal((await findPreset("gemma2_2b_en", options)).folder, null);
    assert.equal(await folderOfPreset("gemma2_2b_en", options), snapshot);
    assert.equal(await Deno.readTextFile(`${snapshot}/model.safetensors`), "weights");
  });
});

Deno.test("findPreset() finds the repository of a handle, whether a preset is of it or not", async () => {
  const snapshot = "hub/models--meta-llama--Llama-3.2-1B/snapshots/abc";
  const files = {
    "models/NousResearch/Hermes-2-Pro-Llama-3-8B/config.json": "{}",
    ...whole(snapshot),
    "hub/models--meta-llama--Llama-3.2-1B/refs/main": "abc",
  };
  await withTree(files, async (root) => {
    const environment = environmentOf({ TESSERA_MODELS: `${root}/models`, HF_HOME: root });
    const hermes = "NousResearch/Hermes-2-Pro-Llama-3-8B";
    assert.equal(await folderOfPreset(`hf://${hermes}`, environment), `${root}/models/${hermes}`);
    assert.equal(await folderOfPreset("hf://meta-llama/Llama-3.2-1B", environment), `${root}/${snapshot}`);
    // A folder of the user's own does not say which revision it is.
    await assert.rejects(folderOfPreset(`hf://${hermes}@v2`, environment), /has no snapshot of it/);
  });
});

Deno.test("findPreset() rejects handles of other kinds", async () => {
  for (
    const handle of [
      "hf://gemma-2-9b",
      "hf://",
      "kaggle://keras/gemma2/keras/gemma2_2b_en",
      "hf://a/b/c",
    ]
  ) {
    await assert.rejects(findPreset(handle, environmentOf({})), {
      name: "RangeError",
      message:
        `Cannot use "${handle}": a handle is "hf://" with an owner and a name, and a revision if need be, as in ` +
        '"hf://google/gemma-2-9b" and "hf://google/gemma-2-9b@main"',
    });
  }
});

Deno.test("findPreset() rejects a bare name that nothing has", async () => {
  await assert.rejects(findPreset("gemma2_9b", environmentOf({})), {
    name: "RangeError",
    message: 'Cannot load "gemma2_9b": there is no such folder and no preset of that name; ' +
      'did you mean "gemma2_9b_en"?',
  });
});
