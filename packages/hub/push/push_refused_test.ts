/** What cannot be pushed, and what the hub does not allow: found before a byte is sent. */
import assert from "node:assert/strict";
import { type Files, withFolder } from "@tessera/files/testing";
import { accessTo, adapterConfig, modelFiles, pushTo, withAdapter, withModel } from "../testing/push_fixture.ts";
import { serveUploadHub, type UploadHubOptions } from "../testing/upload_hub.ts";
import { pushToHub } from "./push.ts";

Deno.test("pushToHub() refuses a folder that is not complete, before anything is asked of the hub", async () => {
  await using hub = serveUploadHub();
  const cases: [Files, RegExp][] = [
    [{}, /it holds neither an adapter \(adapter_config\.json\) nor a model \(config\.json\)/],
    [{ "adapter_config.json": adapterConfig }, /adapter_model\.safetensors is missing/],
    [{ "config.json": {} }, /tokenizer\.json is missing/],
    [{ ...modelFiles, "config.json": "{" }, /there is no|no safetensors|not JSON|model\.safetensors/],
    [modelFiles, /model\.safetensors/],
    [
      { "adapter_config.json": "nonsense", "adapter_model.safetensors": new Uint8Array(3) },
      /adapter_model\.safetensors/,
    ],
    [
      { ...modelFiles, "model.safetensors.index.json": { weight_map: { a: "model-00001-of-00002.safetensors" } } },
      /00001-of-00002/,
    ],
  ];
  for (const [files, message] of cases) {
    await withFolder(files, async (folder) => {
      await assert.rejects(pushTo(hub, folder), { message }, Object.keys(files).join());
    });
  }
  await assert.rejects(pushTo(hub, "/nowhere/at/all"), {
    message: 'Cannot push "/nowhere/at/all": there is no such folder',
  });
  await withAdapter(async (folder) => {
    const path = `${folder}/adapter_model.safetensors`;
    await Deno.truncate(path, (await Deno.stat(path)).size - 4);
    await assert.rejects(pushTo(hub, folder), { message: /adapter_model\.safetensors/ });
  });
  assert.deepEqual(hub.requests, []);
});

Deno.test("pushToHub() refuses what is no handle, and names that the hub does not allow", () =>
  withAdapter(async (folder) => {
    await using hub = serveUploadHub();
    for (
      const handle of [
        "mine",
        "me/mine",
        "hf://mine",
        "hf://me/mine/more",
        "hf://me/mine@v1",
        "kaggle://me/mine",
        "hf:///",
      ]
    ) {
      await assert.rejects(pushTo(hub, folder, handle), {
        name: "RangeError",
        message: `Cannot push to "${handle}": expected "hf://" with an owner and a name, as in "hf://me/my-gemma"`,
      });
    }
    for (const name of ["-mine", "mine.", "a--b", "a..b", "mine.git", "my model", "é", "x".repeat(97)]) {
      await assert.rejects(pushTo(hub, folder, `hf://me/${name}`), { message: new RegExp("is no name on the hub") });
    }
    for (const baseModel of ["google/gemma-2-2b", "/home/me", "hf://gemma"]) {
      await assert.rejects(pushTo(hub, folder, "hf://me/mine", { baseModel }), {
        name: "RangeError",
        message: /base model|a handle is/,
      });
    }
    assert.deepEqual(hub.requests, []);
  }));

Deno.test("pushToHub() is refused by a repository that the token may not write to, before a byte is sent", () =>
  withAdapter(async (folder) => {
    const files = { ".gitattributes": "" };
    await using hub = serveUploadHub({
      role: "fineGrained",
      repositories: { "me/fixed": { files } },
      fixed: ["me/fixed"],
    });
    await assert.rejects(pushTo(hub, folder, "hf://me/fixed"), {
      message:
        /^Cannot push to me\/fixed: the hub forbids it \(You may not write here\); the token is that of HF_TOKEN: set/,
    });
    assert.deepEqual([hub.commits, hub.stored], [[], []]);
  }));

