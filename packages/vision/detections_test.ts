import assert from "node:assert/strict";
import fc from "fast-check";
import { type Detection, formatDetections, parseDetections } from "./detections.ts";

const size = { width: 640, height: 480 };
const codes = Array.from({ length: 16 }, (_, i) => i * 8);
const outline = codes.map((code) => `<seg${String(code).padStart(3, "0")}>`).join("");

Deno.test("parseDetections() reads boxes as top, left, bottom, right in 1024ths, with labels", () => {
  const text = "<loc0256><loc0128><loc0512><loc0896> red circle ; <loc0000><loc0000><loc1023><loc1023> blue square";
  assert.deepEqual(parseDetections(text, size), {
    found: [
      { label: "red circle", box: { top: 120, left: 80, bottom: 240, right: 560 } },
      { label: "blue square", box: { top: 0, left: 0, bottom: 1023 / 1024 * 480, right: 1023 / 1024 * 640 } },
    ],
    skipped: [],
  });
});

Deno.test("parseDetections() reads the codes of outlines", () => {
  const { found } = parseDetections(`<loc0000><loc0000><loc0512><loc0512> ${outline} cat`, size);
  assert.deepEqual(found, [{ label: "cat", box: { top: 0, left: 0, bottom: 240, right: 320 }, codes }]);
});

const malformed: readonly (readonly [text: string, reason: RegExp])[] = [
  ["a cat on a mat", /^it has 0 places; a box has 4$/],
  ["<loc0001><loc0002><loc0003> cat", /^it has 3 places/],
  ["<loc0001><loc0002><loc0003><loc0004><loc0005> cat", /^it has 5 places/],
  ["<loc0500><loc0002><loc0003><loc0004> cat", /^its box is empty: 2 to 4 across, 500 to 3 down$/],
  ["<loc0001><loc0002><loc0003><loc1024> cat", /^place 1024 is outside the image; places go from 0 to 1023$/],
  ["<loc0001><loc0002><loc0003><loc0004> <seg001> cat", /^it has 1 codes; an outline has 16$/],
  [`<loc0001><loc0002><loc0003><loc0004> ${outline.replace("<seg000>", "<seg128>")} cat`, /^there is no code 128/],
  ["<loc0001><loc0002><loc0003><loc0004> cat <loc0005>", /^it has places or codes where its label should be/],
];

for (const [text, reason] of malformed) {
  Deno.test(`parseDetections() skips "${text.slice(0, 60)}", says why, and reads on`, () => {
    const { found, skipped } = parseDetections(`${text} ; <loc0000><loc0000><loc0512><loc0512> dog`, size);
    assert.deepEqual(found.map(({ label }) => label), ["dog"]);
    assert.equal(skipped.length, 1);
    assert.match(skipped[0]!.reason, reason);
  });
}

Deno.test("formatDetections() writes what parseDetections() reads", () => {
  const edge = fc.integer({ min: 0, max: 1022 });
  const detection = fc.record({
    label: fc.stringMatching(/^[a-z]{1,8}( [a-z]{1,8})?$/),
    places: fc.tuple(edge, edge, edge, edge).filter(([a, b, c, d]) => a < c && b < d),
    outlined: fc.boolean(),
  });
  fc.assert(fc.property(fc.array(detection), (list) => {
    const given: Detection[] = list.map(({ label, places: [top, left, bottom, right], outlined }) => ({
      label,
      box: {
        top: top / 1024 * 480,
        left: left / 1024 * 640,
        bottom: bottom / 1024 * 480,
        right: right / 1024 * 640,
      },
      ...(outlined ? { codes } : {}),
    }));
    assert.deepEqual(parseDetections(formatDetections(given, size), size), { found: given, skipped: [] });
  }));
});

Deno.test("formatDetections() rejects boxes outside the image, empty ones, and labels and codes that are none", () => {
  const box = { left: 0, top: 0, right: 10, bottom: 10 };
  const given: readonly (readonly [Detection, RegExp])[] = [
    [
      { label: "cat", box: { ...box, right: 641 } },
      /^RangeError: Cannot write the box of "cat", 0 to 641 across and 0 to 10 down: it must lie within the image of 640 × 480 pixels$/,
    ],
    [{ label: "cat", box: { ...box, top: -1 } }, /must lie within/],
    [{ label: "cat", box: { ...box, left: NaN } }, /must lie within/],
    [{ label: "cat", box: { ...box, left: 10 } }, /it is empty$/],
    [{ label: "a;b", box }, /^TypeError: .*semicolon/],
    [{ label: "cat", box, codes: [1, 2] }, /^RangeError: .*expected 16 codes from 0 to 127, found \[1, 2\]$/],
  ];
  for (const [detection, message] of given) assert.throws(() => formatDetections([detection], size), message);
});
