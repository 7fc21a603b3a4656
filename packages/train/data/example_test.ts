import assert from "node:assert/strict";
import { parseExample } from "./example.ts";

Deno.test("parseExample() says what is wrong and what would be right", () => {
  const user = { role: "user", content: "Hi" };
  const cases: [unknown, string][] = [
    [[1], 'found an array; expected an object with { "prompt", "response" }, { "text" } or { "messages" }'],
    [
      "hello",
      'found the string "hello"; expected an object with { "prompt", "response" }, { "text" } or { "messages" }',
    ],
    [{}, 'found no keys; expected { "prompt", "response" }, { "text" } or { "messages" }'],
    [
      { id: 1, labels: [] },
      'found the keys "id", "labels"; expected { "prompt", "response" }, { "text" } or { "messages" }',
    ],
    [
      { instruction: "a", output: "b" },
      'found the keys "instruction", "output"; expected { "prompt", "response" }, { "text" } or { "messages" }; ' +
      'rename "instruction" to "prompt" if that is what it means; rename "output" to "response" if that is what it means',
    ],
    [
      { prompt: "a", respnose: "b" },
      '"response" is missing; rename "respnose" to "response" if that is what it means',
    ],
    [
      { prompt: "a", completion: "b" },
      '"response" is missing; rename "completion" to "response" if that is what it means',
    ],
    [{ prompt: "a", response: 4 }, '"response" is the number 4; expected a string'],
    [{ prompt: null, response: "b" }, '"prompt" is null; expected a string'],
    [{ text: ["a"] }, '"text" is an array; expected a string'],
    [{ text: "" }, '"text" is empty; expected a text to learn'],
    [
      { prompt: "a", response: "b", text: "c" },
      'the record mixes { "prompt", "response" } and { "text" }; keep the keys of one kind',
    ],
    [{ messages: "Hi" }, '"messages" is the string "Hi"; expected an array'],
    [{ messages: [] }, '"messages" is empty; expected at least one assistant turn'],
    [{ messages: ["Hi"] }, 'messages[0] is the string "Hi"; expected { "role", "content" }'],
    [{ messages: [user, { role: "assistant" }] }, "messages[1].content is missing; expected a string"],
    [{ messages: [{ rol: "user", content: "" }] }, 'messages[0].role is missing; expected a string; found "rol"'],
    [
      { messages: [user, { role: "assistant", content: [{ type: "text" }] }] },
      "messages[1].content is an array; expected a string",
    ],
    [{ messages: [user] }, 'no message has the role "assistant", so there is nothing to learn; found "user"'],
    [
      { messages: [user, { role: "asistant", content: "Hello" }] },
      'no message has the role "assistant", so there is nothing to learn; found "user", "asistant"; ' +
      '"asistant" looks misspelled',
    ],
  ];
  for (const [value, problem] of cases) {
    assert.throws(() => parseExample(value, "data.jsonl:3"), {
      name: "TypeError",
      message: `Cannot read data.jsonl:3: ${problem}`,
    });
  }
});

Deno.test("parseExample() keeps an empty response, which teaches to say nothing", () => {
  assert.deepEqual(parseExample({ prompt: "Entities: ", response: "" }, "a:1"), {
    kind: "prompt",
    prompt: "Entities: ",
    response: "",
    at: "a:1",
  });
});
