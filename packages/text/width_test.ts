import assert from "node:assert/strict";
import fc from "fast-check";
import { displayWidth, fitText } from "./width.ts";

Deno.test("displayWidth() counts terminal columns, not code units", () => {
  const cases: [string, number][] = [["abc", 3], ["", 0], ["é", 1], ["e\u0301", 1], ["日本", 4], ["한국어", 6], [
    "🙂",
    2,
  ]];
  for (const [text, width] of cases) assert.equal(displayWidth(text), width, text);
});

Deno.test("fitText() cuts the end or the middle", () => {
  assert.equal(fitText("decoder_block", 20), "decoder_block");
  assert.equal(fitText("decoder_block", 8), "decoder…");
  assert.equal(fitText("decoder_block/kernel", 12, "middle"), "decode…ernel");
  assert.equal(fitText("日本語テスト", 6), "日本…");
  assert.equal(fitText("abc", 1), "…");
  assert.equal(fitText("abc", 0), "");
});

Deno.test("fitText() never takes more columns than it may", () => {
  const text = fc.string({ unit: "grapheme", maxLength: 40 });
  const where = fc.constantFrom("end" as const, "middle" as const);
  fc.assert(
    fc.property(text, fc.nat(50), where, (text, columns, where) => {
      const fitted = fitText(text, columns, where);
      assert.ok(displayWidth(fitted) <= columns);
      if (displayWidth(text) <= columns) assert.equal(fitted, text);
    }),
    { seed: 1 },
  );
});
