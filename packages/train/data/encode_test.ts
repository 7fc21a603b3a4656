import assert from "node:assert/strict";
import fc from "fast-check";
import type { ChatMessage, Tokenizer } from "@tessera/tokenizer";
import { encodeExamples, type EncodeOptions, textChunks } from "./encode.ts";
import { parseExample } from "./example.ts";
import { characterTokenizer, turnTemplate } from "./testing.ts";

const withTemplate = characterTokenizer({ template: turnTemplate });

/** The text of an encoded record, the tokens that count in brackets. */
async function encodeToText(record: unknown, tokenizer: Tokenizer, options: Partial<EncodeOptions> = {}) {
  const { examples } = await encodeExamples([parseExample(record, "data.jsonl:1")], tokenizer, {
    maxLength: 1000,
    ...options,
  });
  const { tokenIds, lossMask } = examples[0]!;
  assert.equal(tokenIds.length, lossMask.length);
  const texts = Array.from(tokenIds, (id, i) => (lossMask[i] ? `[${tokenizer.decode([id])}]` : tokenizer.decode([id])));
  return texts.join("").replaceAll("][", "");
}

function turns(...contents: string[]): { messages: ChatMessage[] } {
  return { messages: contents.map((content, i) => ({ role: i % 2 === 0 ? "user" : "assistant", content })) };
}

Deno.test("encodeExamples() counts the response and the end of a prompt record", async () => {
  assert.equal(await encodeToText({ prompt: "2+2=", response: "4" }, characterTokenizer()), "<bos>2+2=[4<eos>]");
  assert.equal(await encodeToText({ prompt: "", response: "4" }, characterTokenizer()), "<bos>[4<eos>]");
  assert.equal(await encodeToText({ prompt: "a", response: "" }, characterTokenizer()), "<bos>a[<eos>]");
});

Deno.test("encodeExamples() counts all of a text but what nothing precedes", async () => {
  assert.equal(await encodeToText({ text: "abc" }, characterTokenizer()), "<bos>[abc<eos>]");
  const bare: Tokenizer = { ...characterTokenizer(), bosId: null, startId: null, eosId: null };
  assert.equal(await encodeToText({ text: "abc" }, bare), "a[bc]");
  const unstarted = characterTokenizer({ addsBos: false });
  assert.equal(await encodeToText({ text: "abc" }, unstarted), "a[bc<eos>]");
  assert.equal(await encodeToText({ prompt: "a", response: "b" }, unstarted), "a[b<eos>]");
});

Deno.test("encodeExamples() counts each assistant turn with the token that ends it", async () => {
  assert.equal(
    await encodeToText(turns("Hi", "Hello", "Bye", "See you"), withTemplate),
    "<bos><turn>user\nHi<end>\n<turn>model\n[Hello<end>]\n<turn>user\nBye<end>\n<turn>model\n[See you<end>]\n",
  );
});

Deno.test("encodeExamples() finds turns that the template trims, repeats or leaves empty", async () => {
  assert.equal(
    await encodeToText(turns("Hi", "  Hi\n", "Hi", "", "Hi", "Hi"), withTemplate),
    "<bos><turn>user\nHi<end>\n<turn>model\n[Hi<end>]\n<turn>user\nHi<end>\n<turn>model\n[<end>]\n" +
      "<turn>user\nHi<end>\n<turn>model\n[Hi<end>]\n",
  );
});

Deno.test("encodeExamples() follows a template that rewrites earlier turns", async () => {
  const strip = (text: string) => text.replace(/^.*<\/think>/s, "");
  const forgetful = characterTokenizer({
    template: (messages) =>
      turnTemplate(
        messages.map((turn, i) => ({ ...turn, content: i < messages.length - 1 ? strip(turn.content) : turn.content })),
      ),
  });
  assert.equal(
    await encodeToText(turns("a", "<think>x</think>b", "c", "<think>y</think>d"), forgetful),
    "<bos><turn>user\na<end>\n<turn>model\n[b<end>]\n<turn>user\nc<end>\n<turn>model\n[<think>y</think>d<end>]\n",
  );
});

