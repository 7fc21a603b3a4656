import assert from "node:assert/strict";
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

const environmentOf = (variables: Readonly<Record<string, string>>) => (name: string) => variables[name];

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
    [`${snapshot}/config.json`]: "{}",
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

Deno.test("folderOfPreset() says where it looked, and which repository holds the files", async () => {
  await assert.rejects(folderOfPreset("gemma2_9b_en", environmentOf({ TESSERA_MODELS: "/none", HOME: "/nobody" })), {
    message: 'Cannot load the preset "gemma2_9b_en": its files are not in "/none/gemma2_9b_en", ' +
      '"/none/google/gemma-2-9b", "/nobody/.cache/huggingface/hub/models--google--gemma-2-9b"; Tessera does not ' +
      'download them yet: download "google/gemma-2-9b" from Hugging Face to one of these, or set TESSERA_MODELS to ' +
      "the folder that holds your models",
  });
});

Deno.test("findPreset() finds the repository of a handle, whether a preset is of it or not", async () => {
  const snapshot = "hub/models--meta-llama--Llama-3.2-1B/snapshots/abc";
  const files = {
    "models/NousResearch/Hermes-2-Pro-Llama-3-8B/config.json": "{}",
    [`${snapshot}/config.json`]: "{}",
    "hub/models--meta-llama--Llama-3.2-1B/refs/main": "abc",
  };
  await withTree(files, async (root) => {
    const environment = environmentOf({ TESSERA_MODELS: `${root}/models`, HF_HOME: root });
    const hermes = "NousResearch/Hermes-2-Pro-Llama-3-8B";
    assert.equal(await folderOfPreset(`hf://${hermes}`, environment), `${root}/models/${hermes}`);
    assert.equal(await folderOfPreset("hf://meta-llama/Llama-3.2-1B", environment), `${root}/${snapshot}`);
    await assert.rejects(folderOfPreset("hf://owner/none", environment), {
      name: "Error",
      message: `Cannot load the preset "hf://owner/none": its files are not in "${root}/models/owner/none", ` +
        `"${root}/hub/models--owner--none"; Tessera does not download them yet: download "owner/none" from Hugging Face ` +
        "to one of these, or set TESSERA_MODELS to the folder that holds your models",
    });
  });
});

Deno.test("findPreset() rejects handles of other kinds", async () => {
  for (
    const handle of [
      "hf://gemma-2-9b",
      "hf://",
      "kaggle://keras/gemma2/keras/gemma2_2b_en",
      "hf://a/b/c",
      "hf://a/b@v1",
    ]
  ) {
    await assert.rejects(findPreset(handle, environmentOf({})), {
      name: "RangeError",
      message: `Cannot use "${handle}": a handle is "hf://" with an owner and a name, as in "hf://google/gemma-2-9b"`,
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
