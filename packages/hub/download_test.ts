import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { fileURLToPath } from "node:url";
import { downloadRepository } from "./download.ts";
import type { Download, DownloadOptions } from "./download_options.ts";
import {
  commitOf,
  type Fault,
  gitHash,
  type HubServer,
  type ServedRepository,
  serveHub,
} from "./testing/hub_server.ts";
import { shardedModel, shards, someBytes } from "./testing/served_model.ts";

interface Fixture {
  readonly hub: HubServer;
  /** The folder of the repository in the cache. */
  readonly home: string;
  /** Downloads `hf://me/model` as an environment says. */
  readonly download: (options?: DownloadOptions, variables?: Readonly<Record<string, string>>) => Promise<string>;
  /** The variables of the environment. */
  readonly variables: Readonly<Record<string, string>>;
}

/** Runs a test with a hub that has `me/model`, and an empty cache. */
async function withHub(repository: ServedRepository, run: (fixture: Fixture) => Promise<void>): Promise<void> {
  await using hub = serveHub({ "me/model": repository });
  const root = await Deno.makeTempDir({ prefix: "tessera-hub-" });
  const variables = { HF_ENDPOINT: hub.endpoint, HF_HOME: root };
  try {
    await run({
      hub,
      variables,
      home: `${root}/hub/models--me--model`,
      download: (options = {}, more = {}) => {
        const all: Readonly<Record<string, string>> = { ...variables, ...more };
        const wait = () => Promise.resolve();
        return downloadRepository("hf://me/model", { wait, environment: (name) => all[name], ...options });
      },
    });
  } finally {
    await Deno.remove(root, { recursive: true });
  }
}

/** What a snapshot holds, by name. */
async function contentsOf(folder: string): Promise<Record<string, Uint8Array>> {
  const names = Array.from(Deno.readDirSync(folder), ({ name }) => name).sort();
  return Object.fromEntries(
    await Promise.all(names.map(async (name) => [name, await Deno.readFile(`${folder}/${name}`)])),
  );
}

/** The files that Tessera reads of `shardedModel`, as they must be in a snapshot. */
function expectedContents({ files }: ServedRepository): Record<string, Uint8Array> {
  const useless = /^(\.gitattributes|README\.md|.*\.(gguf|bin|pth))$/;
  return Object.fromEntries(
    Object.entries(files).filter(([name]) => !useless.test(name)).sort().map((
      [name, content],
    ) => [name, typeof content === "string" ? new TextEncoder().encode(content) : content]),
  );
}

function names(folder: string): string[] {
  return Array.from(Deno.readDirSync(folder), ({ name }) => name).sort();
}

const cdnRequests = ({ requests }: HubServer) => requests.filter(({ server }) => server === "cdn");
const [first, second] = shards;
const model = shardedModel();
const commit = commitOf(model);

