import assert from "node:assert/strict";
import fc from "fast-check";
import { countedBlob, diskFile } from "./disk.ts";
import { withFolder } from "./testing.ts";

const bytes = Uint8Array.from({ length: 700_000 }, (_, i) => i * i);

function withBlob(run: (blob: Blob, path: string) => Promise<void>): Promise<void> {
  return withFolder(
    { file: bytes },
    async (folder) => await run(await diskFile(`${folder}/file`).blob(), `${folder}/file`),
  );
}

Deno.test("a blob of a file has the bytes, slices and texts of one in memory", () =>
  withBlob(async (blob) => {
    const whole = new Blob([bytes]);
    assert(blob instanceof Blob);
    assert.equal(blob.size, whole.size);
    assert.deepEqual(await blob.bytes(), bytes);
    assert.equal(await blob.slice(0, 50).text(), await whole.slice(0, 50).text());
    const place = fc.integer({ min: -800_000, max: 800_000 });
    await fc.assert(
      fc.asyncProperty(place, place, place, place, async (a, b, c, d) => {
        const [ours, theirs] = [blob, whole].map((one) => one.slice(a, b).slice(c, d));
        assert.equal(ours!.size, theirs!.size);
        assert.deepEqual(await ours!.arrayBuffer(), await theirs!.arrayBuffer());
      }),
      { numRuns: 30 },
    );
  }));

Deno.test("a blob of a file tells how much of it was read, anew for each stream", () =>
  withBlob(async (blob) => {
    const told: number[] = [];
    const counted = countedBlob(blob.slice(100, 600_100), (done) => told.push(done));
    for (let i = 0; i < 2; i++) {
      told.length = 0;
      assert.equal((await counted.bytes()).length, 600_000);
      assert.deepEqual(told, [...told].sort((a, b) => a - b));
      assert(told.length > 1 && told.at(-1) === 600_000);
    }
    const inMemory = new Blob(["abc"]);
    assert.equal(countedBlob(inMemory, () => {}), inMemory);
  }));

Deno.test("a blob of a file that is cut short while it is read is an error, not another file", () =>
  withBlob(async (blob, path) => {
    await Deno.truncate(path, 300_000);
    await assert.rejects(blob.bytes(), {
      name: "RangeError",
      message: `Cannot read "${path}": it ends at byte 300000, expected 700000; it was cut short meanwhile`,
    });
    await assert.rejects(diskFile(`${path}-none`).blob(), {
      message: `Cannot read "${path}-none": there is no such file`,
    });
    await assert.rejects(diskFile(path.slice(0, -5)).blob(), { message: /it is not a file$/ });
  }));
