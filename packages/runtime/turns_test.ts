import assert from "node:assert/strict";
import { endTurn, idle, newTurns, takeTurn, type Turns, type Use } from "./turns.ts";

/** Announces a use; `start` resolves when its turn has come, `end` ends it. */
function use(turns: Turns, kind: Use): { start: Promise<unknown>; end: () => void } {
  const { promise: done, resolve } = Promise.withResolvers<void>();
  const waits: Promise<void>[] = [];
  takeTurn(turns, kind, done, waits);
  return {
    start: Promise.all(waits),
    end: () => {
      endTurn(turns, done);
      resolve();
    },
  };
}

async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  const pending = Symbol();
  return await Promise.race([promise, new Promise((resolve) => setTimeout(resolve, 0, pending))]) !== pending;
}

Deno.test("takeTurn() lets readers go together and makes a writer wait for them", async () => {
  const turns = newTurns();
  const [a, b, writer] = [use(turns, "read"), use(turns, "read"), use(turns, "write")];
  assert.equal(await isSettled(a.start), true);
  assert.equal(await isSettled(b.start), true);
  a.end();
  assert.equal(await isSettled(writer.start), false);
  b.end();
  assert.equal(await isSettled(writer.start), true);
});

Deno.test("takeTurn() makes later readers and writers wait for a writer", async () => {
  const turns = newTurns();
  const [first, reader, second] = [use(turns, "write"), use(turns, "read"), use(turns, "write")];
  assert.equal(await isSettled(reader.start), false);
  first.end();
  assert.equal(await isSettled(reader.start), true);
  assert.equal(await isSettled(second.start), false);
  reader.end();
  assert.equal(await isSettled(second.start), true);
});

Deno.test("idle() resolves once the last user has ended", async () => {
  const turns = newTurns();
  assert.equal(idle(turns), null);
  const [writer, reader] = [use(turns, "write"), use(turns, "read")];
  const quiet = idle(turns)!;
  writer.end();
  assert.equal(await isSettled(quiet), false);
  reader.end();
  await quiet;
  assert.equal(idle(turns), null);
});
