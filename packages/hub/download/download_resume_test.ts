import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { fileURLToPath } from "node:url";
import type { Download } from "./download_options.ts";
import {
  cdnRequests,
  contentsOf,
  expectedContents,
  leavePart,
  names,
  withDownloads,
} from "../testing/download_fixture.ts";
import { commitOf, type Fault } from "../testing/hub_server.ts";
import { shardedModel, shards } from "../testing/served_model.ts";

const [first, second] = shards;
const model = shardedModel();
const commit = commitOf(model);

Deno.test("downloadRepository() resumes where the connection was dropped", async () => {
  await withDownloads(model, async ({ hub, download }) => {
    hub.faults.push({ path: first, server: "cdn", cutAfter: 1000 }, { path: first, server: "cdn", cutAfter: 500 });
    const folder = await download();
    assert.deepEqual(await contentsOf(folder), expectedContents(model));
    const ranges = cdnRequests(hub).filter(({ path }) => path.includes(first)).map(({ range }) => range);
    assert.deepEqual(ranges, [null, "bytes=1000-", "bytes=1500-"]);
  });
});

Deno.test("downloadRepository() starts a file again when the server knows no ranges", async () => {
  await withDownloads(model, async ({ hub, download }) => {
    hub.faults.push({ path: first, server: "cdn", cutAfter: 1000 }, { path: first, server: "cdn", ignoreRange: true });
    assert.deepEqual(await contentsOf(await download()), expectedContents(model));
  });
});

Deno.test("downloadRepository() gives up on a connection that brings nothing, and keeps what is there", async () => {
  await withDownloads(model, async (fixture) => {
    const { hub, home, download } = fixture;
    const { message } = await leavePart(fixture, first);
    const problem = `Cannot download "${first}" of me/model: the connection was dropped 9 times at byte 1000 of 3000 (`;
    assert(message.startsWith(problem), message);
    assert(message.endsWith("); what is here is kept, so run the same again to resume"), message);
    assert.equal(names(`${home}/blobs`).filter((name) => name.endsWith(".incomplete")).length, 1);
    hub.requests.length = 0;
    assert.deepEqual(await contentsOf(await download()), expectedContents(model));
    const requests = cdnRequests(hub).filter(({ path }) => path.includes(first));
    assert.deepEqual(requests.map(({ range }) => range), ["bytes=1000-"]);
  });
});

Deno.test("downloadRepository() ends by its signal without naming the snapshot, and resumes later", async () => {
  await withDownloads(model, async ({ hub, home, download }) => {
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

Deno.test("downloadRepository() resumes after its process was killed", async () => {
  const large = shardedModel(3 * 2 ** 20);
  await withDownloads(large, async ({ hub, home, download, variables }) => {
    const stalled = Math.round(2.5 * 2 ** 20);
    hub.faults.push(...shards.map((path): Fault => ({ path, server: "cdn", stallAfter: stalled })));
    const script = fileURLToPath(new URL("../testing/download_once.ts", import.meta.url));
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
  await withDownloads(model, async ({ hub, home, download }) => {
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
    // What else was under way stays, to be resumed.
    const wrong = `${createHash("sha256").update(model.files[second]!).digest("hex")}.incomplete`;
    assert(!names(`${home}/blobs`).includes(wrong));
    assert.deepEqual(names(home), ["blobs", "snapshots"]);
    assert.deepEqual(await contentsOf(await download()), expectedContents(model));
  });
});

Deno.test("downloadRepository() starts a file again when what an earlier process left is wrong", async () => {
  await withDownloads(model, async (fixture) => {
    const { home, download } = fixture;
    await leavePart(fixture, first);
    const left = names(`${home}/blobs`).find((name) => name.endsWith(".incomplete"));
    await Deno.writeFile(`${home}/blobs/${left}`, new Uint8Array(1000));
    assert.deepEqual(await contentsOf(await download()), expectedContents(model));
  });
});

Deno.test("downloadRepository() fetches each file once for two who want it at once", async () => {
  await withDownloads(model, async ({ hub, download }) => {
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
    await withDownloads(large, async ({ download }) => {
      const [one] = await Promise.all([download(), download()]);
      assert.deepEqual(await contentsOf(one), expectedContents(large));
    });
  } finally {
    Deno.FsFile.prototype.tryLock = tryLock;
  }
});
