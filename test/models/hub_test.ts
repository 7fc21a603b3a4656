/** Models and adapters of the Hub, from a server on loopback to the logits. */
import assert from "node:assert/strict";
import type { HostTensor } from "@tessera/core";
import type { Download } from "@tessera/hub";
import { CausalLM, openBackend } from "tessera";
import { filesOf, type HubServer, type ServedRepository, withHub } from "@tessera/hub/testing";
import { withFolder } from "../support/models.ts";

const backend = await openBackend("cpu");
const tiny = new URL("../../packages/tiny/gemma2-tiny", import.meta.url).pathname;
const tokenIds: HostTensor<"int32"> = {
  dtype: "int32",
  shape: [1, 12],
  data: Int32Array.from({ length: 12 }, (_, i) => 2 + 31 * i),
};
const weights = "model.safetensors";

async function logitsOf(lm: CausalLM): Promise<HostTensor> {
  return await lm.score({ tokenIds });
}

const largeRequests = ({ requests }: HubServer) => requests.filter(({ server }) => server === "cdn");

/** What a repository of the tiny model has, beside files that are of no use here. */
async function tinyRepository(): Promise<ServedRepository> {
  const files = await filesOf(tiny);
  return { files: { ...files, "README.md": "# Tiny", "pytorch_model.bin": "no", "original/params.json": "{}" } };
}

Deno.test("fromPreset() loads a repository of the Hub, with the logits of its folder", async () => {
  const local = await CausalLM.fromPreset(tiny, { backend });
  const expected = await logitsOf(local);
  local.dispose();
  await withHub({ "me/gemma2-tiny": await tinyRepository() }, async (hub, home) => {
    const begun: Download[] = [];
    const told: number[] = [];
    let ended = 0;
    const reporter = {
      begin: (download: Download) => void begun.push(download),
      progress: (done: number) => void told.push(done),
      end: () => ended++,
    };
    // The connection is dropped in the middle of the weights.
    hub.faults.push({ path: weights, server: "cdn", cutAfter: 1_000_000 });
    const lm = await CausalLM.fromPreset("hf://me/gemma2-tiny", { backend, reporter });
    assert.deepEqual(await logitsOf(lm), expected);
    assert.equal(await lm.generate("Hi", { maxNewTokens: 4 }), await again(tiny));
    lm.dispose();
    assert.deepEqual(largeRequests(hub).map(({ range }) => range), [null, "bytes=1000000-"]);
    assert.equal(begun[0]!.folder, `${home}/hub/models--me--gemma2-tiny`);
    // What describes the model comes first, so that what cannot be loaded is refused before its weights are downloaded.
    assert.deepEqual(begun.map(({ files }) => files.map(({ name }) => name).sort()), [
      ["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"],
      [weights],
    ]);
    assert.deepEqual([told.at(-1), ended], [begun[1]!.bytes, 2]);

    hub.requests.length = 0;
    const second = await CausalLM.fromPreset("hf://me/gemma2-tiny", { backend, reporter });
    assert.deepEqual(await logitsOf(second), expected);
    second.dispose();
    assert.deepEqual([largeRequests(hub).length, begun.length], [0, 2]);
    assert(hub.requests.every(({ path }) => path.startsWith("/api/models/me/gemma2-tiny/")));

    Deno.env.set("HF_HUB_OFFLINE", "1");
    hub.requests.length = 0;
    const offline = await CausalLM.fromPreset("hf://me/gemma2-tiny", { backend });
    assert.deepEqual(await logitsOf(offline), expected);
    offline.dispose();
    assert.deepEqual(hub.requests, []);
  });
});

/** What a folder's model answers. */
async function again(folder: string): Promise<string> {
  const lm = await CausalLM.fromPreset(folder, { backend });
  try {
    return await lm.generate("Hi", { maxNewTokens: 4 });
  } finally {
    lm.dispose();
  }
}

Deno.test("fromPreset() fetches no weights when it is to load none", async () => {
  await withHub({ "me/gemma2-tiny": await tinyRepository() }, async (hub) => {
    const lm = await CausalLM.fromPreset("hf://me/gemma2-tiny", { backend, loadWeights: false, reporter: null });
    assert.equal(lm.tokenizer.decode(lm.tokenizer.encode("Hello")), "Hello");
    lm.dispose();
    assert.deepEqual(largeRequests(hub), []);
    hub.requests.length = 0;
    // The dimensions of a preset are built in.
    await assert.rejects(
      CausalLM.fromPreset("gemma2_2b_en", { backend, reporter: null }),
      /no repository "google\/gemma-2-2b"/,
    );
    assert.equal(hub.requests.length, 1);
  });
});

Deno.test("fromPreset() refuses a model that it does not know before its weights are downloaded", async () => {
  const { files } = await tinyRepository();
  const config = JSON.parse(await Deno.readTextFile(`${tiny}/config.json`));
  const unknown = JSON.stringify({ ...config, model_type: "gemma9" });
  await withHub({ "me/gemma9": { files: { ...files, "config.json": unknown } } }, async (hub) => {
    const loading = CausalLM.fromPreset("hf://me/gemma9", { backend, reporter: null });
    await assert.rejects(loading, ({ message }: Error) => {
      assert.match(message, /^Cannot .*"gemma9"/);
      assert.doesNotMatch(message, /there is none in/);
      return true;
    });
    assert.deepEqual(largeRequests(hub), []);
  });
});

Deno.test("loadAdapter() loads an adapter of the Hub, which names its base model there", async () => {
  await withFolder(async (folder) => {
    await withHub({ "me/gemma2-tiny": await tinyRepository() }, async (hub) => {
      const lm = await CausalLM.fromPreset("hf://me/gemma2-tiny", { backend, reporter: null });
      lm.enableLora({ rank: 2, layout: "peft", seed: 3 });
      await lm.saveAdapter(folder);
      const saved = JSON.parse(await Deno.readTextFile(`${folder}/adapter_config.json`));
      assert.equal(saved.base_model_name_or_path, "me/gemma2-tiny");
      hub.repositories.set("me/my-adapter", { files: { ...await filesOf(folder), "README.md": "" } });
      await lm.loadAdapter("hf://me/my-adapter", { reporter: null });
      const loaded = await logitsOf(lm);
      await lm.loadAdapter(folder);
      assert.deepEqual(loaded, await logitsOf(lm));
      await assert.rejects(lm.loadAdapter("hf://me/gemma2-tiny", { reporter: null }), {
        message: /it is a model, no PEFT adapter; load it with fromPreset\("hf:\/\/me\/gemma2-tiny"\)/,
      });
      lm.dispose();
    });
  });
});