Deno.test("downloadRepository() makes a snapshot of what Tessera reads, as Hugging Face's tools do", async () => {
  await withHub(model, async ({ home, download }) => {
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
  await withHub(model, async ({ hub, download }) => {
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
  await withHub(model, async ({ hub, download }) => {
    const folder = await download();
    hub.faults.push({ path: "/revision/main", status: 503 });
    assert.equal(await download(), folder);
    assert.equal(await download({}, { HF_ENDPOINT: "http://127.0.0.1:9" }), folder);
  });
});

Deno.test("downloadRepository() follows a branch to its new commit, and fetches what changed", async () => {
  await withHub(model, async ({ hub, home, download }) => {
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
  await withHub({ ...model, revisions: [revision, "v1"] }, async ({ home, variables }) => {
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

Deno.test("downloadRepository() goes on where the connection was dropped", async () => {
  await withHub(model, async ({ hub, download }) => {
    hub.faults.push({ path: first, server: "cdn", cutAfter: 1000 }, { path: first, server: "cdn", cutAfter: 500 });
    const folder = await download();
    assert.deepEqual(await contentsOf(folder), expectedContents(model));
    const ranges = cdnRequests(hub).filter(({ path }) => path.includes(first)).map(({ range }) => range);
    assert.deepEqual(ranges, [null, "bytes=1000-", "bytes=1500-"]);
  });
});

Deno.test("downloadRepository() starts a file again when the server knows no ranges", async () => {
  await withHub(model, async ({ hub, download }) => {
    hub.faults.push({ path: first, server: "cdn", cutAfter: 1000 }, { path: first, server: "cdn", ignoreRange: true });
    assert.deepEqual(await contentsOf(await download()), expectedContents(model));
  });
});

Deno.test("downloadRepository() gives up on a connection that brings nothing, and keeps what is there", async () => {
  await withHub(model, async ({ hub, home, download }) => {
    hub.faults.push({ path: first, server: "cdn", cutAfter: 1000 }, {
      path: first,
      server: "cdn",
      cutAfter: 0,
      times: 9,
    });
    await assert.rejects(download(), ({ message }: Error) => {
      assert(
        message.startsWith(
          `Cannot download "${first}" of me/model: the connection was dropped 9 times at byte 1000 of 3000 (`,
        ),
      );
      assert(message.endsWith("); what is here is kept, so run the same again to go on"), message);
      return true;
    });
    assert.equal(names(`${home}/blobs`).filter((name) => name.endsWith(".incomplete")).length, 1);
    hub.requests.length = 0;
    assert.deepEqual(await contentsOf(await download()), expectedContents(model));
    assert.deepEqual(cdnRequests(hub).filter(({ path }) => path.includes(first)).map(({ range }) => range), [
      "bytes=1000-",
    ]);
  });
});

Deno.test("downloadRepository() ends by its signal without naming the snapshot, and goes on later", async () => {
  await withHub(model, async ({ hub, home, download }) => {
    hub.faults.push({ path: second, server: "cdn", stallAfter: 1200 });
    const controller = new AbortController();
    let [arrived, ended] = [0, 0];
    const reporter = { begin: () => {}, progress: (done: number) => arrived = done, end: () => ended++ };
    const downloading = download({ signal: controller.signal, reporter });
    const sizes = Object.values(expectedContents(model)).map(({ length }) => length);
    const index = model.files["model.safetensors.index.json"]!.length;
    const stalled = sizes.reduce((sum, size) => sum + size) - index - 1800;
    const isThere = () => Deno.stat(`${home}/snapshots/${commit}/${first}`).then(() => true, () => false);
    while (arrived < stalled || !await isThere()) await new Promise((resolve) => setTimeout(resolve, 5));
    controller.abort(new Error("enough"));
    await assert.rejects(downloading, { message: "enough" });
    assert.equal(ended, 1);
    assert.deepEqual(names(home), ["blobs", "snapshots"]);
    hub.requests.length = 0;
    let begun: Download | undefined;
    await download({ reporter: { begin: (download) => begun = download, progress: () => {}, end: () => {} } });
    assert.deepEqual(begun?.files.map(({ name }) => name), [second]);
    assert.deepEqual([begun.bytes, begun.present, begun.completes], [3000, 1200, true]);
    assert.deepEqual(cdnRequests(hub).map(({ range }) => range), ["bytes=1200-"]);
  });
});

Deno.test("downloadRepository() goes on after its process was killed", async () => {
  const large = shardedModel(3 * 2 ** 20);
  await withHub(large, async ({ hub, home, download, variables }) => {
    const stalled = Math.round(2.5 * 2 ** 20);
    hub.faults.push(...shards.map((path): Fault => ({ path, server: "cdn", stallAfter: stalled })));
    const script = fileURLToPath(new URL("testing/download_once.ts", import.meta.url));
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-check", script, "hf://me/model"],
      env: { ...variables },
    }).spawn();
    const sizes = () => {
      try {
        return names(`${home}/blobs`).filter((name) => name.endsWith(".incomplete"))
          .map((name) => Deno.statSync(`${home}/blobs/${name}`).size);
      } catch {
        return [];
      }
    };
    // What is gathered for the next write is lost.
    while (sizes().join() !== "2097152,2097152") await new Promise((resolve) => setTimeout(resolve, 20));
    child.kill("SIGKILL");
    await child.status;
    assert.deepEqual(names(home), ["blobs", "snapshots"]);
    hub.requests.length = 0;
    assert.deepEqual(await contentsOf(await download()), expectedContents(large));
    assert.deepEqual(cdnRequests(hub).map(({ range }) => range), ["bytes=2097152-", "bytes=2097152-"]);
  });
});

Deno.test("downloadRepository() removes and names a file whose bytes are wrong", async () => {
  await withHub(model, async ({ hub, home, download }) => {
    hub.faults.push({ path: "tokenizer.json", wrongBytes: true });
    await assert.rejects(
      download(),
      /^Error: Cannot use "tokenizer.json" of me\/model: its checksum is [0-9a-f]{40}, /,
    );
    hub.faults.push({ path: second, server: "cdn", wrongBytes: true });
    await assert.rejects(download(), ({ message }: Error) => {
      assert.match(
        message,
        new RegExp(
          `^Cannot use "${second}" of me/model: its checksum is [0-9a-f]{64}, expected [0-9a-f]{64}; it was removed, so ` +
            "download it again, and look at what stands between this machine and the hub if that happens twice$",
        ),
      );
      return true;
    });
    // What else was under way stays, to be gone on with.
    const wrong = `${createHash("sha256").update(model.files[second]!).digest("hex")}.incomplete`;
    assert(!names(`${home}/blobs`).includes(wrong));
    assert.deepEqual(names(home), ["blobs", "snapshots"]);
    assert.deepEqual(await contentsOf(await download()), expectedContents(model));
  });
});

Deno.test("downloadRepository() starts a file again when what an earlier process left is wrong", async () => {
  await withHub(model, async ({ hub, home, download }) => {
    hub.faults.push({ path: first, server: "cdn", cutAfter: 1000 }, {
      path: first,
      server: "cdn",
      cutAfter: 0,
      times: 9,
    });
    await assert.rejects(download());
    const [left] = names(`${home}/blobs`).filter((name) => name.endsWith(".incomplete"));
    await Deno.writeFile(`${home}/blobs/${left}`, new Uint8Array(1000));
    assert.deepEqual(await contentsOf(await download()), expectedContents(model));
  });
});

Deno.test("downloadRepository() completes a snapshot that another tool left without its shards", async () => {
  await withHub(model, async ({ hub, home, download }) => {
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

Deno.test("downloadRepository() fetches each file once for two who want it at once", async () => {
  await withHub(model, async ({ hub, download }) => {
    const [one, two] = await Promise.all([download(), download()]);
    assert.equal(one, two);
    assert.deepEqual(await contentsOf(one), expectedContents(model));
    assert.equal(cdnRequests(hub).length, 2);
  });
});

Deno.test("downloadRepository() does without locks where the disk has none", async () => {
  const { tryLock } = Deno.FsFile.prototype;
  Deno.FsFile.prototype.tryLock = () => Promise.reject(new Deno.errors.NotSupported("No locks"));
  try {
    const large = shardedModel(2 ** 20);
    await withHub(large, async ({ download }) => {
      const [one] = await Promise.all([download(), download()]);
      assert.deepEqual(await contentsOf(one), expectedContents(large));
    });
  } finally {
    Deno.FsFile.prototype.tryLock = tryLock;
  }
});

Deno.test("downloadRepository() reads a listing of several pages", async () => {
  await withHub({ ...model, pageSize: 3 }, async ({ hub, download }) => {
    assert.deepEqual(await contentsOf(await download()), expectedContents(model));
    assert.equal(hub.requests.filter(({ path }) => path.includes("/tree/")).length, 4);
  });
});

Deno.test("downloadRepository() takes no page of a portal for an answer of the hub", async () => {
  await using portal = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, () => new Response("<html>"));
  const endpoint = `http://127.0.0.1:${portal.addr.port}`;
  await withHub(model, async ({ download }) => {
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
  await withHub(model, async ({ hub, home, download, variables }) => {
    const script = fileURLToPath(new URL("testing/download_once.ts", import.meta.url));
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
  await withHub(model, async ({ hub, home, download }) => {
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
  await withHub({ ...model, sizes: { [second]: 2 ** 52 } }, async ({ hub, home, download }) => {
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
  await withHub({ ...model, gated: true }, async ({ hub, download }) => {
    await assert.rejects(download(), {
      message:
        `Cannot download "model.safetensors.index.json" of me/model: "me/model" is gated; accept its licence at ` +
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
  "an index that names a shard that is not there": [
    { ...text, "model.safetensors.index.json": '{"weight_map":{"a":"x.safetensors"}}' },
    "model",
    'its "model.safetensors.index.json" names "x.safetensors", which it does not have',
  ],
};
for (const [what, [files, part, problem]] of Object.entries(refusals)) {
  Deno.test(`downloadRepository() refuses ${what}`, async () => {
    await withHub({ files }, async ({ hub, download }) => {
      await assert.rejects(download({ part: part! }), { message: `Cannot use the repository "me/model": ${problem}` });
      assert.deepEqual(cdnRequests(hub), []);
    });
  });
}

Deno.test("downloadRepository() fetches the part that is wanted alone, and names no commit for what is not whole", async () => {
  await withHub(
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
  await withHub({ files: adapter }, async ({ home, download }) => {
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
