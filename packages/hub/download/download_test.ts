import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { downloadRepository } from "./download.ts";
import type { Download, DownloadOptions } from "./download_options.ts";
import { cdnRequests, contentsOf, expectedContents, names, withDownloads } from "../testing/download_fixture.ts";
import { commitOf, gitHash, type ServedRepository } from "../testing/hub_server.ts";
import { shardedModel, shards, someBytes } from "../testing/served_model.ts";

const [first, second] = shards;
const model = shardedModel();
const commit = commitOf(model);

Deno.test("downloadRepository() makes a snapshot of what Tessera reads, as Hugging Face's tools do", async () => {
  await withDownloads(model, async ({ home, download }) => {
    const folder = await download();
    assert.equal(folder, `${home}/snapshots/${commit}`);
    assert.deepEqual(await contentsOf(folder), expectedContents(model));
    assert.equal(await Deno.readTextFile(`${home}/refs/main`), commit);
    assert.equal(
      await Deno.readLink(`${folder}/config.json`),
      `../../blobs/${gitHash(new TextEncoder().encode("{}"))}`,
    );
    assert.match(await Deno.readLink(`${folder}/${first}`), /^\.\.\/\.\.\/blobs\/[0-9a-f]{64}$/);
    // Three files are "{}", and are one blob.
    assert.equal(names(`${home}/blobs`).length, Object.keys(expectedContents(model)).length - 2);
  });
});

Deno.test("downloadRepository() asks only for the commit when everything is there, and not even for that when it need not", async () => {
  await withDownloads(model, async ({ hub, download }) => {
    const folder = await download();
    hub.requests.length = 0;
    assert.equal(await download(), folder);
    assert.deepEqual(hub.requests.map(({ path }) => path), [
      "/api/models/me/model/revision/main",
      `/api/models/me/model/tree/${commit}`,
    ]);
    hub.requests.length = 0;
    assert.equal(await download({}, { HF_HUB_OFFLINE: "1" }), folder);
    const handle = { repository: "me/model", revision: commit };
    const home = folder.replace(/\/hub\/.*/, "");
    const environment = (name: string) => ({ HF_ENDPOINT: hub.endpoint, HF_HOME: home })[name];
    assert.equal(await downloadRepository(handle, { environment }), folder);
    assert.deepEqual(hub.requests, []);
  });
});

Deno.test("downloadRepository() takes the snapshot that is there when the hub fails or cannot be reached", async () => {
  await withDownloads(model, async ({ hub, download }) => {
    const folder = await download();
    hub.faults.push({ path: "/revision/main", status: 503 });
    assert.equal(await download(), folder);
    assert.equal(await download({}, { HF_ENDPOINT: "http://127.0.0.1:9" }), folder);
  });
});

Deno.test("downloadRepository() follows a branch to its new commit, and fetches what changed", async () => {
  await withDownloads(model, async ({ hub, home, download }) => {
    await download();
    const changed = { ...model, files: { ...model.files, [second]: someBytes(3000, 9) } };
    hub.repositories.set("me/model", changed);
    hub.requests.length = 0;
    const folder = await download();
    assert.equal(folder, `${home}/snapshots/${commitOf(changed)}`);
    assert.deepEqual(await contentsOf(folder), expectedContents(changed));
    assert.deepEqual(cdnRequests(hub).map(({ path }) => path.includes(second)), [true]);
    assert.equal(await Deno.readTextFile(`${home}/refs/main`), commitOf(changed));
  });
});

Deno.test("downloadRepository() takes a branch or tag by its name", async () => {
  const revision = "refs/pr/7";
  await withDownloads({ ...model, revisions: [revision, "v1"] }, async ({ home, variables }) => {
    const environment = (name: string) => ({ ...variables })[name];
    assert.equal(await downloadRepository(`hf://me/model@${revision}`, { environment }), `${home}/snapshots/${commit}`);
    assert.equal(await Deno.readTextFile(`${home}/refs/${revision}`), commit);
    assert.deepEqual(names(`${home}/refs`), ["refs"]);
    await assert.rejects(downloadRepository("hf://me/model@v2", { environment }), {
      message: `Cannot download "me/model": "me/model" has no such branch, tag or commit; ${variables["HF_ENDPOINT"]}` +
        "/me/model/tree/main lists them",
    });
  });
});

