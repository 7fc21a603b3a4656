import assert from "node:assert/strict";
import { detectionOverlaps, intersectionOverUnion } from "./overlap.ts";

const cat = "<loc0000><loc0000><loc0512><loc0512> cat";
const halfOfCat = "<loc0000><loc0000><loc0512><loc0256> cat";
const otherCat = "<loc0512><loc0512><loc1023><loc1023> cat";

Deno.test("intersectionOverUnion() is 1 for the same box, 0 for boxes apart, and the shared part otherwise", () => {
  const box = { left: 0, top: 0, right: 4, bottom: 4 };
  assert.equal(intersectionOverUnion(box, box), 1);
  assert.equal(intersectionOverUnion(box, { left: 4, top: 0, right: 8, bottom: 4 }), 0);
  assert.equal(intersectionOverUnion(box, { left: 2, top: 2, right: 6, bottom: 6 }), 4 / 28);
});

Deno.test("detectionOverlaps() pairs boxes of the same label, best fit first, each once", () => {
  assert.deepEqual(detectionOverlaps(cat, cat), [1]);
  assert.deepEqual(detectionOverlaps(halfOfCat, cat), [0.5]);
  assert.deepEqual(detectionOverlaps(`${otherCat} ; ${cat}`, `${cat} ; ${otherCat}`), [1, 1]);
  assert.deepEqual(detectionOverlaps(`${halfOfCat} ; ${cat}`, cat), [1]);
  assert.deepEqual(detectionOverlaps(cat, `${halfOfCat} ; ${cat}`), [0, 1]);
});

Deno.test("detectionOverlaps() gives 0 for what was not found, and nothing where there are no boxes", () => {
  assert.deepEqual(detectionOverlaps(cat.replace("cat", "dog"), cat), [0]);
  assert.deepEqual(detectionOverlaps("a cat", cat), [0]);
  assert.deepEqual(detectionOverlaps("<loc0900><loc0000><loc0100><loc0512> cat", cat), [0]);
  assert.deepEqual(detectionOverlaps(cat, "a cat"), []);
});
