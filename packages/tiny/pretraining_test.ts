import { deepEqual, equal, notDeepEqual, ok } from "node:assert/strict";
import { pretrainingText } from "./pretraining.ts";

function documents(seed: number, count: number): string[] {
  const stream = pretrainingText(seed);
  return Array.from({ length: count }, () => stream.next().value);
}

Deno.test("pretrainingText() gives the same documents for the same seed", () => {
  deepEqual(documents(1, 50), documents(1, 50));
  notDeepEqual(documents(1, 50), documents(2, 50));
});

Deno.test("pretrainingText() keeps its first documents", () => {
  deepEqual(documents(1, 2), [
    "15 August is 08-15\n15 September is 09-15\nhalf past nine in the morning is 09:30",
    "Sleim Proo, Yiegeerd Peb, Death, Thoobi Dinaill, Mei Wright\nAgain: Sleim Proo, Yiegeerd Peb, Death, Thoobi Dinaill, Mei Wright",
  ]);
});

Deno.test("pretrainingText() invents longer names as it proceeds", () => {
  const texts = documents(2, 61_000);
  function lettersPerWord(from: number): number {
    const lists = texts.slice(from, from + 1000).filter((text) => /\nAgain: /.test(text));
    const words = lists.join(" ").split(/\W+/);
    return words.join("").length / words.length;
  }
  const [start, end] = [lettersPerWord(0), lettersPerWord(60_000)];
  ok(end > start + 0.5, `${start} letters at the start, ${end} at the end`);
});

Deno.test("pretrainingText() mixes all kinds of document", () => {
  const texts = documents(3, 1000);
  const marks = {
    chat: /^<start_of_turn>user\n[^]+<end_of_turn>\n<start_of_turn>model\n.+<end_of_turn>$/,
    reading: /\n(Who\?|With whom\?|Person:) /,
    days: /^(the .*|.*\w) is \d\d-\d\d$/m,
    times: / is \d\d:\d\d$/m,
    copy: /\n(Again|First|Last|After .*): /,
    record: /\n\{.*\}$/,
  };
  for (const [kind, mark] of Object.entries(marks)) {
    const count = texts.filter((text) => mark.test(text)).length;
    ok(count > 30, `${count} documents of kind ${kind}`);
  }
});

Deno.test("pretrainingText() has JSON that parses and never the keys of the fine-tuning task", () => {
  let records = 0;
  for (const text of documents(4, 3000)) {
    const json = text.split("\n").find((line) => line.startsWith("{"));
    if (json === undefined) continue;
    records++;
    const keys = Object.keys(JSON.parse(json) as object);
    deepEqual(keys.filter((key) => ["what", "who", "where", "date", "time"].includes(key)), []);
  }
  ok(records > 200, `${records} records`);
  equal(documents(4, 3000).filter((text) => text.includes('"who"')).length, 0);
});
