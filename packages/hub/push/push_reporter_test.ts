import assert from "node:assert/strict";
import { showPushes } from "./push_reporter.ts";

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
