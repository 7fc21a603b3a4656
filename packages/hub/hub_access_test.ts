import assert from "node:assert/strict";
import { type HubAccess, readHubAccess, type Wait } from "./hub_access.ts";
import { type HubRequest, requestHub } from "./hub_request.ts";
import { fileOf } from "@tessera/files";
import { withFolder } from "@tessera/files/testing";
import { type HubServer, serveHub } from "./testing/hub_server.ts";

/** Runs a test with a hub that has one repository of each kind. */
async function withHub(run: (hub: HubServer) => Promise<void>): Promise<void> {
  const files = { "config.json": "{}", "model.safetensors": new Uint8Array(100) };
  await using hub = serveHub({
    "me/open": { files },
    "me/gated": { files, gated: true },
    "me/private": { files, private: true },
  });
  await run(hub);
}

/** Access to a hub as an environment gives it, and what was waited. */
async function accessTo(
  hub: HubServer,
  variables: Readonly<Record<string, string>> = {},
): Promise<{ access: HubAccess; waits: number[] }> {
  const waits: number[] = [];
  const wait: Wait = (milliseconds) => {
    waits.push(milliseconds);
    return Promise.resolve();
  };
  const environment: Readonly<Record<string, string>> = {
    HF_ENDPOINT: `${hub.endpoint}/`,
    HOME: "/nobody",
    ...variables,
  };
  return { access: await readHubAccess((name) => environment[name], { wait }), waits };
}

const request: HubRequest = { purpose: "read it", repository: "me/open" };
const path = "/me/open/resolve/main/config.json";
const large = "/me/open/resolve/main/model.safetensors";