Deno.test("pushToHub() says what it got where a proxy answers in the place of the hub", () =>
  withAdapter(async (folder) => {
    await using proxy = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen: () => {} },
      () => new Response("<html>Log in"),
    );
    const access = accessTo({ endpoint: `http://127.0.0.1:${proxy.addr.port}`, token: "hf_token" });
    await assert.rejects(pushToHub("hf://me/mine", folder, access), {
      name: "SyntaxError",
      message: /^Cannot read "http:\/\/127.0.0.1:\d+\/api\/whoami-v2": line 1, .* is not JSON/,
    });
  }));

const refusals: readonly (readonly [
  what: string,
  options: UploadHubOptions,
  handle: string,
  variables: Readonly<Record<string, string>>,
  message: RegExp,
])[] = [
  [
    "no token",
    {},
    "hf://me/mine",
    { HF_TOKEN: "" },
    /there is no token; set HF_TOKEN to a token with write access from .*settings\/tokens/,
  ],
  [
    "a wrong token",
    {},
    "hf://me/mine",
    { HF_TOKEN: "hf_wrong" },
    /the hub does not know the token of HF_TOKEN; set HF_TOKEN to/,
  ],
  [
    "a token that reads",
    { role: "read" },
    "hf://me/mine",
    {},
    /the token of HF_TOKEN may only read; set HF_TOKEN to a token with write/,
  ],
  [
    "another's name",
    {},
    "hf://mel/mine",
    {},
    /the token is that of "me", who is in no organization; push to "hf:\/\/me\/mine"/,
  ],
  [
    "an organization that it is not in",
    { organizations: { acme: "write" } },
    "hf://acne/m",
    {},
    /is in acme; push to "hf:\/\/acme\/m"/,
  ],
  [
    "an organization in which it reads",
    { organizations: { acme: "read" } },
    "hf://acme/m",
    {},
    /may only read in "acme"; ask/,
  ],
  [
    "an organization that is closed",
    { organizations: { acme: "write" }, closed: ["acme"] },
    "hf://acme/m",
    {},
    /may not do that; give it the right to write to the repositories of "acme" at .* or ask an administrator/,
  ],
  [
    "a hub that makes it public",
    { isOpen: true },
    "hf://me/mine",
    {},
    /was to be private, and .* has made it public; nothing was sent/,
  ],
  ["a hub that is offline", {}, "hf://me/mine", { HF_HUB_OFFLINE: "1" }, /HF_HUB_OFFLINE/],
  [
    "a hub that is not there",
    {},
    "hf://me/mine",
    { HF_ENDPOINT: "http://127.0.0.1:9" },
    /cannot be reached.*HF_ENDPOINT/,
  ],
];

for (const [what, options, handle, variables, message] of refusals) {
  Deno.test(`pushToHub() is refused by ${what}, before a byte is sent`, () =>
    withAdapter(async (folder) => {
      await using hub = serveUploadHub(options);
      await assert.rejects(pushToHub(handle, folder, accessTo(hub, variables)), (error: Error) => {
        assert.match(error.message, message);
        assert(!Deno.inspect(error).includes(hub.token) && !Deno.inspect(error).includes("hf_wrong"));
        return true;
      });
      assert.deepEqual([hub.commits, hub.stored], [[], []]);
      assert(!hub.requests.some(({ path }) => path.includes("preupload")));
    }));
}

Deno.test("pushToHub() puts no adapter into a whole model's repository, nor the other way about", () =>
  withAdapter((adapter) =>
    withModel(async (model) => {
      await using hub = serveUploadHub();
      await pushTo(hub, adapter, "hf://me/adapter");
      await pushTo(hub, model, "hf://me/model");
      await assert.rejects(pushTo(hub, model, "hf://me/adapter"), {
        message: /it holds an adapter, and Transformers would/,
      });
      await assert.rejects(pushTo(hub, adapter, "hf://me/model"), {
        message: /it holds a whole model, and Transformers would/,
      });
      assert.equal(hub.commits.length, 2);
    })
  ));
