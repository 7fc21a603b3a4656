import assert from "node:assert/strict";
import { didYouMean, editDistance, listNames, nearest } from "./nearest.ts";

Deno.test("editDistance() counts insertions, deletions, substitutions and swaps", () => {
  const cases = [["", "", 0], ["", "abc", 3], ["kitten", "sitting", 3], ["gemma", "gmema", 1], [
    "abc",
    "abc",
    0,
  ]] as const;
  for (const [a, b, distance] of cases) {
    assert.equal(editDistance(a, b), distance, `${a} ${b}`);
    assert.equal(editDistance(b, a), distance, `${b} ${a}`);
  }
});

Deno.test("nearest() finds the closest name, or none when all are far", () => {
  assert.equal(nearest("gema2", ["gemma", "gemma2", "llama"]), "gemma2");
  assert.equal(nearest("Gemma2", ["gemma2"]), "gemma2");
  assert.equal(nearest("bert", ["gemma", "gemma2"]), null);
  assert.equal(nearest("gemma9", ["gemma2"], 0), null);
  assert.equal(nearest("x", []), null);
});

Deno.test("didYouMean() and listNames() make the ends of messages", () => {
  assert.equal(didYouMean("lama", ["llama"]), ', did you mean "llama"?');
  assert.equal(didYouMean("bert", ["llama"]), "");
  assert.equal(listNames(["a", "b"]), '"a", "b"');
  assert.equal(listNames(["a", "b", "c"], 2), '"a", "b" and 1 more');
});
