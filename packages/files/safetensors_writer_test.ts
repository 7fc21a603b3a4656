import assert from "node:assert/strict";
import { type HostTensor, hostTensor } from "@tessera/core";
import { openCheckpoint } from "./checkpoint.ts";
import { openSafetensors } from "./safetensors.ts";
import { type TensorSource, writeCheckpoint, writeSafetensors } from "./safetensors_writer.ts";
import { withFolder } from "./testing.ts";

function source(name: string, tensor: HostTensor): TensorSource {
  return { name, type: { dtype: tensor.dtype, shape: tensor.shape }, read: () => tensor };
}

const odd = hostTensor("bfloat16", [3], new Uint16Array([1, 2, 3]));
const flags = hostTensor("bool", [1], new Uint8Array([1]));
const matrix = hostTensor("float32", [2, 2], new Float32Array([1, 2, 3, 4]));

Deno.test("writeSafetensors() writes what openSafetensors() reads, every tensor aligned", async () => {
  await withFolder({}, async (folder) => {
    const path = `${folder}/model.safetensors`;
    const later = { ...source("0", matrix), read: () => Promise.resolve(matrix) };
    await writeSafetensors(path, [source("flags", flags), source("odd", odd), later], { note: "tést" });
    const file = await openSafetensors(path);
    for (const [name, tensor] of [["flags", flags], ["odd", odd], ["0", matrix]] as const) {
      assert.deepEqual(file.read(name), tensor);
      assert.equal(file.tensors.get(name)!.begin % tensor.data.BYTES_PER_ELEMENT, 0);
    }
    assert.deepEqual(file.metadata, { note: "tést" });
    assert.equal(Math.min(...[...file.tensors.values()].map(({ begin }) => begin)) % 8, 0);
    file.close();
    assert.deepEqual([...Deno.readDirSync(folder)].map(({ name }) => name), ["model.safetensors"]);
  });
});

Deno.test("writeSafetensors() writes the part of a buffer that a view shows", async () => {
  await withFolder({}, async (folder) => {
    const view = hostTensor("float32", [1], new Float32Array([5, 6, 7]).subarray(1, 2));
    await writeSafetensors(`${folder}/w`, [source("w", view)]);
    const file = await openSafetensors(`${folder}/w`);
    assert.deepEqual([...file.read("w").data], [6]);
    assert.deepEqual(file.metadata, { format: "pt" });
    file.close();
  });
});

Deno.test("writeSafetensors() leaves the old file when it fails, and open views of it when it succeeds", async () => {
  await withFolder({}, async (folder) => {
    const path = `${folder}/w`;
    await writeSafetensors(path, [source("w", matrix)]);
    const old = await openSafetensors(path);
    const failing = { ...source("w", matrix), read: () => Promise.reject(new Error("device lost")) };
    await assert.rejects(writeSafetensors(path, [source("a", odd), failing]), /device lost/);
    const wrong = { ...source("w", matrix), read: () => odd };
    await assert.rejects(writeSafetensors(path, [wrong]), {
      name: "TypeError",
      message: /Cannot write "w" to ".*": expected float32\[2,2\], found bfloat16\[3\]/,
    });
    assert.deepEqual([...Deno.readDirSync(folder)].map(({ name }) => name), ["w"]);
    await writeSafetensors(path, [source("w", odd)]);
    assert.deepEqual(old.read("w"), matrix);
    old.close();
    const file = await openSafetensors(path);
    assert.deepEqual(file.read("w"), odd);
    file.close();
  });
});

Deno.test("writeSafetensors() refuses names that cannot be told apart", async () => {
  await withFolder({}, async (folder) => {
    const twice = writeSafetensors(`${folder}/w`, [source("w", odd), source("w", flags)]);
    await assert.rejects(twice, { name: "RangeError", message: /Cannot write "w" .* two tensors/ });
    await assert.rejects(writeSafetensors(`${folder}/w`, [source("__metadata__", odd)]), /reserves that name/);
    assert.deepEqual([...Deno.readDirSync(folder)], []);
  });
});

Deno.test("writeSafetensors() asks for one tensor at a time", async () => {
  await withFolder({}, async (folder) => {
    const sizes: number[] = [];
    const sources = ["a", "b", "c"].map((name) => ({
      ...source(name, matrix),
      read: () => {
        const [temporary] = [...Deno.readDirSync(folder)];
        sizes.push(Deno.statSync(`${folder}/${temporary!.name}`).size);
        return matrix;
      },
    }));
    await writeSafetensors(`${folder}/w`, sources);
    assert.deepEqual(sizes.map((size) => size - sizes[0]!), [0, 16, 32]);
  });
});

Deno.test("writeCheckpoint() splits into shards with an index, and replaces an earlier checkpoint", async () => {
  await withFolder({ "config.json": {} }, async (folder) => {
    const sources = [source("a", matrix), source("b", odd), source("c", flags), source("d", matrix)];
    await writeCheckpoint(folder, sources, { maxShardBytes: 16 });
    const index = JSON.parse(await Deno.readTextFile(`${folder}/model.safetensors.index.json`));
    assert.deepEqual(index, {
      metadata: { total_size: 39 },
      weight_map: {
        a: "model-00001-of-00003.safetensors",
        b: "model-00002-of-00003.safetensors",
        c: "model-00002-of-00003.safetensors",
        d: "model-00003-of-00003.safetensors",
      },
    });
    const sharded = await openCheckpoint(folder);
    assert.equal(sharded.files.length, 3);
    assert.deepEqual(["a", "b", "c", "d"].map((name) => sharded.read(name)), [matrix, odd, flags, matrix]);
    sharded.close();

    await writeCheckpoint(folder, sources);
    const names = [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
    assert.deepEqual(names, ["config.json", "model.safetensors"]);
    await writeCheckpoint(folder, sources, { maxShardBytes: 1 });
    const again = await openCheckpoint(folder);
    assert.equal(again.files.length, 4);
    again.close();
  });
});
