import assert from "node:assert/strict";
import { blobFolder } from "@tessera/files";
import fc from "fast-check";
import type { Example } from "./example.ts";
import { loadExamples, readExamples } from "./jsonl.ts";

async function withFile(content: string | Uint8Array, run: (path: string) => Promise<void>) {
  const path = await Deno.makeTempFile({ suffix: ".jsonl" });
  try {
    await Deno.writeFile(path, typeof content === "string" ? new TextEncoder().encode(content) : content);
    await run(path);
  } finally {
    await Deno.remove(path);
  }
}

Deno.test("loadExamples() reads all kinds of records, mixed", async () => {
  const lines = [
    { prompt: "2+2=", response: "4", id: 7 },
    { text: "Once upon a time" },
    { messages: [{ role: "user", content: "Hi" }, { role: "assistant", content: "Hello" }] },
  ].map((record) => JSON.stringify(record));
  await withFile(lines.join("\n"), async (path) => {
    const expected: Example[] = [
      { kind: "prompt", prompt: "2+2=", response: "4", at: `${path}:1` },
      { kind: "text", text: "Once upon a time", at: `${path}:2` },
      {
        kind: "messages",
        messages: [{ role: "user", content: "Hi" }, { role: "assistant", content: "Hello" }],
        at: `${path}:3`,
      },
    ];
    assert.deepEqual(await loadExamples(path), expected);
  });
});

Deno.test("loadExamples() skips a byte order mark, carriage returns and blank lines, but counts lines", async () => {
  await withFile('\ufeff{"text":"a"}\r\n\r\n  \n{"text":"b\\r"}\r\n\n', async (path) => {
    assert.deepEqual(await loadExamples(path), [
      { kind: "text", text: "a", at: `${path}:1` },
      { kind: "text", text: "b\r", at: `${path}:4` },
    ]);
  });
});

Deno.test("loadExamples() reads lines that span chunks of the file", async () => {
  const texts = ["x".repeat(300_000), "é🙂".repeat(50_000), "short", "y".repeat(65_536)];
  await withFile(texts.map((text) => JSON.stringify({ text })).join("\n"), async (path) => {
    const examples = await loadExamples(path);
    assert.deepEqual(examples.map((example) => (example as { text: string }).text), texts);
  });
});

Deno.test("readExamples() reads no more of a file than it is asked for", async () => {
  await withFile('{"text":"a"}\n{broken\n', async (path) => {
    for await (const example of readExamples(path)) {
      assert.equal(example.at, `${path}:1`);
      break;
    }
  });
});

Deno.test("loadExamples() takes records in memory", async () => {
  assert.deepEqual(await loadExamples([{ text: "a" }]), [{ kind: "text", text: "a", at: "examples[0]" }]);
  await assert.rejects(loadExamples([{ text: "a" }, { prompt: "b" }]), {
    name: "TypeError",
    message: 'Cannot read examples[1]: "response" is missing',
  });
});

Deno.test("loadExamples() says where a file is malformed", async () => {
  const cases: [string | Uint8Array, string, RegExp][] = [
    ['{"text":"a"}\n{"text":', "SyntaxError", /^Cannot read .*\.jsonl:2: malformed JSON \(.*\)$/],
    [
      '[\n{"text":"a"}\n]',
      "SyntaxError",
      /jsonl:1: malformed JSON .*looks like one JSON array: write one object per line$/,
    ],
    [new Uint8Array([0x7b, 0xff, 0x7d]), "SyntaxError", /jsonl:1: the line is not UTF-8$/],
    ["", "RangeError", /^Cannot use an empty data set: ".*\.jsonl" holds no records; expected at least one example$/],
    ["\n \r\n", "RangeError", /^Cannot use an empty data set: /],
  ];
  for (const [content, name, message] of cases) {
    await withFile(content, (path) => assert.rejects(loadExamples(path), { name, message }));
  }
});

Deno.test("loadExamples() says that a file is missing or a folder", async () => {
  await assert.rejects(loadExamples("no/such.jsonl"), {
    message: 'Cannot read "no/such.jsonl": there is no such file',
  });
  await assert.rejects(loadExamples("."), {
    message: 'Cannot read ".": it is a folder, expected a file',
  });
  await assert.rejects(loadExamples([]), { name: "RangeError", message: /the list is empty/ });
});

Deno.test("loadExamples() gives back any text that was written", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.string({ unit: "grapheme", minLength: 1 }), { minLength: 1 }),
      fc.constantFrom("\n", "\r\n", "\n\n"),
      async (texts, separator) => {
        await withFile(texts.map((text) => JSON.stringify({ text })).join(separator), async (path) => {
          const examples = await loadExamples(path);
          assert.deepEqual(examples.map((example) => (example as { text: string }).text), texts);
        });
      },
    ),
    { seed: 1, numRuns: 50 },
  );
});

Deno.test("loadExamples() reads a file that a user picked", async () => {
  const file = blobFolder([["mine.jsonl", new Blob(['{"text": "a"}\n{"text": 1}'])]], "picked").file("mine.jsonl");
  await assert.rejects(loadExamples(file), { name: "TypeError", message: /picked\/mine\.jsonl:2/ });
  const empty = blobFolder([["mine.jsonl", new Blob(["\n"])]], "picked").file("mine.jsonl");
  await assert.rejects(loadExamples(empty), { name: "RangeError", message: /"picked\/mine\.jsonl" holds no records/ });
});