Deno.test("downloadRepository() completes a snapshot that another tool left without its shards", async () => {
  await withDownloads(model, async ({ hub, home, download }) => {
    const folder = await download();
    const blob = await Deno.readLink(`${folder}/${second}`);
    await Deno.remove(`${folder}/${blob}`);
    await assert.rejects(download({}, { HF_HUB_OFFLINE: "1" }), {
      message:
        `Cannot load "hf://me/model": its snapshot in "${home}" lacks "${second}", and HF_HUB_OFFLINE is set, so nothing ` +
        "is downloaded; unset it to go online",
    });
    hub.faults.push({ path: "/revision/main", status: 500, times: 4 });
    await assert.rejects(download(), {
      message:
        `Cannot download "me/model": ${hub.endpoint} answered 500; try again later; the snapshot "${folder}" lacks "${second}"`,
    });
    hub.requests.length = 0;
    await download();
    assert.deepEqual(await contentsOf(folder), expectedContents(model));
    assert.deepEqual(cdnRequests(hub).map(({ path }) => path.includes(second)), [true]);
  });
});

Deno.test("downloadRepository() reads a listing of several pages", async () => {
  await withDownloads({ ...model, pageSize: 3 }, async ({ hub, download }) => {
    assert.deepEqual(await contentsOf(await download()), expectedContents(model));
    assert.equal(hub.requests.filter(({ path }) => path.includes("/tree/")).length, 4);
  });
});

Deno.test("downloadRepository() takes no page of a portal for an answer of the hub", async () => {
  await using portal = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, () => new Response("<html>"));
  const endpoint = `http://127.0.0.1:${portal.addr.port}`;
  await withDownloads(model, async ({ download }) => {
    await assert.rejects(download({}, { HF_ENDPOINT: endpoint }), {
      name: "SyntaxError",
      message:
        /^Cannot read "http:\/\/127.0.0.1:\d+\/api\/models\/me\/model\/revision\/main": line 1, column \d+ is not JSON/,
    });
    const folder = await download();
    assert.equal(await download({}, { HF_ENDPOINT: endpoint }), folder);
  });
});

Deno.test("downloadRepository() moves files into the snapshot where it cannot make links", async () => {
  await withDownloads(model, async ({ hub, home, download, variables }) => {
    const script = fileURLToPath(new URL("../testing/download_once.ts", import.meta.url));
    // Links take the permission to write everywhere.
    const permissions = [
      "--allow-read",
      `--allow-write=${variables["HF_HOME"]}`,
      "--allow-net",
      "--allow-env",
      "--allow-sys",
    ];
    const { success, stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-prompt", "--no-check", ...permissions, script, "hf://me/model"],
      env: { ...variables },
      stderr: "inherit",
    }).output();
    assert(success);
    const folder = new TextDecoder().decode(stdout).trim();
    assert.deepEqual(await contentsOf(folder), expectedContents(model));
    assert.equal((await Deno.lstat(`${folder}/${first}`)).isSymlink, false);
    assert.deepEqual(names(`${home}/blobs`), []);
    hub.requests.length = 0;
    assert.equal(await download(), folder);
    assert.deepEqual(cdnRequests(hub), []);
  });
});

Deno.test("downloadRepository() tells its reporter what comes, and how far it is", async () => {
  await withDownloads(model, async ({ hub, home, download }) => {
    const told: (readonly [done: number, total: number])[] = [];
    const begun: Download[] = [];
    let ended = 0;
    hub.faults.push({ path: first, server: "cdn", cutAfter: 1000 });
    const reporter = {
      begin: (download: Download) => void begun.push(download),
      progress: (done: number, total: number) => void told.push([done, total]),
      end: () => ended++,
    };
    await download({ reporter });
    const total = Object.entries(expectedContents(model)).filter(([name]) => !name.endsWith("index.json"))
      .reduce((sum, [, { length }]) => sum + length, 0);
    const { repository, revision, folder, bytes, present } = begun[0]!;
    assert.deepEqual({ repository, revision, folder, bytes, present }, {
      repository: "me/model",
      revision: "main",
      folder: home,
      bytes: total,
      present: 0,
    });
    assert.deepEqual(told.at(-1), [total, total]);
    assert(told.every(([done], i) => i === 0 || done >= told[i - 1]![0]));
    assert.equal(ended, 1);
    await download({ reporter });
    assert.deepEqual([begun.length, ended], [1, 1]);
  });
});

Deno.test("downloadRepository() refuses what does not fit on the disk before it starts", async () => {
  await withDownloads({ ...model, sizes: { [second]: 2 ** 52 } }, async ({ hub, home, download }) => {
    await assert.rejects(download(), ({ message }: Error) => {
      assert(
        message.startsWith(`Cannot download "me/model" to "${home}": it needs 4.00 PiB, and the disk has `),
        message,
      );
      assert(message.endsWith(" free; make room, or set HF_HUB_CACHE to a folder on another disk"), message);
      return true;
    });
    assert.deepEqual(cdnRequests(hub), []);
  });
});

