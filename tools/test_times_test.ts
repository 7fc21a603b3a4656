import assert from "node:assert/strict";
import { formatSlowest, parseDuration, readTimes } from "./test_times.ts";

Deno.test("parseDuration() reads every unit that deno test writes", () => {
  const cases = [["668µs", 0.668], ["340ms", 340], ["12s", 12_000], ["1m12s", 72_000], ["1h0m3s", 3_603_000]] as const;
  for (const [text, ms] of cases) assert.equal(parseDuration(text), ms, text);
  for (const text of ["", "12", "2 steps", "3s later"]) assert.equal(parseDuration(text), NaN, text);
});

Deno.test("readTimes() reads the tests of all members, not their steps, what they print, or summaries", () => {
  const log = [
    "@tessera/core:test: running 2 tests from ./a_test.ts",
    "@tessera/core:test: adds (and more) ... ok (2ms)",
    "@tessera/core:test: walks ...",
    "@tessera/core:test:   a step ... ok (900ms)",
    "@tessera/core:test: walks ... ok (1s)",
    "@tessera/core:test: skips ... ignored (0ms)",
    "@tessera/core:test: ok | 3 passed (1 step) | 0 failed (1s)",
    "tessera:test:slow: ./b_slow_test.ts => trains ... FAILED (1m2s)",
    "something else ... ok (5ms)",
  ].join("\n");
  assert.deepEqual(readTimes(log), [
    { member: "@tessera/core", name: "adds (and more)", ms: 2 },
    { member: "@tessera/core", name: "walks", ms: 1000 },
    { member: "tessera", name: "./b_slow_test.ts => trains", ms: 62_000 },
  ]);
});

Deno.test("formatSlowest() lists as many as are asked for, slowest first", () => {
  const times = [["a", 40], ["b", 12_345], ["c", 1000]].map(([name, ms]) => ({
    member: "core",
    name: `${name}`,
    ms: Number(ms),
  }));
  assert.deepEqual(formatSlowest(times, 2), ["", "The slowest tests:", "   12.3 s  core: b", "    1.0 s  core: c", ""]);
  assert.deepEqual(formatSlowest([], 2), []);
});
