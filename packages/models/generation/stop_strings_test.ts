import assert from "node:assert/strict";
import fc from "fast-check";
import { stopScanner } from "./stop_strings.ts";

function scan(pieces: readonly string[], stops: readonly string[], keepsStop = false): string {
  const scanner = stopScanner(stops, keepsStop);
  return pieces.map((piece) => scanner.push(piece)).join("") + scanner.end();
}

/** The same, one character at a time over the whole text. */
function slowly(text: string, stops: readonly string[], keepsStop: boolean): string {
  for (let end = 1; end <= text.length; end++) {
    const [stop] = stops.filter((each) => text.slice(0, end).endsWith(each)).sort((a, b) => b.length - a.length);
    if (stop !== undefined) return text.slice(0, keepsStop ? end : end - stop.length);
  }
  return text;
}

Deno.test("stopScanner() cuts where reading character by character would, however the text is split", () => {
  const letters = fc.string({ unit: fc.constantFrom("a", "b"), maxLength: 12 });
  const stops = fc.array(fc.string({ unit: fc.constantFrom("a", "b"), minLength: 1, maxLength: 4 }), { maxLength: 3 });
  fc.assert(
    fc.property(fc.array(letters, { maxLength: 5 }), stops, fc.boolean(), (pieces, stops, keeps) => {
      assert.equal(scan(pieces, stops, keeps), slowly(pieces.join(""), stops, keeps));
    }),
    { numRuns: 500, seed: 1 },
  );
});

Deno.test("stopScanner() keeps back no more than might become a stop string", () => {
  const scanner = stopScanner(["\nUser:", "END"]);
  assert.deepEqual(["Hello", " E", "ast\nUse", "d\nUs", "er: bye"].map((piece) => scanner.push(piece)), [
    "Hello",
    " ",
    "East",
    "\nUsed",
    "",
  ]);
  assert(scanner.stopped);
  assert.equal(scanner.push("more"), "");
  assert.equal(scanner.end(), "");
});