Deno.test("downloadRepository() refuses a gated repository before anything large is fetched", async () => {
  await withDownloads({ ...model, gated: true }, async ({ hub, download }) => {
    await assert.rejects(download(), {
      message:
        `Cannot download "model.safetensors.index.json" of me/model: "me/model" is gated; accept its license at ` +
        `${hub.endpoint}/me/model, then set HF_TOKEN to a token from ${hub.endpoint}/settings/tokens`,
    });
    assert.deepEqual(cdnRequests(hub), []);
    const folder = await download({}, { HF_TOKEN: hub.token });
    assert.deepEqual(await contentsOf(folder), expectedContents(model));
    assert(cdnRequests(hub).every(({ authorization }) => authorization === null));
  });
});

const text = { "config.json": "{}", "tokenizer.json": "{}" };
const single = { ...text, "model.safetensors": "x" };
const refusals: Readonly<
  Record<string, readonly [files: ServedRepository["files"], part: DownloadOptions["part"], problem: string]>
> = {
  "weights that are no safetensors": [
    { ...text, "pytorch_model.bin": "x" },
    "model",
    'there is no checkpoint in it: found neither "model.safetensors" nor "model.safetensors.index.json", but ' +
    '"pytorch_model.bin": load it with Transformers and save it with save_pretrained(folder, safe_serialization=True)',
  ],
  "no weights, whatever part is wanted": [
    text,
    "text",
    'there is no checkpoint in it: found neither "model.safetensors" nor "model.safetensors.index.json"; download the ' +
    "model's weights into the folder",
  ],
  "no tokenizer.json but a tokenizer.model": [
    { "config.json": "{}", "model.safetensors": "x", "tokenizer.model": "x" },
    "model",
    'found "tokenizer.model" but no "tokenizer.json"; convert it in Python with ' +
    "AutoTokenizer.from_pretrained(folder).save_pretrained(folder)",
  ],
  "no tokenizer": [
    { "config.json": "{}", "model.safetensors": "x" },
    "model",
    'it has no "tokenizer.json"; use the repository that it was made from',
  ],
  "no config": [
    { "tokenizer.json": "{}", "model.safetensors": "x" },
    "config",
    'it has no "config.json"; found "tokenizer.json", "model.safetensors"',
  ],
  "an adapter in place of a model": [
    { "adapter_config.json": "{}", "adapter_model.safetensors": "x" },
    "model",
    'it is a PEFT adapter, no model; load its base model, then loadAdapter("hf://me/model")',
  ],
  "a model in place of an adapter": [
    single,
    "adapter",
    'it is a model, no PEFT adapter; load it with fromPreset("hf://me/model")',
  ],
  "an index that leads out of the snapshot": [
    { ...text, "..\\x.safetensors": "x", "model.safetensors.index.json": '{"weight_map":{"a":"..\\\\x.safetensors"}}' },
    "model",
    'its "model.safetensors.index.json" names "..\\x.safetensors", which it does not have',
  ],
  "an index that names a shard that is not there": [
    { ...text, "model.safetensors.index.json": '{"weight_map":{"a":"x.safetensors"}}' },
    "model",
    'its "model.safetensors.index.json" names "x.safetensors", which it does not have',
  ],
};
for (const [what, [files, part, problem]] of Object.entries(refusals)) {
  Deno.test(`downloadRepository() refuses ${what}`, async () => {
    await withDownloads({ files }, async ({ hub, download }) => {
      await assert.rejects(download({ part: part! }), { message: `Cannot use the repository "me/model": ${problem}` });
      assert.deepEqual(cdnRequests(hub), []);
    });
  });
}

Deno.test("downloadRepository() fetches the part that is wanted alone, and names no commit for what is not whole", async () => {
  await withDownloads(
    { files: { ...single, "README.md": "", "generation_config.json": "{}" } },
    async ({ home, download }) => {
      assert.deepEqual(names(await download({ part: "config" })), ["config.json"]);
      assert.deepEqual(names(await download({ part: "text" })), [
        "config.json",
        "generation_config.json",
        "tokenizer.json",
      ]);
      assert.deepEqual(names(home), ["blobs", "snapshots"]);
      assert.deepEqual(names(await download()), [...[
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
      ]]);
      assert.deepEqual(names(home), ["blobs", "refs", "snapshots"]);
    },
  );
  const adapter = { "adapter_config.json": "{}", "adapter_model.safetensors": "x", "tokenizer.json": "{}" };
  await withDownloads({ files: adapter }, async ({ home, download }) => {
    assert.deepEqual(names(await download({ part: "adapter" })), ["adapter_config.json", "adapter_model.safetensors"]);
    assert.deepEqual(names(home), ["blobs", "refs", "snapshots"]);
  });
});

Deno.test("downloadRepository() rejects what is no handle", async () => {
  await assert.rejects(downloadRepository("gemma-2-9b"), {
    name: "RangeError",
    message: 'Cannot download "gemma-2-9b": expected a handle such as "hf://google/gemma-2-9b"',
  });
});
