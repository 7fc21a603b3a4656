import { deepEqual, equal, notDeepEqual, ok, throws } from "node:assert/strict";
import { type Example, examplesToJsonl, finetuningExamples } from "./finetuning.ts";
import { familyNames, givenNames, isReservedName, places } from "./names.ts";
import { pretrainingText } from "./pretraining.ts";
import { createRandom } from "./random.ts";
import { dataSizes, finetuning, pretraining } from "./recipe.ts";

/** The JSON of a response. */
interface Fields {
  what: string;
  who: string;
  where: string | null;
  date: string;
  time: string;
}

const train = readExamples("train");
const heldOut = readExamples("heldout");

function readExamples(name: string): Example[] {
  const lines = Deno.readTextFileSync(new URL(`data/${name}.jsonl`, import.meta.url)).trimEnd().split("\n");
  return lines.map((line) => JSON.parse(line) as Example);
}

function fields({ response }: Example): Fields {
  return JSON.parse(response) as Fields;
}

Deno.test("the shipped data are what the generator writes", () => {
  for (const [split, examples] of [["train", train], ["heldout", heldOut]] as const) {
    equal(examples.length, dataSizes[split]);
    equal(examplesToJsonl(finetuningExamples(finetuning.seed, dataSizes[split], split)), examplesToJsonl(examples));
  }
});

Deno.test("finetuningExamples() depends on its seed and gives each prompt once", () => {
  notDeepEqual(finetuningExamples(1, 5, "train"), finetuningExamples(2, 5, "train"));
  deepEqual(finetuningExamples(1, 5, "train"), finetuningExamples(1, 9, "train").slice(0, 5));
  equal(new Set([...train, ...heldOut].map(({ prompt }) => prompt)).size, train.length + heldOut.length);
});

Deno.test("finetuningExamples() refuses a count that is not a whole number of at least 1", () => {
  throws(() => finetuningExamples(1, 0, "train"), /^RangeError: Cannot make 0 examples: the count must be/);
  throws(() => finetuningExamples(1, 1.5, "train"), RangeError);
});

Deno.test("every response is strict JSON that agrees with its prompt", () => {
  for (const example of [...train, ...heldOut]) {
    const { what, who, where, date, time } = fields(example);
    equal(JSON.stringify({ what, who, where, date, time }), example.response);
    ok(example.prompt.toLowerCase().includes(what), example.prompt);
    ok(example.prompt.includes(who), example.prompt);
    ok(where === null || example.prompt.includes(where), example.prompt);
    ok(/^\d\d-\d\d$/.test(date) && /^\d\d:\d\d$/.test(time), example.response);
  }
});

Deno.test("no person of the held-out examples occurs in training, and many of their names and places do not either", () => {
  const people = new Set(heldOut.map((example) => fields(example).who));
  for (const person of people) ok(isReservedName(person), person);
  const stream = pretrainingText(pretraining.seed);
  const documents = Array.from({ length: 5000 }, () => stream.next().value);
  const texts = [...train.map(({ prompt }) => prompt), ...documents].join("\n");
  for (const name of [...people, ...givenNames.reserved, ...familyNames.reserved, ...places.reserved]) {
    ok(!new RegExp(`\\b${name}\\b`).test(texts), name);
  }
  const unseen = [...givenNames.reserved, ...familyNames.reserved];
  const strangers = heldOut.filter((example) => fields(example).who.split(" ").some((word) => unseen.includes(word)));
  ok(strangers.length > heldOut.length / 3, `${strangers.length} people with a word that training never uses`);
  const elsewhere = heldOut.filter((example) => places.reserved.includes(fields(example).where ?? ""));
  ok(elsewhere.length > heldOut.length / 6, `${elsewhere.length} places that training never uses`);
});

Deno.test("known and reserved words do not overlap", () => {
  for (const { known, reserved } of [givenNames, familyNames, places]) {
    equal(new Set([...known, ...reserved]).size, known.length + reserved.length);
  }
});

Deno.test("createRandom() draws evenly", () => {
  const random = createRandom(5);
  const counts = Array.from({ length: 10 }, () => 0);
  for (let draw = 0; draw < 10_000; draw++) counts[random.below(10)]! += 1;
  ok(counts.every((count) => count > 850 && count < 1150), counts.join());
  deepEqual(random.shuffle([3, 1, 2]).sort(), [1, 2, 3]);
});
