import assert from "node:assert/strict";
import { createLineFilter, splitArguments, tally, verdict } from "./test_all.ts";

const none = { passed: 0, failed: 0, ignored: 0 };

Deno.test("tally() sums the summaries of all packages", () => {
  const log = [
    "core:test: ok | 12 passed | 0 failed (7ms)",
    "nn:test: ok | 3 passed (4 steps) | 0 failed | 1 ignored (2 steps) (7ms)",
    "lora:test: FAILED | 1 passed | 2 failed (1 step) | 1 ignored (3s)",
    "lora:test: adds ... ok (2ms)",
  ].join("\n");
  assert.deepEqual(tally(log), { passed: 16, failed: 2, ignored: 2 });
});

Deno.test("tally() counts nothing in a log without summaries", () => {
  assert.deepEqual(tally("error: Module not found\n"), none);
});

Deno.test("verdict() accepts a run only if tests ran and all passed", () => {
  const passed = { ...none, passed: 3 };
  assert.equal(verdict(passed, true, true), null);
  assert.equal(verdict({ ...passed, failed: 1 }, true, false), "Tests failed");
  assert.match(verdict(passed, false, false) ?? "", /could not be tested/);
  assert.equal(verdict(none, true, false), "No tests ran");
});

Deno.test("verdict() refuses ignored tests in CI only", () => {
  const ignored = { passed: 3, failed: 0, ignored: 1 };
  assert.equal(verdict(ignored, true, false), null);
  assert.match(verdict(ignored, true, true) ?? "", /no ignored tests: found 1$/);
});

Deno.test("splitArguments() takes scripts up to the first flag", () => {
  assert.deepEqual(splitArguments(["test"]), { scripts: ["test"], flags: [] });
  assert.deepEqual(splitArguments(["test", "test:slow", "--filter", "@tessera/core"]), {
    scripts: ["test", "test:slow"],
    flags: ["--filter", "@tessera/core"],
  });
});

Deno.test("createLineFilter() drops the lock file warning and nothing after it", () => {
  const log = [
    "• turbo 2.11.9",
    " WARNING  An issue occurred while attempting to parse /a/package-lock.json. Turborepo will still function:",
    "   x Could not resolve workspace.",
    "  `-> Lockfile not found at /a/package-lock.json",
    "",
    " WARNING  something else",
  ];
  assert.deepEqual(log.filter(createLineFilter()), ["• turbo 2.11.9", "", " WARNING  something else"]);
});
