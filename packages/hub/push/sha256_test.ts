import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { fileOf } from "@tessera/files";
import { withFolder } from "@tessera/files/testing";
import { sha256 as browserSha256 } from "./browser_sha256.ts";
import { sha256 } from "./sha256.ts";

const bytes = Uint8Array.from({ length: 700_000 }, (_, i) => i * i);

Deno.test("sha256() is the digest of a blob on disk and in memory, in a browser too", () =>
  withFolder({ file: bytes }, async (folder) => {
    const blob = await fileOf(`${folder}/file`).blob();
    const expected = createHash("sha256").update(bytes).digest("hex");
    for (const content of [blob, new Blob([bytes])]) {
      for (const digest of [sha256, browserSha256]) {
        let read = 0;
        assert.equal(await digest(content, (count) => read += count), expected);
        assert.equal(read, bytes.length);
      }
    }
    assert.equal(await sha256(new Blob()), createHash("sha256").digest("hex"));
  }));
