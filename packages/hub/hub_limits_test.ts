/** Servers that stall, trickle, have no end, or lead away from the network: every request ends, by name. */
import assert from "node:assert/strict";
import { listRepository } from "./hub_listing.ts";
import { requestHub } from "./hub_request.ts";
import { accessWith, bomb, serveHostile, stalledBody, trickle } from "./testing/hostile_hub.ts";

const commit = "0123456789abcdef0123456789abcdef01234567";
const handle = { repository: "me/model", revision: "main" };
const request = { purpose: "read it", repository: "me/model" };

/** Whether an error is one of the Hub's that says it cannot be had, with such a message. */
function unreachable(message: RegExp): (error: Error) => boolean {
  return (error) => {
    assert.deepEqual([error.constructor.name, (error as Error & { code?: string }).code], [
      "HubError",
      "unreachable",
    ], String(error));
    assert.match(error.message, message);
    return true;
  };
}

Deno.test("listRepository() ends where the body of an answer stalls, and says that it waits", async () => {
  await using hub = serveHostile(() => new Response(stalledBody('{"sha": "')));
  const { access, said } = await accessWith(hub, {}, { limits: { idleMs: 150, wordMs: 50 } });
  await assert.rejects(
    listRepository(access, handle),
    unreachable(
      /^Cannot download "me\/model": the answer of http:\S+ broke off \(No byte came within 150ms\); try again/,
    ),
  );
  assert.deepEqual(said, [`Waiting for the answer of ${hub.endpoint}: nothing has come for 50ms`]);
});

Deno.test("listRepository() ends where the body of an answer trickles", async () => {
  await using hub = serveHostile(() => new Response(trickle(10)));
  const { access } = await accessWith(hub, {}, { limits: { idleMs: 10_000, graceMs: 300 } });
  await assert.rejects(
    listRepository(access, handle),
    unreachable(/broke off \(Its end did not come within 300ms\)/),
  );
});

Deno.test("listRepository() ends by its signal where the body of an answer stalls", async () => {
  const controller = new AbortController();
  await using hub = serveHostile(() => {
    setTimeout(() => controller.abort(new Error("enough")), 100);
    return new Response(stalledBody("{"));
  });
  const { access } = await accessWith(hub);
  await assert.rejects(listRepository(access, handle, { signal: controller.signal }), { message: "enough" });
});

Deno.test("listRepository() refuses an answer that is too large, or would be when it is decompressed", async () => {
  await using hub = serveHostile(() => bomb(2 ** 25));
  const { access } = await accessWith(hub, {}, { limits: { answerBytes: 2 ** 21 } });
  // As it is, or decompressed by the runtime.
  const message =
    /the answer of http:\S+ (has more than 2\.00 MiB|is compressed, although it was asked for as it is); try/;
  await assert.rejects(listRepository(access, handle), unreachable(message));
  const pull = (controller: ReadableStreamDefaultController) => controller.enqueue(new Uint8Array(2 ** 16).fill(32));
  await using endless = serveHostile(() => new Response(new ReadableStream({ pull })));
  const other = await accessWith(endless, {}, { limits: { answerBytes: 2 ** 21 } });
  await assert.rejects(listRepository(other.access, handle), unreachable(/has more than 2\.00 MiB; try again/));
});

Deno.test("listRepository() ends where pages follow pages without an end, or lead back", async () => {
  let [page, delayMs] = [0, 0];
  const tree = (next: (url: URL) => string) =>
    serveHostile(async (_, url) => {
      await new Promise((resolve) => setTimeout(resolve, delayMs));
      if (url.pathname.includes("/revision/")) return Response.json({ sha: commit });
      const headers = { link: `<${next(url)}>; rel="next"` };
      const files = Array.from({ length: 5 }, () => ({ type: "file", path: `f${page++}`, size: 1, oid: commit }));
      return Response.json(files, { headers });
    });
  {
    await using hub = tree((url) => `${url.origin}${url.pathname}?page=${page}`);
    const { access } = await accessWith(hub, {}, { limits: { listingPages: 7 } });
    await assert.rejects(
      listRepository(access, handle),
      unreachable(/the listing of "me\/model" has more than 7 pages/),
    );
    assert.equal(hub.paths.length, 8);
    const narrow = await accessWith(hub, {}, { limits: { listingFiles: 12 } });
    await assert.rejects(
      listRepository(narrow.access, handle),
      unreachable(/has more than 12 files outside of folders/),
    );
    delayMs = 100;
    const slow = await accessWith(hub, {}, { limits: { graceMs: 100 } });
    await assert.rejects(listRepository(slow.access, handle), unreachable(/does not end in the time for it/));
  }
  await using hub = tree((url) => url.href);
  const { access } = await accessWith(hub);
  await assert.rejects(listRepository(access, handle), unreachable(/leads back to a page that was read/));
});

