/** Downloads from servers that stall, trickle or send too much: they end, by name, and keep what is there. */
import assert from "node:assert/strict";
import { commitOf } from "../testing/hub_server.ts";
import { serveHostile, stalledBody, trickle } from "../testing/hostile_hub.ts";
import { contentsOf, expectedContents, names, withDownloads } from "../testing/download_fixture.ts";
import { shardedModel, shards } from "../testing/served_model.ts";

const [first] = shards;
const model = shardedModel();

/** A reporter that keeps what is said of waiting. */
function listener() {
  const said: string[] = [];
  return { said, begin: () => {}, progress: () => {}, end: () => {}, waiting: (text: string) => void said.push(text) };
}

Deno.test("downloadRepository() resumes where a body stalls, and says that it waits", async () => {
  await withDownloads(model, async ({ hub, download }) => {
    hub.faults.push({ path: first, server: "cdn", stallAfter: 1000 });
    const reporter = listener();
    const folder = await download({ reporter, limits: { idleMs: 300, wordMs: 100 } });
    assert.deepEqual(await contentsOf(folder), expectedContents(model));
    const word = `Waiting for the rest of "${first}" of me/model: nothing has come for 100ms`;
    assert(reporter.said.includes(word), reporter.said.join("\n"));
  });
});

Deno.test("downloadRepository() ends where every body stalls before its first byte", async () => {
  await withDownloads(model, async ({ hub, download }) => {
    hub.faults.push({ path: "config.json", stallAfter: 0, times: 99 });
    await assert.rejects(download({ limits: { idleMs: 30 } }), {
      code: "unreachable",
      message: /dropped 9 times at byte \d+ of \d+ \(No byte came within 30ms\); what is here is kept/,
    });
  });
});

Deno.test("downloadRepository() ends where a body trickles, and keeps what came", async () => {
  await withDownloads(model, async ({ hub, home, download }) => {
    await using slow = serveHostile(() => new Response(trickle(5)));
    const headers = { location: `${slow.endpoint}/x` };
    hub.faults.push({ path: `${commitOf(model)}/${first}`, server: "hub", status: 302, headers, times: 99 });
    const limits = { graceMs: 200, waitMs: 100, bytesPerSecond: 1e6, idleMs: 10_000 };
    await assert.rejects(download({ limits }), {
      code: "unreachable",
      message:
        /^Cannot download "model-00001-of-0000\d\.safetensors" of me\/model: only \d+ of its 3000 bytes have come in \d+ms; what is here is kept, so run the same again to resume$/,
    });
    assert(names(`${home}/blobs`).some((name) => name.endsWith(".incomplete")));
  });
});

Deno.test("downloadRepository() ends where each connection brings a byte and is dropped", async () => {
  await withDownloads(model, async ({ hub, download }) => {
    hub.faults.push({ path: first, server: "cdn", cutAfter: 1, times: 3000 });
    const limits = { graceMs: 200, waitMs: 100, bytesPerSecond: 1e6 };
    await assert.rejects(download({ limits }), { message: /only \d+ of its 3000 bytes have come in/ });
  });
});

for (const address of ["file:///dev/zero", "data:,x"]) {
  Deno.test(`downloadRepository() follows no redirect of a file to ${address}`, async () => {
    await withDownloads(model, async ({ hub, download }) => {
      hub.faults.push({ path: `/resolve/${commitOf(model)}/${first}`, status: 302, headers: { location: address } });
      await assert.rejects(download(), {
        code: "unreachable",
        message:
          `Cannot download "${first}" of me/model: ${hub.endpoint} redirects to "${address}"; only http:// and ` +
          "https:// are followed; look at what stands between this machine and the hub",
      });
    });
  });
}

Deno.test("downloadRepository() refuses a text of many gigabytes before it is fetched", async () => {
  await withDownloads({ ...model, sizes: { "tokenizer.json": 2 ** 31 } }, async ({ hub, download }) => {
    await assert.rejects(download(), {
      code: "unreachable",
      message:
        'Cannot download "tokenizer.json": the hub lists it with 2.00 GiB, and a file that is no weights has at most ' +
        "256 MiB",
    });
    assert(!hub.requests.some(({ path }) => path.includes("tokenizer.json")));
  });
});

Deno.test("downloadRepository() stores no more than the hub lists, however much is sent", async () => {
  await withDownloads(model, async ({ hub, home, download }) => {
    const pull = (controller: ReadableStreamDefaultController) => controller.enqueue(new Uint8Array(4096));
    await using endless = serveHostile(() => new Response(new ReadableStream({ pull })));
    const headers = { location: `${endless.endpoint}/x` };
    hub.faults.push({ path: `${commitOf(model)}/${first}`, server: "hub", status: 302, headers });
    await assert.rejects(download(), { message: /the server sends more than the 3000 bytes that the hub lists/ });
    for (const name of names(`${home}/blobs`)) assert((await Deno.stat(`${home}/blobs/${name}`)).size <= 3000);
  });
});

Deno.test("downloadRepository() shows no token that the hub puts into names and checksums", async () => {
  const token = "hf_told_to_nobody";
  await using hub = serveHostile((_, { pathname }) => {
    if (pathname.includes("/revision/")) return Response.json({ sha: commitOf(model) });
    if (pathname.includes("/tree/")) {
      return Response.json(["config.json", token].map((path) => ({ type: "file", path, size: 2, oid: token })));
    }
    return new Response(stalledBody("{"));
  });
  await withDownloads(model, async ({ download }) => {
    const more = { HF_ENDPOINT: hub.endpoint, HF_TOKEN: token };
    for (const part of ["model", "config", "adapter"] as const) {
      await assert.rejects(download({ part }, more), (error) => {
        assert(!Deno.inspect(error, { depth: 9 }).includes("told_to"), Deno.inspect(error));
        return true;
      });
    }
  });
});
