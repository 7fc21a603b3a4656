import assert from "node:assert/strict";
import { type Example, parseExample } from "@tessera/train";
import { loadTokenizer } from "tessera";
import { configSchema } from "../job/config.ts";
import { prepareExamples, splitExamples } from "./data.ts";
import { tinyFolder } from "../job/tiny_config.ts";

const tokenizer = await loadTokenizer(tinyFolder);

function configWith(data: object = {}) {
  return configSchema.parse({
    preset: tinyFolder,
    data: { train: "train.jsonl", ...data },
    training: { batchSize: 2 },
  });
}

function prepare(records: readonly object[], data: object = {}) {
  const list: Example[] = records.map((record, i) => parseExample(record, `train.jsonl:${i + 1}`));
  return prepareExamples({ source: "train.jsonl", list }, tokenizer, configWith(data), {
    contextLength: 256,
    images: undefined,
  });
}

Deno.test("splitExamples() sets a share aside, the same one for the same seed", () => {
  const all = Array.from({ length: 20 }, (_, i) => i);
  const { rest, aside } = splitExamples(all, 0.1, 3);
  assert.equal(aside.length, 2);
  assert.deepEqual([...rest, ...aside].sort((a, b) => a - b), all);
  assert.deepEqual(splitExamples(all, 0.1, 3), { rest, aside });
  assert.notDeepEqual(splitExamples(all, 0.1, 4).aside, aside);
});

Deno.test("splitExamples() leaves something on both sides", () => {
  assert.equal(splitExamples([1, 2], 0.01, 1).aside.length, 1);
  assert.equal(splitExamples([1, 2], 0.99, 1).rest.length, 1);
  assert.throws(() => splitExamples([1], 0.5, 1), { name: "RangeError", message: /there is only one/ });
});

Deno.test("prepareExamples() asks what comes before the last answer", async () => {
  const chat = [
    { role: "user", content: "One?" },
    { role: "assistant", content: "1" },
    { role: "user", content: "Two?" },
    { role: "assistant", content: "2" },
  ];
  const { questions, facts } = await prepare([
    { prompt: "Lunch with Ada Olsen", response: '{"what":"lunch"}' },
    { text: "A text asks nothing." },
    { messages: chat },
  ]);
  assert.deepEqual(questions.map(({ prompt, expected }) => [prompt, expected.trim()]), [
    ["Lunch with Ada Olsen", '{"what":"lunch"}'],
    ["Two?", "2"],
  ]);
  assert.deepEqual(questions[0]!.tokenIds, [tokenizer.bosId, ...tokenizer.encode("Lunch with Ada Olsen")]);
  const asked = tokenizer.decode(questions[1]!.tokenIds);
  assert.ok(asked.includes("Two?") && !asked.includes("2"), asked);
  assert.equal(facts.examples, 3);
});

Deno.test("prepareExamples() says what it cut and what it left out, and asks none of it", async () => {
  const records = [
    { prompt: "a b c d", response: "e f g h i j k l m n o p q r s t u v w x y z" },
    { prompt: "a b c d e f g h i j k l m n o p q r s t u v w x y z", response: "a" },
    { prompt: "a", response: "b" },
  ];
  const { questions, facts } = await prepare(records, { maxLength: 12, overflow: "truncate" });
  assert.deepEqual([facts.examples, facts.truncated, facts.dropped], [2, 1, 1]);
  assert.deepEqual(questions.map(({ expected }) => expected), ["b"]);
  await assert.rejects(prepare(records, { maxLength: 12 }), { name: "RangeError", message: /train\.jsonl:1/ });
});

Deno.test("prepareExamples() rejects examples longer than the context of the model", async () => {
  await assert.rejects(prepare([{ text: "a" }], { maxLength: 300 }), { message: /data\.maxLength 300: .*256 tokens/ });
});