for (const address of ["file:///dev/zero", "data:text/plain,x", "blob:http://here/x", "ftp://here/x", "http://["]) {
  Deno.test(`requestHub() follows no redirect to ${address}, nor a page or an upload there`, async () => {
    await using hub = serveHostile((_, { pathname }) =>
      pathname.includes("/revision/")
        ? Response.json({ sha: commit })
        : pathname.includes("/tree/")
        ? Response.json([], { headers: { link: `<${address}>; rel="next"` } })
        : new Response(null, { status: 302, headers: { location: address } })
    );
    const { access, waits } = await accessWith(hub);
    const quoted = address.replace(/[[\]/.?]/g, "\\$&");
    await assert.rejects(
      requestHub(access, "/x", request),
      unreachable(
        new RegExp(`^Cannot read it: ${hub.endpoint} redirects to "${quoted}"; only http:// and https:// are followed`),
      ),
    );
    const named = unreachable(new RegExp(`${hub.endpoint} names the address "${quoted}"; only http:// and https://`));
    await assert.rejects(requestHub(access, address, { ...request, method: "PUT" }), named);
    await assert.rejects(listRepository(access, handle), named);
    // It is refused at once, and not tried again.
    assert.deepEqual([waits, hub.paths.filter((path) => path === "/x").length], [[], 1]);
  });
}

Deno.test("requestHub() does not wait for an hour, however it is asked to, and says when to try again", async () => {
  const date = new Date(Date.now() + 7_200_000).toUTCString();
  const asks: readonly (readonly [Record<string, string>, RegExp])[] = [
    [{ "retry-after": "3600" }, /asks to wait 1h00m, more than the 5m00s that are waited; try again in 1h00m$/],
    [{ "retry-after": date }, /asks to wait (1h59m|2h00m), more than the 5m00s/],
    [{ "retry-after": "9".repeat(400) }, /more than the 5m00s that are waited; try again in 3650d00h$/],
    [{ ratelimit: '"api";r=0;t=3600' }, /try again in 1h00m$/],
  ];
  for (const [headers, message] of asks) {
    for (const status of [429, 503]) {
      await using hub = serveHostile(() => new Response(null, { status, headers }));
      const { access, waits } = await accessWith(hub);
      await assert.rejects(requestHub(access, "/x", request), unreachable(message));
      assert.deepEqual([waits, hub.paths.length], [[], 1]);
    }
  }
});

Deno.test("requestHub() waits for five minutes in all, not for each try", async () => {
  await using hub = serveHostile(() => new Response(null, { status: 429, headers: { "retry-after": "200" } }));
  const { access, waits } = await accessWith(hub);
  await assert.rejects(
    requestHub(access, "/x", { ...request, tries: 9 }),
    unreachable(/is busy \(429\) and asks to wait 3m20s after 3m20s of waiting, more than the 5m00s/),
  );
  assert.deepEqual(waits, [200_000]);
  const once = await accessWith(hub);
  await assert.rejects(
    requestHub(once.access, "/x", { ...request, tries: 1 }),
    unreachable(/allows no more requests for now \(429\); try again in 3m20s/),
  );
});

Deno.test("requestHub() says what it waits for: an answer, or the end of a pause", async () => {
  let asked = 0;
  await using hub = serveHostile(async () => {
    if (asked++ === 0) return new Response(null, { status: 503, headers: { "retry-after": "7" } });
    await new Promise((resolve) => setTimeout(resolve, 200));
    return new Response("here");
  });
  const wait = () => new Promise<void>((resolve) => setTimeout(resolve, 200));
  const { access, said } = await accessWith(hub, {}, { wait, limits: { wordMs: 50 } });
  assert.equal(await (await requestHub(access, "/x", request)).text(), "here");
  assert.deepEqual(said, [
    `Waiting 7.0s to ask ${hub.endpoint} again: it is busy (503)`,
    `Waiting for ${hub.endpoint} to answer: to read it`,
  ]);
});

Deno.test("requestHub() ends where the answer to a POST does not come, and where an error's body stalls", async () => {
  const never = Promise.withResolvers<Response>();
  await using hub = serveHostile((_, { pathname }) =>
    pathname === "/never" ? never.promise : new Response(stalledBody('{"error": '), { status: 400 })
  );
  const { access } = await accessWith(hub, {}, { limits: { idleMs: 100 } });
  await assert.rejects(
    requestHub(access, "/never", { ...request, method: "POST", body: "{}", timeout: 50, tries: 1 }),
    unreachable(/cannot be reached \(No answer within 0\.15 seconds\)/),
  );
  never.resolve(new Response());
  await assert.rejects(requestHub(access, "/x", request), unreachable(/answered 400$/));
});
