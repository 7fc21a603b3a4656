import assert from "node:assert/strict";
import { openCheckpoint } from "./checkpoint.ts";
import { safetensorsBytes, withFolder } from "./testing.ts";

/** A file with one float32 per name: 0, 1, … from `first`. */
function shard(names: readonly string[], first = 0): Uint8Array {
  const header = Object.fromEntries(
    names.map((name, i) => [name, { dtype: "F32", shape: [1], data_offsets: [4 * i, 4 * i + 4] }]),
  );
  return safetensorsBytes(header, new Uint8Array(Float32Array.from(names, (_, i) => first + i).buffer));
}

const index = "model.safetensors.index.json";

Deno.test("openCheckpoint() reads a single file", async () => {
  await withFolder({ "model.safetensors": shard(["a", "b"]) }, async (folder) => {
    for (const map of [true, false]) {
      const checkpoint = await openCheckpoint(folder, { map });
      assert.deepEqual(checkpoint.files, ["model.safetensors"]);
      assert.deepEqual([...checkpoint.tensors.keys()], ["a", "b"]);
      assert.equal(checkpoint.read("b").data[0], 1);
      checkpoint.close();
      assert.throws(() => checkpoint.read("b"), /was closed/);
    }
  });
});

Deno.test("openCheckpoint() joins shards", async () => {
  const files = {
    [index]: {
      metadata: { total_size: 12 },
      weight_map: { "x.a": "1.safetensors", "x.b": "1.safetensors", "x.c": "2.safetensors" },
    },
    "1.safetensors": shard(["x.a", "x.b"]),
    "2.safetensors": shard(["x.c"], 2),
  };
  await withFolder(files, async (folder) => {
    const checkpoint = await openCheckpoint(folder);
    assert.deepEqual(["x.a", "x.b", "x.c"].map((name) => checkpoint.read(name).data[0]), [0, 1, 2]);
    assert.deepEqual(checkpoint.readSlice("x.c", [[0, 0]]).shape, [0]);
    assert.throws(() => checkpoint.read("x.d"), {
      name: "RangeError",
      message: /no such tensor, did you mean "x\.[abc]"/,
    });
    checkpoint.close();
  });
});

/** A folder that holds no usable checkpoint, and what the message must say. */
const cases: readonly { name: string; files: Readonly<Record<string, unknown>>; says: RegExp }[] = [
  {
    name: "an empty folder",
    files: {},
    says: /found neither "model.safetensors" nor .*; download the model's weights/,
  },
  {
    name: "PyTorch weights",
    files: { "config.json": {}, "pytorch_model.bin": "x" },
    says: /but "pytorch_model.bin": load it with Transformers .*safe_serialization=True/,
  },
  { name: "GGUF weights", files: { "model.gguf": "x" }, says: /but "model.gguf": .*gguf_file=/ },
  {
    name: "a file of another name",
    files: { "adapter_model.safetensors": shard(["a"]) },
    says: /but "adapter_model.safetensors": rename it/,
  },
  {
    name: "an index that names a missing shard",
    files: { [index]: { weight_map: { a: "1.safetensors", b: "2.safetensors" } }, "1.safetensors": shard(["a"]) },
    says: /"model.safetensors.index.json" names "2.safetensors", which the folder lacks; download/,
  },
  {
    name: "an index that names a file elsewhere",
    files: { [index]: { weight_map: { a: "../1.safetensors" } } },
    says: /names "..\/1.safetensors", which the folder lacks/,
  },
  {
    name: "a shard without a promised tensor",
    files: { [index]: { weight_map: { a: "1.safetensors", b: "1.safetensors" } }, "1.safetensors": shard(["a"]) },
    says: /promises "b" in "1.safetensors", which holds no such tensor/,
  },
  {
    name: "a tensor in two shards",
    files: {
      [index]: { weight_map: { a: "1.safetensors", b: "2.safetensors" } },
      "1.safetensors": shard(["a", "b"]),
      "2.safetensors": shard(["b"]),
    },
    says: /"b" is in ".*1.safetensors" and in ".*2.safetensors"/,
  },
  {
    name: "a damaged shard",
    files: { [index]: { weight_map: { a: "1.safetensors" } }, "1.safetensors": shard(["a"]).slice(0, -1) },
    says: /Cannot open ".*1.safetensors": expected \d+ bytes, found \d+/,
  },
  { name: "an index that is not JSON", files: { [index]: "{" }, says: /index.json": line 1, column 2 is not JSON/ },
  { name: "an index without a map", files: { [index]: { weights: {} } }, says: /"weight_map" is missing/ },
];

for (const { name, files, says } of cases) {
  Deno.test(`openCheckpoint() refuses ${name}`, async () => {
    await withFolder(files, async (folder) => {
      await assert.rejects(openCheckpoint(folder, { map: false }), (error: Error) => {
        assert.match(error.message, says);
        assert.ok(error.message.includes(folder), error.message);
        return true;
      });
    });
  });
}

Deno.test("openCheckpoint() refuses a folder that is missing or a file", async () => {
  await withFolder({ "file": "x" }, async (folder) => {
    await assert.rejects(openCheckpoint(`${folder}/none`), /"\S+none": there is no such folder; check the path/);
    await assert.rejects(openCheckpoint(`${folder}/file`), /Cannot open the checkpoint ".*file"/);
  });
});
