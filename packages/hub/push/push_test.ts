import assert from "node:assert/strict";
import { blobFolder } from "@tessera/files";
import {
  accessTo,
  adapterConfig,
  assertPushed,
  filesOf,
  pushTo,
  withAdapter,
  withModel,
} from "../testing/push_fixture.ts";
import { serveUploadHub } from "../testing/upload_hub.ts";
import { type PushOptions, pushToHub } from "./push.ts";

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

Deno.test("pushToHub() resumes where a broken one stopped: large files that arrived are not sent again", () =>
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
