import assert from "node:assert/strict";
import { blobFolder, writeCheckpoint, writeSafetensors } from "@tessera/files";
import { type PushOptions, pushToHub } from "./push.ts";
import { showPushes } from "./push_reporter.ts";
import { type Files, withFolder } from "@tessera/files/testing";
import { serveUploadHub, type UploadHub, type UploadHubOptions } from "../testing/upload_hub.ts";

/** Where the hub is, and the token; nothing is waited for. */
function accessTo(
  hub: Pick<UploadHub, "endpoint" | "token">,
  variables: Readonly<Record<string, string>> = {},
): PushOptions {
  const environment: Readonly<Record<string, string>> = {
    HF_ENDPOINT: hub.endpoint,
    HF_TOKEN: hub.token,
    HOME: "/nobody",
    ...variables,
  };
  return { environment: (name) => environment[name], wait: () => Promise.resolve(), reporter: null };
}

function tensor(name: string, length: number, fill: number) {
  const type = { shape: [length], dtype: "float32" } as const;
  return { name, type, read: () => ({ ...type, data: new Float32Array(length).fill(fill) }) };
}

const adapterConfig = { peft_type: "LORA", r: 4, base_model_name_or_path: "google/gemma-2-2b" };

async function withAdapter(run: (folder: string) => Promise<void>, config: unknown = adapterConfig): Promise<void> {
  await withFolder({ "adapter_config.json": config }, async (folder) => {
    await writeSafetensors(`${folder}/adapter_model.safetensors`, [tensor("a", 1000, 1), tensor("b", 7, 2)]);
    await run(folder);
  });
}

const modelFiles: Files = { "config.json": { model_type: "gemma2" }, "tokenizer.json": { version: "1.0" } };

async function withModel(run: (folder: string) => Promise<void>, shards = 3): Promise<void> {
  await withFolder(modelFiles, async (folder) => {
    const tensors = Array.from({ length: 3 }, (_, i) => tensor(`t${i}`, 1000, i));
    await writeCheckpoint(folder, tensors, { maxShardBytes: shards === 1 ? 1e9 : 4000 });
    await run(folder);
  });
}

/** Runs a push, and gives what it came to. */
async function pushTo(hub: UploadHub, folder: string, handle = "hf://me/mine", options: PushOptions = {}) {
  return await pushToHub(handle, folder, { ...accessTo(hub), ...options });
}

/** The files of a repository, all bytes. */
function filesOf(hub: UploadHub, repository: string): Map<string, Uint8Array> {
  const files = Object.entries(hub.repositories.get(repository)!.files);
  return new Map(
    files.map(([name, content]) =>
      [name, typeof content === "string" ? new TextEncoder().encode(content) : content] as const
    ),
  );
}

async function assertPushed(hub: UploadHub, repository: string, folder: string): Promise<void> {
  const there = filesOf(hub, repository);
  const names = Array.from(Deno.readDirSync(folder), ({ name }) => name).sort();
  assert.deepEqual([...there.keys()].filter((name) => ![".gitattributes", "README.md"].includes(name)).sort(), names);
  for (const name of names) assert.deepEqual(there.get(name), await Deno.readFile(`${folder}/${name}`), name);
}

Deno.test("pushToHub() makes a private repository with every byte of an adapter, and a model card", () =>
  withAdapter(async (folder) => {
    await using hub = serveUploadHub();
    const { url, visibility, commit, changed, sentBytes } = await pushTo(hub, folder);
    assert.equal(url, `${hub.endpoint}/me/mine`);
    assert.equal(visibility, "private");
    assert.match(commit!, /^[0-9a-f]{40}$/);
    assert.deepEqual(changed, ["adapter_config.json", "adapter_model.safetensors", "README.md"]);
    assert.equal(sentBytes, (await Deno.stat(`${folder}/adapter_model.safetensors`)).size);
    assert.equal(hub.repositories.get("me/mine")!.private, true);
    await assertPushed(hub, "me/mine", folder);
    assert.deepEqual(hub.commits, [{
      repository: "me/mine",
      summary: "Upload adapter",
      small: ["adapter_config.json", "README.md"],
      large: ["adapter_model.safetensors"],
      deleted: [],
    }]);
    const card = new TextDecoder().decode(filesOf(hub, "me/mine").get("README.md"));
    assert.match(card, /base_model: google\/gemma-2-2b/);
    assert.deepEqual(Array.from(Deno.readDirSync(folder)).length, 2, "the folder stays as it was");
  }));

Deno.test("pushToHub() sends a model of several files, in parts where the hub wants parts", () =>
  withModel(async (folder) => {
    for (const partBytes of [undefined, 1000, 4096]) {
      await using hub = serveUploadHub(partBytes === undefined ? {} : { partBytes });
      const seen: string[] = [];
      const { changed } = await pushTo(hub, folder, "hf://me/whole", {
        visibility: "public",
        reporter: {
          progress: ({ phase, done, total }) => {
            assert(done <= total);
            seen.push(`${phase} ${done === total ? "done" : ""}`);
          },
          end: () => seen.push("end"),
        },
      });
      assert.equal(changed.length, 7);
      assert.equal(hub.repositories.get("me/whole")!.private, false);
      await assertPushed(hub, "me/whole", folder);
      assert(seen.includes("hash done") && seen.at(-2) === "upload done" && seen.at(-1) === "end", seen.join());
      assert(hub.stored.length >= 3 && partBytes !== 1000 || hub.stored.length > 12);
    }
  }));

