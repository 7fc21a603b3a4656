import assert from "node:assert/strict";
import { z } from "zod";
import { hostTensor } from "@tessera/core";
import { blobFolder, fetchFolder } from "./blob_folder.ts";
import { openCheckpoint } from "./checkpoint.ts";
import * as disk from "./disk.ts";
import { writeText } from "./files.ts";
import { readJson } from "./json_file.ts";
import * as noDisk from "./no_disk.ts";
import { openSafetensors } from "./safetensors.ts";
import { writeCheckpoint, writeSafetensors } from "./safetensors_writer.ts";

const matrix = hostTensor("float32", [2, 3], new Float32Array([1, 2, 3, 4, 5, 6]));
const odd = hostTensor("bfloat16", [3], new Uint16Array([1, 2, 3]));

function source(name: string, tensor: typeof matrix | typeof odd) {
  const { shape, dtype } = tensor;
  return { name, type: { shape, dtype }, read: () => tensor };
}

Deno.test("blobFolder() reads a config and a checkpoint from picked files", async () => {
  const written = blobFolder();
  await writeCheckpoint(written, [source("m", matrix), source("o", odd)], { maxShardBytes: 8 });
  const files = [...written.files].map(([name, content]) => new File([content], name));
  const picked = blobFolder([...files, ["config.json", new Blob(['\uFEFF{"model_type": "gemma2"}'])]], "gemma");
  assert.deepEqual(await readJson(picked.file("config.json"), z.object({ model_type: z.string() })), {
    model_type: "gemma2",
  });

  const checkpoint = await openCheckpoint(picked);
  assert.deepEqual(checkpoint.files.length, 2);
  assert.deepEqual(checkpoint.read("m"), matrix);
  assert.deepEqual(checkpoint.readSlice("m", [null, [1, 3]]).data, new Float32Array([2, 3, 5, 6]));
  assert.deepEqual(checkpoint.read("o"), odd);
  checkpoint.close();
  assert.throws(
    () => checkpoint.read("m"),
    /^Error: Cannot read "gemma\/model-00001-of-00002.safetensors": it was closed/,
  );
});

Deno.test("blobFolder() reads through FileReaderSync where there is one, only what is asked for", async () => {
  const folder = blobFolder();
  const file = folder.file("a.safetensors");
  await writeSafetensors(file, [source("m", matrix), source("o", odd)]);
  const parts = new Map<Blob, ArrayBuffer>();
  const blob = folder.files.get("a.safetensors")!;
  const bytes = await blob.arrayBuffer();
  const sizes: number[] = [];
  blob.slice = (begin = 0, end = blob.size) => {
    const part = new Blob();
    parts.set(part, bytes.slice(begin, end));
    return part;
  };
  class FileReaderSync {
    readAsArrayBuffer(part: Blob): ArrayBuffer {
      sizes.push(parts.get(part)!.byteLength);
      return parts.get(part)!;
    }
  }
  Object.assign(globalThis, { FileReaderSync });
  try {
    const store = await openSafetensors(file);
    sizes.length = 0;
    assert.deepEqual(store.read("m"), matrix);
    assert.deepEqual(store.readSlice("m", [[1, 2]]).data, new Float32Array([4, 5, 6]));
    assert.deepEqual(sizes, [24, 12]);
  } finally {
    Reflect.deleteProperty(globalThis, "FileReaderSync");
  }
});

Deno.test("blobFolder() keeps a file as it was when writing fails, and forgets it when it is removed", async () => {
  const folder = blobFolder([["a.txt", new Blob(["old"])]]);
  const file = folder.file("a.txt");
  const failing = file.write(async (write) => {
    await write(new TextEncoder().encode("new"));
    throw new Error("disk full");
  });
  await assert.rejects(failing, /disk full/);
  assert.equal(await file.text(), "old");
  await writeText(file, "new");
  assert.deepEqual([await file.text(), await folder.list()], ["new", ["a.txt"]]);
  await file.remove();
  assert.deepEqual([await file.exists(), await file.text(), await folder.list()], [false, null, []]);
  await assert.rejects(file.open(), /^Error: Cannot open "the given files\/a.txt": there is no such file/);
  await assert.rejects(file.stream(), /^Error: Cannot read "the given files\/a.txt": there is no such file/);
});

Deno.test("blobFolder() rejects two files of one name", () => {
  const file = () => new File([], "config.json");
  assert.throws(() => blobFolder([file(), file()]), {
    message: 'Cannot use the given files: two files are called "config.json"; give the files of one folder only',
  });
});

Deno.test("fetchFolder() fetches the named files, or says which one the server lacks", async () => {
  await using server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, (request) => {
    const { pathname } = new URL(request.url);
    return pathname === "/tiny/a.txt" ? new Response("text") : new Response(null, { status: 404 });
  });
  const address = `http://127.0.0.1:${server.addr.port}/tiny`;
  const folder = await fetchFolder(address, ["a.txt"]);
  assert.equal(await folder.file("a.txt").text(), "text");
  await assert.rejects(fetchFolder(`${address}/`, ["a.txt", "b.txt"]), {
    message: `Cannot fetch "${address}/b.txt": the server answered 404`,
  });
});

Deno.test("what stands for the disk in a browser has all of it, and refuses paths", async () => {
  assert.deepEqual(Object.keys(noDisk).sort(), Object.keys(disk).sort());
  assert.throws(() => noDisk.diskFolder("gemma"), {
    message:
      'Cannot use the folder "gemma": a browser has no files by path; give those that the user picked, as blobFolder(files)',
  });
  assert.throws(() => noDisk.diskFile("a.json"), /^Error: Cannot use the file "a.json"/);
  assert.equal(await noDisk.isFolder("."), false);
  assert.equal(noDisk.pathBeside("data/train.jsonl", "cat.png"), disk.pathBeside("data/train.jsonl", "cat.png"));
  assert.equal(noDisk.environmentVariable("HOME"), undefined);
});
