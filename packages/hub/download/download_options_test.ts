import assert from "node:assert/strict";
import { describeDownload, type Download, showDownloads } from "./download_options.ts";

const download: Download = {
  repository: "google/gemma-2-9b",
  revision: "main",
  commit: "0".repeat(40),
  folder: "/cache/models--google--gemma-2-9b",
  completes: false,
  files: Array.from(
    { length: 4 },
    (_, i) => ({ name: `model-0000${i + 1}-of-00004.safetensors`, size: 5e9, etag: "" }),
  ),
  bytes: 2e10,
  present: 0,
};

Deno.test("describeDownload() says what is downloaded, how much and where to", () => {
  const folder = "/cache/models--google--gemma-2-9b";
  assert.equal(describeDownload(download), `Downloading google/gemma-2-9b · 18.6 GiB in 4 files to ${folder}`);
  assert.equal(
    describeDownload({
      ...download,
      revision: "v1",
      completes: true,
      files: download.files.slice(1, 2),
      bytes: 5e9,
      present: 2e9,
    }),
    'Completing google/gemma-2-9b at v1 · 4.66 GiB in 1 file ("model-00002-of-00004.safetensors"), 1.86 GiB of it here ' +
      `already, to ${folder}`,
  );
});

Deno.test("showDownloads() prints the line, and shows a bar until it ends", () => {
  const told: unknown[] = [];
  const reporter = showDownloads({
    print: (text) => told.push(text),
    progress: (...given) => {
      told.push(given);
      return { update: (done) => told.push(done), print: () => {}, done: () => told.push("done") };
    },
  });
  reporter.begin({ ...download, present: 7 });
  reporter.progress(9, 2e10);
  reporter.end();
  assert.deepEqual(told.slice(1), [["Downloading", 2e10, "bytes", 7], 9, "done"]);
});