/** Writes a thought before the last answer, as Qwen 3's template does: that of the turn, or an empty one. */
function thinkingTemplate(messages: readonly ChatMessage[], isAsking: boolean): string {
  const contents = messages.map(({ role, content }, i) => {
    if (role !== "assistant") return content;
    const [, thought = "", answer] = /^(?:<think>(.*)<\/think>)?(.*)$/s.exec(content)!;
    return i < messages.length - 1 ? answer! : `<think>${thought}</think>${answer}`;
  });
  return turnTemplate(messages.map((turn, i) => ({ ...turn, content: contents[i]! })), isAsking);
}

Deno.test("encodeExamples() counts a thought that the template writes between the opening of a turn and the answer", async () => {
  const thinking = characterTokenizer({ template: thinkingTemplate });
  const before = "<bos><turn>user\na<end>\n<turn>model\n[b<end>]\n<turn>user\nc<end>\n<turn>model\n";
  assert.equal(
    await encodeToText(turns("a", "<think>x</think>b", "c", "<think>y</think>d"), thinking),
    `${before}[<think>y</think>d<end>]\n`,
  );
  assert.equal(await encodeToText(turns("a", "b", "c", "d"), thinking), `${before}[<think></think>d<end>]\n`);
});

Deno.test("encodeExamples() adds the opening token where the template lacks it, and never twice", async () => {
  const template = (messages: readonly ChatMessage[]) => turnTemplate(messages).slice("<bos>".length);
  const expected = "<turn>user\nHi<end>\n<turn>model\n[Yo<end>]\n";
  assert.equal(await encodeToText(turns("Hi", "Yo"), characterTokenizer({ template })), `<bos>${expected}`);
  assert.equal(await encodeToText(turns("Hi", "Yo"), characterTokenizer({ template, addsBos: false })), expected);
});

Deno.test("encodeExamples() ends the last turn where the template does not", async () => {
  const template = (messages: readonly ChatMessage[]) =>
    messages.map((turn) => `${turn.role}: ${turn.content}`).join("\n");
  assert.equal(
    await encodeToText(turns("a", "b", "c", "d"), characterTokenizer({ template })),
    "<bos>user: a\nassistant: [b\n]user: c\nassistant: [d<eos>]",
  );
});

Deno.test("encodeExamples() puts prompts into the chat template on request", async () => {
  assert.equal(
    await encodeToText({ prompt: "2+2=", response: "4" }, withTemplate, { chat: true }),
    "<bos><turn>user\n2+2=<end>\n<turn>model\n[4<end>]\n",
  );
  assert.equal(await encodeToText({ text: "abc" }, withTemplate, { chat: true }), "<bos>[abc<eos>]");
});

Deno.test("encodeExamples() counts exactly what the assistant said, whatever is said", async () => {
  const content = fc.string({ unit: "grapheme", maxLength: 12 }).map((text) => text.trim());
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(content, content), { minLength: 1, maxLength: 4 }), async (pairs) => {
      const example = parseExample(turns(...pairs.flat()), "a:1");
      const { examples: [encoded] } = await encodeExamples([example], withTemplate, { maxLength: 1000 });
      const { tokenIds, lossMask } = encoded!;
      assert.equal(withTemplate.decode([...tokenIds]), turnTemplate(turns(...pairs.flat()).messages));
      const counted = withTemplate.decode([...tokenIds.filter((_, i) => lossMask[i])]);
      assert.equal(counted, pairs.map(([, answer]) => `${answer}<end>`).join(""));
    }),
    { seed: 1 },
  );
});

