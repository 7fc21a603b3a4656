import assert from "node:assert/strict";
import { formatFacts, makeStyles, oneLine, wrap } from "./terminal.ts";

const plain = makeStyles(false);

Deno.test("wrap() breaks between words and cuts words that are too long", () => {
  assert.deepEqual(wrap("one two three", 8), ["one two", "three"]);
  assert.deepEqual(wrap("abcdefghij kl", 4), ["abcd", "efgh", "ij", "kl"]);
  assert.deepEqual(wrap("日本語 x", 4), ["日本", "語 x"]);
  assert.deepEqual(wrap("", 4), [""]);
});

Deno.test("oneLine() lets nothing move the cursor", () => {
  assert.equal(oneLine("a\nb\r\nc\td"), "a⏎b⏎c d");
  assert.equal(oneLine("\x1b[2Jboo\x07\u202e"), "�[2Jboo��");
});

Deno.test("formatFacts() lines up values and wraps under them", () => {
  const text = formatFacts([["Model", "tiny"], ["", "one two three four five six"]], 30, plain);
  assert.deepEqual(text.split("\n"), ["  Model  tiny", "         one two three four", "         five six"]);
});