Deno.test("readHubAccess() finds the token where Hugging Face's tools keep it, and never shows it", async () => {
  const home = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${home}/token`, "hf_kept\n");
    await Deno.writeTextFile(`${home}/other`, "hf_other");
    const sent = async (variables: Readonly<Record<string, string>>) => {
      const access = await readHubAccess((name) => variables[name]);
      const shown = Deno.inspect(access, { depth: 9, showHidden: true }) + JSON.stringify(access);
      assert(!shown.includes("hf_"), shown);
      return [access.headersFor(new URL(access.endpoint))["authorization"], access.tokenSource];
    };
    assert.deepEqual(await sent({ HF_TOKEN: " hf_given ", HF_HOME: home }), ["Bearer hf_given", "HF_TOKEN"]);
    assert.deepEqual(await sent({ HF_HOME: home }), ["Bearer hf_kept", `"${home}/token"`]);
    assert.deepEqual(await sent({ HF_HOME: home, HF_TOKEN_PATH: `${home}/other` }), [
      "Bearer hf_other",
      `"${home}/other"`,
    ]);
    assert.deepEqual(await sent({ HOME: home }), [undefined, null]);
    assert.deepEqual(await sent({ HOME: home, HF_HOME: "~" }), ["Bearer hf_kept", `"${home}/token"`]);
  } finally {
    await Deno.remove(home, { recursive: true });
  }
});

Deno.test("readHubAccess() rejects an endpoint that is no address", async () => {
  await assert.rejects(readHubAccess((name) => name === "HF_ENDPOINT" ? "hub.example" : undefined), {
    name: "TypeError",
    message: 'Cannot use HF_ENDPOINT "hub.example": expected an address such as https://huggingface.co',
  });
});

Deno.test("requestHub() sends the token to the hub, and not to where it redirects", async () => {
  await withHub(async (hub) => {
    const { access } = await accessTo(hub, { HF_TOKEN: hub.token });
    const response = await requestHub(access, large, { ...request, headers: { range: "bytes=90-" } });
    assert.equal(response.status, 206);
    assert.equal((await response.bytes()).length, 10);
    assert.deepEqual(hub.requests.map(({ server, range, authorization }) => [server, range, authorization]), [
      ["hub", "bytes=90-", `Bearer ${hub.token}`],
      ["cdn", "bytes=90-", null],
    ]);
  });
});

Deno.test("requestHub() keeps the token where the hub redirects to itself", async () => {
  await withHub(async (hub) => {
    const { access } = await accessTo(hub, { HF_TOKEN: hub.token });
    assert.equal(await (await requestHub(access, path, request)).text(), "{}");
    assert.deepEqual(hub.requests.map(({ path, authorization }) => [path.slice(0, 18), authorization]), [
      ["/me/open/resolve/m", `Bearer ${hub.token}`],
      ["/api/resolve-cache", `Bearer ${hub.token}`],
    ]);
  });
});

Deno.test("requestHub() tries again while the hub is busy, as long as it is asked to wait", async () => {
  await withHub(async (hub) => {
    const { access, waits } = await accessTo(hub);
    hub.faults.push(
      { path, status: 503 },
      { path, status: 429, headers: { "retry-after": "7" } },
      { path, status: 429, headers: { ratelimit: '"resolvers";r=0;t=55' } },
    );
    assert.equal(await (await requestHub(access, path, request)).text(), "{}");
    assert.deepEqual(waits, [500, 7_000, 55_000]);
    hub.faults.push({ path, status: 502, times: 9 });
    await assert.rejects(requestHub(access, path, request), {
      message: `Cannot read it: ${hub.endpoint} answered 502; try again later`,
    });
    assert.deepEqual(waits.slice(3), [500, 1000, 2000]);
  });
});

Deno.test("requestHub() says what a refusal means and what would help", async () => {
  await withHub(async (hub) => {
    const { endpoint, token } = hub;
    const settings = `${endpoint}/settings/tokens`;
    const fails = async (
      repository: string,
      name: string,
      message: string,
      variables: Readonly<Record<string, string>> = {},
    ) => {
      const { access, waits } = await accessTo(hub, variables);
      const asked = { purpose: "read it", repository };
      await assert.rejects(requestHub(access, `/${repository}/resolve/${name}`, asked), {
        message: `Cannot read it: ${message}`,
      });
      assert.deepEqual(waits, []);
    };
    await fails(
      "me/gated",
      "main/config.json",
      `"me/gated" is gated; accept its license at ${endpoint}/me/gated, then set ` +
        `HF_TOKEN to a token from ${settings}`,
    );
    await fails(
      "me/private",
      "main/config.json",
      `there is no repository "me/private" at ${endpoint}, or it is private; ` +
        `check the name, or set HF_TOKEN to a token from ${settings}`,
    );
    await fails(
      "me/none",
      "main/config.json",
      `there is no repository "me/none" at ${endpoint}, or it is private; ` +
        "check the name, or use a token that may read it (HF_TOKEN has one that may not)",
      { HF_TOKEN: token },
    );
    await fails(
      "me/open",
      "main/config.json",
      `the token of HF_TOKEN is not valid; set HF_TOKEN to a token from ${settings}`,
      { HF_TOKEN: "hf_old" },
    );
    await fails(
      "me/open",
      "v2/config.json",
      `"me/open" has no such branch, tag or commit; ${endpoint}/me/open/tree/main lists them`,
    );
    await fails(
      "me/open",
      "main/none.json",
      `"me/open" has no such file; ${endpoint}/me/open/tree/main lists its files`,
    );
  });
});

Deno.test("requestHub() says that the hub cannot be reached, after some tries", async () => {
  const hub = serveHub({});
  await hub[Symbol.asyncDispose]();
  const { access, waits } = await accessTo(hub);
  await assert.rejects(requestHub(access, path, request), ({ message }: Error) => {
    assert(message.startsWith(`Cannot read it: ${hub.endpoint} cannot be reached (tcp connect error: `), message);
    assert(message.endsWith("); check the network connection and HF_ENDPOINT"), message);
    return true;
  });
  assert.deepEqual(waits, [500, 1000, 2000]);
});

Deno.test("requestHub() asks nothing when HF_HUB_OFFLINE is set", async () => {
  await withHub(async (hub) => {
    const { access } = await accessTo(hub, { HF_HUB_OFFLINE: "1" });
    await assert.rejects(requestHub(access, path, request), {
      message: "Cannot read it: HF_HUB_OFFLINE is set, so nothing is fetched; unset it to go online",
    });
    assert.deepEqual(hub.requests, []);
  });
});

Deno.test("requestHub() ends with the signal's reason, also while it waits", async () => {
  await withHub(async (hub) => {
    hub.faults.push({ path, status: 503, headers: { "retry-after": "100" } });
    const access = await readHubAccess((name) =>
      name === "HF_ENDPOINT" ? hub.endpoint : name === "HOME" ? "/nobody" : undefined
    );
    const controller = new AbortController();
    const asked = requestHub(access, path, { ...request, signal: controller.signal });
    while (hub.requests.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    controller.abort(new Error("enough"));
    await assert.rejects(asked, { message: "enough" });
  });
});

Deno.test("requestHub() tries again where a file is not taken any more, and says so", async () => {
  await withFolder({}, async (folder) => {
    await Deno.create(`${folder}/large`).then((file) => file.close());
    await Deno.truncate(`${folder}/large`, 64_000_000);
    // It takes what the system buffers, and reads nothing.
    using deaf = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const waits: number[] = [];
    const wait: Wait = (milliseconds) => {
      waits.push(milliseconds);
      return Promise.resolve();
    };
    const endpoint = `http://127.0.0.1:${(deaf.addr as Deno.NetAddr).port}`;
    const access = await readHubAccess((name) => name === "HF_ENDPOINT" ? endpoint : undefined, { wait });
    const body = await fileOf(`${folder}/large`).blob();
    await assert.rejects(requestHub(access, "/here", { ...request, method: "PUT", body, timeout: 200, tries: 2 }), {
      message: /cannot be reached \(Nothing was taken within 0\.2 seconds\)/i,
    });
    assert.equal(waits.length, 1);
  });
});