Deno.test("pushToHub() sends nothing again that is there, and makes no empty commit", () =>
  withModel(async (folder) => {
    await using hub = serveUploadHub();
    await pushTo(hub, folder);
    hub.stored.length = 0;
    const again = await pushTo(hub, folder);
    assert.deepEqual([again.commit, again.changed, again.sentBytes], [null, [], 0]);
    assert.deepEqual([hub.stored, hub.commits.length], [[], 1]);
    await Deno.writeTextFile(`${folder}/config.json`, JSON.stringify({ model_type: "gemma2", changed: true }));
    const changed = await pushTo(hub, folder);
    assert.deepEqual(changed.changed, ["config.json"]);
    assert.deepEqual(hub.commits.at(-1)!.small, ["config.json"]);
    assert.deepEqual(hub.stored, []);
    await assertPushed(hub, "me/mine", folder);
  }));

Deno.test("pushToHub() goes on where a broken one stopped: large files that arrived are not sent again", () =>
  withModel(async (folder) => {
    await using hub = serveUploadHub();
    hub.faults.push({ path: "/commit/main", status: 400 });
    await assert.rejects(pushTo(hub, folder), { message: /^Cannot commit to me\/mine: .* answered 400/ });
    assert.equal(hub.stored.length, 3);
    assert.deepEqual([...filesOf(hub, "me/mine").keys()], [".gitattributes"], "all of it is there, or nothing");
    const { sentBytes, commit } = await pushTo(hub, folder);
    assert.equal(hub.stored.length, 3);
    assert.equal(sentBytes, 0);
    assert.notEqual(commit, null);
    await assertPushed(hub, "me/mine", folder);
  }));

Deno.test("pushToHub() says so where somebody else pushes at the same time", () =>
  withAdapter(async (folder) => {
    await using hub = serveUploadHub();
    hub.faults.push({ path: "/commit/main", status: 409 });
    await assert.rejects(pushTo(hub, folder), {
      message: "Cannot commit to me/mine: somebody else has changed it meanwhile; push again",
    });
    await pushTo(hub, folder);
    await assertPushed(hub, "me/mine", folder);
  }));

Deno.test("pushToHub() removes the weights of an earlier model that the new one has no use for", () =>
  withModel(async (three) => {
    await using hub = serveUploadHub();
    await pushTo(hub, three);
    await withModel(async (one) => {
      await pushTo(hub, one);
      await assertPushed(hub, "me/mine", one);
      assert.deepEqual(hub.commits.at(-1)!.deleted.length, 4);
    }, 1);
  }));

Deno.test("pushToHub() tries again when a connection drops, the hub is busy or an address has expired", () =>
  withModel(async (folder) => {
    for (const options of [{}, { partBytes: 1000 }]) {
      await using hub = serveUploadHub(options);
      hub.drops.push(100, 0, 700);
      hub.faults.push({ path: "/preupload", status: 503 }, { path: "/lfs/objects/batch", status: 429 });
      hub.faults.push({ path: "/commit/", status: 504 });
      hub.expiring.requests = 1;
      await pushTo(hub, folder);
      await assertPushed(hub, "me/mine", folder);
      assert.deepEqual([hub.drops, hub.faults, hub.expiring.requests], [[], [], 0], "all of that has happened");
    }
  }, 1));

Deno.test("pushToHub() tells how far it is, never more than there is, where a try follows another", () =>
  withModel(async (folder) => {
    await using hub = serveUploadHub({ partBytes: 1000 });
    hub.drops.push(500, 500);
    const done: number[] = [];
    let size = 0;
    await pushTo(hub, folder, "hf://me/mine", {
      reporter: {
        progress: (progress) => {
          if (progress.phase === "upload") done.push(progress.done);
          size = progress.total;
        },
        end: () => {},
      },
    });
    assert.equal(done.at(-1), size);
    assert.equal(Math.max(...done), size);
  }, 1));

Deno.test("pushToHub() takes files in memory", () =>
  withAdapter(async (folder) => {
    await using hub = serveUploadHub({ partBytes: 1000 });
    const names = ["adapter_config.json", "adapter_model.safetensors"];
    const blobs = names.map((name) => [name, new Blob([Deno.readFileSync(`${folder}/${name}`)])] as const);
    await pushToHub("hf://me/mine", blobFolder(blobs), accessTo(hub));
    await assertPushed(hub, "me/mine", folder);
  }));

