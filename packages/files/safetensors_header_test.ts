import assert from "node:assert/strict";
import { openSafetensors } from "./safetensors.ts";
import { safetensorsBytes, withFolder } from "./testing.ts";

const tensor = { dtype: "F32", shape: [2], data_offsets: [0, 8] };
const data = new Uint8Array(8);
const good = safetensorsBytes({ w: tensor }, data);

/** A damaged file, and what the message must say beside its path. */
interface Case {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly error: "SyntaxError" | "RangeError";
  readonly says: RegExp;
}

const cases: readonly Case[] = [
  {
    name: "an empty file",
    bytes: new Uint8Array(),
    error: "RangeError",
    says: /found 0 bytes, .* at least 8; download/,
  },
  { name: "a file too short for a length", bytes: good.slice(0, 5), error: "RangeError", says: /found 5 bytes/ },
  {
    name: "a Git LFS pointer",
    bytes: new TextEncoder().encode("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 4\n"),
    error: "SyntaxError",
    says: /Git LFS pointer .*git lfs pull/,
  },
  {
    name: "a header longer than the file",
    bytes: safetensorsBytes({ w: tensor }, data, 5000n),
    error: "RangeError",
    says: /claims 5000 bytes, but only \d+ follow.*download/,
  },
  {
    name: "a header over the limit",
    bytes: safetensorsBytes({ w: tensor }, data, 100_000_001n),
    error: "RangeError",
    says: /claims 100000001 bytes, the most allowed is 100000000/,
  },
  {
    name: "a header with a negative length",
    bytes: safetensorsBytes({ w: tensor }, data, 2n ** 64n - 1n),
    error: "RangeError",
    says: /claims 18446744073709551615 bytes/,
  },
  {
    name: "a header shorter than it is",
    bytes: safetensorsBytes({ w: tensor }, data, 10n),
    error: "SyntaxError",
    says: /not JSON .*download/,
  },
  {
    name: "a header that is not UTF-8",
    bytes: Uint8Array.of(2, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xfe),
    error: "SyntaxError",
    says: /not UTF-8/,
  },
  { name: "a header that is not JSON", bytes: safetensorsBytes("{w}", data), error: "SyntaxError", says: /not JSON/ },
  {
    name: "a header that is a list",
    bytes: safetensorsBytes("[]", data),
    error: "SyntaxError",
    says: /not a JSON object/,
  },
  {
    name: "metadata that is not text",
    bytes: safetensorsBytes({ __metadata__: { a: 1 }, w: tensor }, data),
    error: "SyntaxError",
    says: /"__metadata__" .* strings to strings/,
  },
  {
    name: "an unknown dtype",
    bytes: safetensorsBytes({ w: { ...tensor, dtype: "F31" } }, data),
    error: "SyntaxError",
    says: /"w" has the unknown dtype "F31"; known are .*BF16/,
  },
  {
    name: "a dtype that is a property of every object",
    bytes: safetensorsBytes({ w: { ...tensor, dtype: "constructor" } }, data),
    error: "SyntaxError",
    says: /unknown dtype "constructor"/,
  },
  {
    name: "a tensor that is no object",
    bytes: safetensorsBytes({ w: null }, data),
    error: "SyntaxError",
    says: /"w" has no dtype, shape and data_offsets/,
  },
  {
    name: "a negative axis",
    bytes: safetensorsBytes({ w: { ...tensor, shape: [-2] } }, data),
    error: "SyntaxError",
    says: /"w" has the shape \[-2\]/,
  },
  {
    name: "a fractional axis",
    bytes: safetensorsBytes({ w: { ...tensor, shape: [1.5] } }, data),
    error: "SyntaxError",
    says: /shape \[1.5\]/,
  },
  {
    name: "offsets the wrong way round",
    bytes: safetensorsBytes({ w: { ...tensor, data_offsets: [8, 0] } }, data),
    error: "SyntaxError",
    says: /data_offsets \[8,0\]/,
  },
  {
    name: "negative offsets",
    bytes: safetensorsBytes({ w: { ...tensor, data_offsets: [-8, 0] } }, data),
    error: "SyntaxError",
    says: /data_offsets \[-8,0\]/,
  },
  {
    name: "a size that is not shape times dtype",
    bytes: safetensorsBytes({ w: { ...tensor, shape: [3] } }, data),
    error: "RangeError",
    says: /"w" F32\[3\] takes 12 bytes, but its data_offsets \[0, 8\] span 8/,
  },
  {
    name: "a size beyond what numbers can count",
    bytes: safetensorsBytes({ w: { ...tensor, shape: [2 ** 40, 2 ** 40] } }, data),
    error: "RangeError",
    says: /takes 4.8\d+e\+24 bytes/,
  },
  {
    name: "overlapping tensors",
    bytes: safetensorsBytes({ v: tensor, w: { ...tensor, data_offsets: [4, 12] } }, new Uint8Array(12)),
    error: "RangeError",
    says: /"w" overlaps with tensor "v"/,
  },
  {
    name: "unused bytes between tensors",
    bytes: safetensorsBytes({ v: tensor, w: { ...tensor, data_offsets: [12, 20] } }, new Uint8Array(20)),
    error: "RangeError",
    says: /"w" leaves 4 unused bytes after tensor "v"/,
  },
  {
    name: "a tensor beyond the end",
    bytes: safetensorsBytes({ w: { ...tensor, shape: [4], data_offsets: [0, 16] } }, data),
    error: "RangeError",
    says: /expected \d+ bytes, found \d+: the file is truncated; download/,
  },
  {
    name: "a truncated file",
    bytes: good.slice(0, -3),
    error: "RangeError",
    says: new RegExp(`expected ${good.length} bytes, found ${good.length - 3}: the file is truncated; download`),
  },
  {
    name: "bytes after the last tensor",
    bytes: safetensorsBytes({ w: tensor }, new Uint8Array(9)),
    error: "RangeError",
    says: /does not describe all of the file/,
  },
  {
    name: "a name that occurs twice",
    bytes: safetensorsBytes(`{"w":${JSON.stringify(tensor)},"\\u0077":${JSON.stringify(tensor)}}`, data),
    error: "SyntaxError",
    says: /names "w" twice/,
  },
];