Deno.test("encodeExamples() rejects what is too long, and says by how much", async () => {
  const long = { prompt: "abcdef", response: "gh" };
  const encode = (record: unknown, options: EncodeOptions) =>
    encodeExamples([parseExample(record, "data.jsonl:12")], characterTokenizer(), options);
  await assert.rejects(encode(long, { maxLength: 9 }), {
    name: "RangeError",
    message: "Cannot encode data.jsonl:12: it has 10 tokens (7 before the first to learn), more than maxLength (9); " +
      'shorten it, raise maxLength, or set overflow to "truncate"',
  });
  await assert.rejects(encode(long, { maxLength: 7 }), {
    name: "RangeError",
    message: "Cannot encode data.jsonl:12: the prompt has 7 tokens, which leaves no room for a response within " +
      "maxLength (7); shorten the prompt or raise maxLength",
  });
  await assert.rejects(encode(long, { maxLength: 7, overflow: "truncate" }), {
    name: "RangeError",
    message: /^Cannot use the examples: none of 1 has anything to learn; data.jsonl:12: the prompt has 7 tokens/,
  });
  await assert.rejects(encode(long, { maxLength: 1.5 }), { name: "RangeError", message: /maxLength is 1.5/ });
  assert.equal((await encode(long, { maxLength: 10 })).truncated, 0);
});

Deno.test("encodeExamples() cuts the end on request, counts cuts and drops what is useless", async () => {
  const records = [{ prompt: "ab", response: "cdef" }, { prompt: "abcdefgh", response: "i" }, { text: "ab" }];
  const { examples, truncated, dropped } = await encodeExamples(
    records.map((record, i) => parseExample(record, `data.jsonl:${i + 1}`)),
    characterTokenizer(),
    { maxLength: 5, overflow: "truncate" },
  );
  assert.deepEqual(examples.map((example) => [example.at, example.tokenIds.length, [...example.lossMask].join("")]), [
    ["data.jsonl:1", 5, "00011"],
    ["data.jsonl:3", 4, "0111"],
  ]);
  assert.equal(truncated, 1);
  assert.deepEqual(dropped, [{
    at: "data.jsonl:2",
    reason: "the prompt has 9 tokens, which leaves no room for a response within maxLength (5); " +
      "shorten the prompt or raise maxLength",
  }]);
});

Deno.test("encodeExamples() names a record that the chat template cannot take", async () => {
  await assert.rejects(encodeToText(turns("Hi", "Yo"), characterTokenizer()), {
    name: "TypeError",
    message: /^Cannot encode data.jsonl:1: it needs a chat template and the model's tokenizer has none/,
  });
  const strict = characterTokenizer({
    template: () => {
      throw new Error("System role not supported");
    },
  });
  await assert.rejects(encodeToText(turns("Hi", "Yo"), strict), {
    name: "TypeError",
    message: "Cannot encode data.jsonl:1: the chat template rejects the messages (System role not supported)",
  });
  const moody = characterTokenizer({
    template: (messages) => `${messages[1]!.content.length}:${messages[1]!.content}`,
  });
  await assert.rejects(encodeToText(turns("Hi", "Yo"), moody), {
    name: "TypeError",
    message: /^Cannot encode data.jsonl:1: the chat template does not print messages\[1\] \(assistant\) once/,
  });
});

Deno.test("textChunks() cuts a text only between words", () => {
  const text = fc.array(fc.constantFrom("word", "é", "日本", " ", "  ", "\n", ".", "<end>"), {
    maxLength: 6000,
    minLength: 3000,
  })
    .map((parts) => parts.join(""));
  fc.assert(
    fc.property(text, (text) => {
      const chunks = [...textChunks(text)];
      assert.equal(chunks.join(""), text);
      for (const chunk of chunks.slice(1)) assert.match(chunk, /^( \p{L}|\p{L})/u);
      for (const chunk of chunks.slice(0, -1)) assert.match(chunk, /(\p{L}|\n)$/u);
    }),
    { seed: 2, numRuns: 30 },
  );
});

Deno.test("encodeExamples() gives other tasks a turn during long work", async () => {
  const slow = characterTokenizer();
  const busy: Tokenizer = {
    ...slow,
    encode(text) {
      const until = performance.now() + 3;
      while (performance.now() < until);
      return slow.encode(text);
    },
  };
  let ticks = 0;
  const timer = setInterval(() => ticks++, 1);
  const examples = Array.from({ length: 20 }, (_, i) => parseExample({ text: "abc" }, `a:${i}`));
  await encodeExamples(examples, busy, { maxLength: 10 });
  clearInterval(timer);
  assert.ok(ticks >= 5, `the timer fired ${ticks} times`);
});
