import assert from "node:assert/strict";
import { editDistance, nearestName } from "./nearest.ts";

Deno.test("editDistance() counts insertions, deletions, replacements and swaps", () => {
  const cases: [string, string, number][] = [
    ["", "abc", 3],
    ["abc", "", 3],
    ["kitten", "sitting", 3],
    ["respnose", "response", 1],
    ["same", "same", 0],
  ];
  for (const [a, b, distance] of cases) {
    assert.equal(editDistance(a, b), distance, `${a} to ${b}`);
    assert.equal(editDistance(b, a), distance, `${b} to ${a}`);
  }
});

Deno.test("nearestName() finds the closest candidate, whatever the case", () => {
  assert.equal(nearestName("respnse", ["prompt", "response", "text"]), "response");
  assert.equal(nearestName("Prompt", ["prompt", "response"]), "prompt");
  assert.equal(nearestName("cosin", ["constant", "cosine", "cosineRestarts"]), "cosine");
});

Deno.test("nearestName() answers null when nothing is close", () => {
  assert.equal(nearestName("label", ["prompt", "response"]), null);
  assert.equal(nearestName("id", ["lr"]), null);
  assert.equal(nearestName("x", []), null);
});
