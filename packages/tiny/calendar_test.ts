import { deepEqual, equal, ok } from "node:assert/strict";
import { daySpellings, drawDay, drawTime, plainDay, plainTime, timeSpellings } from "./calendar.ts";
import { createRandom } from "./random.ts";

Deno.test("daySpellings() writes numerals and words with the right endings", () => {
  deepEqual(daySpellings({ month: 3, day: 3 }), [
    "3 March",
    "March 3",
    "the 3rd of March",
    "March 3rd",
    "the third of March",
    "3 Mar",
    "Mar 3",
  ]);
  const ordinals = [[1, "1st", "first"], [12, "12th", "twelfth"], [13, "13th", "thirteenth"], [
    20,
    "20th",
    "twentieth",
  ]] as const;
  for (const [day, numeral, word] of [...ordinals, [22, "22nd", "twenty-second"], [30, "30th", "thirtieth"]] as const) {
    const spellings = daySpellings({ month: 12, day });
    ok(spellings.includes(`the ${numeral} of December`), spellings.join());
    ok(spellings.includes(`the ${word} of December`), spellings.join());
  }
  ok(daySpellings({ month: 1, day: 31 }).includes("the thirty-first of January"));
});

Deno.test("timeSpellings() counts to the next hour after half past", () => {
  deepEqual(timeSpellings({ hour: 19, minute: 30 }), ["19:30", "7:30 pm", "half past seven in the evening"]);
  deepEqual(timeSpellings({ hour: 12, minute: 45 }), ["12:45", "12:45 pm", "quarter to one in the afternoon"]);
  deepEqual(timeSpellings({ hour: 9, minute: 5 }), ["09:05", "9:05 am", "five past nine in the morning"]);
  deepEqual(timeSpellings({ hour: 12, minute: 0 }).slice(1), [
    "12:00 pm",
    "12 pm",
    "twelve in the afternoon",
    "twelve o'clock in the afternoon",
    "noon",
  ]);
});

Deno.test("each spelling stands for one day or one time only", () => {
  const meanings = new Map<string, string>();
  function record(spelling: string, meaning: string): void {
    equal(meanings.get(spelling) ?? meaning, meaning, spelling);
    meanings.set(spelling, meaning);
  }
  for (let month = 1; month <= 12; month++) {
    for (let day = 1; day <= 28; day++) {
      for (const spelling of daySpellings({ month, day })) record(spelling, plainDay({ month, day }));
    }
  }
  for (let hour = 7; hour <= 21; hour++) {
    for (let minute = 0; minute < 60; minute += 5) {
      for (const spelling of timeSpellings({ hour, minute })) record(spelling, plainTime({ hour, minute }));
    }
  }
  ok(meanings.size > 12 * 28 * 6, `${meanings.size} spellings`);
});

Deno.test("drawDay() and drawTime() stay in range and reach its ends", () => {
  const random = createRandom(1);
  const days = new Set(Array.from({ length: 9000 }, () => plainDay(drawDay(random))));
  equal(days.size, 365);
  const hours = new Set(Array.from({ length: 300 }, () => drawTime(random, [9, 11]).hour));
  deepEqual([...hours].sort((left, right) => left - right), [9, 10, 11]);
});