for (const { name, bytes, error, says } of cases) {
  for (const map of [true, false]) {
    Deno.test(`openSafetensors() refuses ${name}, ${map ? "mapped" : "read"}`, async () => {
      await withFolder({ "bad.safetensors": bytes }, async (folder) => {
        const path = `${folder}/bad.safetensors`;
        await assert.rejects(openSafetensors(path, { map }), (found: Error) => {
          assert.equal(found.name, error, found.message);
          assert.match(found.message, says);
          assert.ok(found.message.startsWith(`Cannot open "${path}": `), found.message);
          return true;
        });
      });
    });
  }
}

Deno.test("openSafetensors() accepts awkward but valid headers", async () => {
  // Nested keys and text that looks like keys must not count as names.
  const header = `{ "__proto__" : ${JSON.stringify(tensor)} , "__metadata__": {"w": "\\"w\\": {", "x": "[}"}}   `;
  await withFolder({ "w.safetensors": safetensorsBytes(header, data) }, async (folder) => {
    const file = await openSafetensors(`${folder}/w.safetensors`);
    assert.deepEqual([...file.tensors.keys()], ["__proto__"]);
    assert.equal(file.metadata.w, '"w": {');
    file.close();
  });
});

Deno.test("openSafetensors() refuses a path that is missing or a folder", async () => {
  await withFolder({}, async (folder) => {
    await assert.rejects(openSafetensors(`${folder}/none`), /Cannot open ".*none": there is no such file/);
    await assert.rejects(openSafetensors(folder), /it is not a file/);
  });
});