Deno.test("pushToHub() names no folder of this machine: an adapter's base is a repository, or the one that is given, or none", async () => {
  const cases = [
    ["/home/me/models/gemma", undefined, null],
    ["models/gemma-2-2b/", undefined, null],
    ["/home/me/models/gemma", "hf://google/gemma-2-2b", "google/gemma-2-2b"],
    ["google/gemma-2-9b", "hf://google/gemma-2-2b", "google/gemma-2-9b"],
    [null, "hf://google/gemma-2-2b", "google/gemma-2-2b"],
    [null, undefined, null],
  ] as const;
  for (const [named, baseModel, expected] of cases) {
    await withAdapter(async (folder) => {
      await using hub = serveUploadHub();
      await pushTo(hub, folder, "hf://me/mine", baseModel === undefined ? {} : { baseModel });
      const files = filesOf(hub, "me/mine");
      const text = (name: string) => new TextDecoder().decode(files.get(name));
      assert.deepEqual(JSON.parse(text("adapter_config.json")), {
        ...adapterConfig,
        base_model_name_or_path: expected,
      });
      assert.equal(text("README.md").includes(`base_model: ${expected}\n`), expected !== null);
      assert(!text("README.md").includes("/home/me"));
    }, { ...adapterConfig, base_model_name_or_path: named });
  }
});

Deno.test("pushToHub() writes the card anew until somebody makes it their own, and keeps one that is in the folder", () =>
  withAdapter(async (folder) => {
    await using hub = serveUploadHub();
    const card = () => new TextDecoder().decode(filesOf(hub, "me/mine").get("README.md"));
    const section = (text: string) => ({
      card: { sections: [{ title: "Results", text, table: { rows: [["a", "b"]] } }] },
    });
    await pushTo(hub, folder, "hf://me/mine", section("First"));
    await pushTo(hub, folder, "hf://me/mine", section("Second"));
    assert.match(card(), /Second/);
    const own = card().replace(/<!-- Written by .*-->\n/, "").replace("Second", "My own words");
    const { files, ...rest } = hub.repositories.get("me/mine")!;
    hub.repositories.set("me/mine", { ...rest, files: { ...files, "README.md": own } });
    await pushTo(hub, folder, "hf://me/mine", section("Third"));
    assert.equal(card(), own);
    await Deno.writeTextFile(`${folder}/README.md`, "# Of the folder\n");
    await pushTo(hub, folder, "hf://me/mine", section("Fourth"));
    assert.equal(card(), "# Of the folder\n");
  }));

Deno.test("pushToHub() leaves hidden files and folders where they are", () =>
  withAdapter(async (folder) => {
    await Deno.writeTextFile(`${folder}/.env`, "HF_TOKEN=hf_secret");
    await Deno.mkdir(`${folder}/checkpoints`);
    await using hub = serveUploadHub();
    const { changed } = await pushTo(hub, folder);
    assert.deepEqual(changed, ["adapter_config.json", "adapter_model.safetensors", "README.md"]);
  }));

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
    /the token is that of "me", who is in no organisation; push to "hf:\/\/me\/mine"/,
  ],
  [
    "an organisation that it is not in",
    { organisations: { acme: "write" } },
    "hf://acne/m",
    {},
    /is in acme; push to "hf:\/\/acme\/m"/,
  ],
  [
    "an organisation in which it reads",
    { organisations: { acme: "read" } },
    "hf://acme/m",
    {},
    /may only read in "acme"; ask/,
  ],
  [
    "an organisation that is closed",
    { organisations: { acme: "write" }, closed: ["acme"] },
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

Deno.test("pushToHub() sends the token to the hub alone, and ends when it is told to", () =>
  withModel(async (folder) => {
    await using hub = serveUploadHub({ partBytes: 1000 });
    const controller = new AbortController();
    const options: PushOptions = {
      signal: controller.signal,
      reporter: {
        progress: ({ phase }) => {
          if (phase === "upload") controller.abort(new Error("Ended by hand"));
        },
        end: () => {},
      },
    };
    await assert.rejects(pushTo(hub, folder, "hf://me/mine", options), { message: "Ended by hand" });
    assert.deepEqual(hub.commits, []);
    // The storage refuses every request that carries it.
    await pushTo(hub, folder);
    assert.equal(hub.commits.length, 1);
  }));

Deno.test("showPushes() shows a bar for each part of the work, and ends the last one", () => {
  const shown: string[] = [];
  const reporter = showPushes({
    progress: (label, total, unit) => ({
      update: (done) => shown.push(`${label} ${done}/${total} ${unit}`),
      print: () => {},
      done: () => shown.push(`${label} ends`),
    }),
  });
  reporter.progress({ phase: "hash", done: 5, total: 9 });
  reporter.progress({ phase: "hash", done: 9, total: 9 });
  reporter.progress({ phase: "upload", done: 4, total: 9 });
  reporter.end();
  const uploaded = ["Uploading 4/9 bytes", "Uploading ends"];
  assert.deepEqual(shown, ["Reading 5/9 bytes", "Reading 9/9 bytes", "Reading ends", ...uploaded]);
});
