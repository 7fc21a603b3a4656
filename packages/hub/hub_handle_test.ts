import assert from "node:assert/strict";
import { formatHandle, parseHandle } from "./hub_handle.ts";

Deno.test("parseHandle() reads a repository and its revision", () => {
  const handles = {
    "hf://google/gemma-2-9b": { repository: "google/gemma-2-9b", revision: "main" },
    "hf://me/a.b_c-d@v1.0": { repository: "me/a.b_c-d", revision: "v1.0" },
    "hf://me/model@refs/pr/3": { repository: "me/model", revision: "refs/pr/3" },
  };
  for (const [text, handle] of Object.entries(handles)) {
    assert.deepEqual(parseHandle(text), handle);
    assert.equal(formatHandle(handle), text);
  }
  for (const path of ["models/gemma", "/models/gemma", "gemma2_9b_en", ""]) assert.equal(parseHandle(path), null);
});

Deno.test("parseHandle() rejects handles of other kinds, and what would lead out of the cache", () => {
  const wrong = [
    "hf://gemma-2-9b",
    "hf://",
    "hf://a/b/c",
    "hf://../b",
    "hf://a/b@",
    "hf://a/b@../x",
    "hf://a/b@x/../y",
    "kaggle://a/b",
  ];
  for (const handle of wrong) {
    assert.throws(() => parseHandle(handle), {
      name: "RangeError",
      message:
        `Cannot use "${handle}": a handle is "hf://" with an owner and a name, and a revision if need be, as in ` +
        '"hf://google/gemma-2-9b" and "hf://google/gemma-2-9b@main"',
    });
  }
});
