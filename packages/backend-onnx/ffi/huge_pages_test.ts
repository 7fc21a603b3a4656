import assert from "node:assert/strict";
import { hugeArray } from "./huge_pages.ts";

/** How much of this process lies in huge pages, in bytes. */
function hugeBytes(): number {
  return 1024 * Number(/^AnonHugePages:\s+(\d+) kB$/m.exec(Deno.readTextFileSync("/proc/self/smaps_rollup"))![1]);
}

function givesHugePages(): boolean {
  if (Deno.build.os !== "linux") return false;
  try {
    return !Deno.readTextFileSync("/sys/kernel/mm/transparent_hugepage/enabled").includes("[never]");
  } catch {
    return false;
  }
}

Deno.test({
  name: "hugeArray() lies in huge pages once it is written",
  ignore: !givesHugePages(),
  fn() {
    const before = hugeBytes();
    const array = hugeArray("float32", 2 ** 23);
    array.fill(1);
    // Memory may be fragmented, and the ends of the array are in small pages.
    assert.ok(hugeBytes() - before >= array.byteLength / 2, "most of it lies in small pages");
  },
});

Deno.test("hugeArray() is zeros, small or large", () => {
  for (const size of [0, 3, 2 ** 21 + 1]) {
    const array = hugeArray("float32", size);
    assert.equal(array.length, size);
    assert.ok(array.every((value) => value === 0));
  }
});
