import assert from "node:assert/strict";
import { loadTokenizer, type Tokenizer } from "./tokenizer.ts";
import { type Files, withFolder } from "@tessera/files/testing";

/** What the Python libraries do, as written by `test/oracle/make_tokenizer.py`. */
interface Golden {
  readonly texts: readonly {
    readonly text: string;
    readonly ids: number[];
    readonly with_special: number[];
    readonly decoded: string;
    readonly without_special: string;
  }[];
  readonly decodes: readonly { readonly ids: number[]; readonly text: string }[];
  readonly chats: readonly {
    readonly messages: readonly { readonly role: string; readonly content: string }[];
    readonly add_generation_prompt: boolean;
    readonly text: string;
  }[];
}

const testdata = `${import.meta.dirname}/testdata`;

async function readJsonFile(name: string): Promise<Record<string, unknown>> {
  return JSON.parse(await Deno.readTextFile(`${testdata}/${name}`));
}

for (const name of ["gemma", "llama", "llama3", "hermes", "qwen"]) {
  const golden = await readJsonFile(`${name}/golden.json`) as unknown as Golden;

  Deno.test(`encode() and decode() agree with the Python tokenizer, ${name}`, async (t) => {
    const tokenizer = await loadTokenizer(`${testdata}/${name}`);
    for (const { text, ids, with_special, decoded, without_special } of golden.texts) {
      await t.step(JSON.stringify(text.slice(0, 40)), () => {
        assert.deepEqual(tokenizer.encode(text), ids);
        assert.deepEqual(tokenizer.encode(text, { addSpecialTokens: true }), with_special);
        assert.equal(tokenizer.decode(with_special), decoded);
        assert.equal(tokenizer.decode(with_special, { skipSpecialTokens: true }), without_special);
      });
    }
    for (const { ids, text } of golden.decodes) {
      await t.step(`decode ${ids}`, () => assert.equal(tokenizer.decode(ids), text));
    }
  });

  Deno.test(`applyChatTemplate() agrees with Transformers, ${name}`, async () => {
    const tokenizer = await loadTokenizer(`${testdata}/${name}`);
    assert.ok(tokenizer.hasChatTemplate);
    for (const { messages, add_generation_prompt, text } of golden.chats) {
      assert.equal(tokenizer.applyChatTemplate(messages, { addGenerationPrompt: add_generation_prompt }), text);
    }
  });
}

for (const name of ["gemma", "llama"]) {
  Deno.test(`loadTokenizer() finds the special tokens, ${name}`, async () => {
    const tokenizer = await loadTokenizer(`${testdata}/${name}`);
    assert.deepEqual([tokenizer.padId, tokenizer.eosId, tokenizer.bosId], [0, 1, 2]);
    assert.equal(tokenizer.tokenToId("<turn>"), 4);
    assert.equal(tokenizer.tokenToId("<none>"), null);
    assert.equal(tokenizer.idToToken(4), "<turn>");
    assert.equal(tokenizer.idToToken(tokenizer.vocabularySize), null);
    assert.notEqual(tokenizer.idToToken(tokenizer.vocabularySize - 1), null);
    assert.throws(() => tokenizer.decode([1, 99999]), { name: "RangeError", message: /Cannot decode token 99999/ });
    assert.equal(tokenizer.decode([]), "");
  });
}

Deno.test("loadTokenizer() finds the special tokens where they stand behind the others and none pads", async () => {
  const tokenizer = await loadTokenizer(`${testdata}/llama3`);
  const id = (token: string) => tokenizer.tokenToId(token);
  assert.deepEqual([tokenizer.bosId, tokenizer.eosId, tokenizer.padId], [400, id("<|eot_id|>"), null]);
  assert.equal(id("<|begin_of_text|>"), 400);
  assert.equal(tokenizer.vocabularySize, 408);
  assert.deepEqual(tokenizer.encode("<|eot_id|>"), [406]);
  assert.equal(id("<|im_end|>"), null);
});

Deno.test("loadTokenizer() finds no token that begins a text where there is none, as Qwen has none", async () => {
  const tokenizer = await loadTokenizer(`${testdata}/qwen`);
  assert.deepEqual([tokenizer.bosId, tokenizer.startId], [null, null]);
  assert.deepEqual([tokenizer.eosId, tokenizer.padId], [402, 400]);
  assert.equal(tokenizer.idToToken(402), "<|im_end|>");
  assert.deepEqual(tokenizer.encode("<|im_end|>", { addSpecialTokens: true }), [402]);
});

Deno.test("startId is the token that the checkpoint puts before a text, which not all put that name one", async () => {
  const json = await readJsonFile("llama3/tokenizer.json");
  const startOf = async (config: Record<string, unknown>, changes: Record<string, unknown> = {}) => {
    const files = {
      "tokenizer.json": { ...json, ...changes },
      "tokenizer_config.json": { bos_token: "<|begin_of_text|>", ...config },
    };
    let found: number | null = null;
    await withFolder(files, async (folder) => {
      found = (await loadTokenizer(folder)).startId;
    });
    return found;
  };
  // The processor of tokenizer.json decides, as for Llama 3 and for models that name a token and put none.
  assert.equal(await startOf({ tokenizer_class: "PreTrainedTokenizerFast" }), 400);
  assert.equal(await startOf({}), 400);
  assert.equal(await startOf({ tokenizer_class: "GPT2Tokenizer" }, { post_processor: null }), null);
  // These classes have a flag.
  assert.equal(await startOf({ tokenizer_class: "GemmaTokenizer" }, { post_processor: null }), 400);
  assert.equal(await startOf({ tokenizer_class: "LlamaTokenizerFast", add_bos_token: false }), null);
  assert.equal(await startOf({ bos_token: null }), null);
});

Deno.test("loadTokenizer() finds tokens that a fine-tune added, special or not", async () => {
  const tokenizer = await loadTokenizer(`${testdata}/hermes`);
  assert.equal(tokenizer.eosId, tokenizer.tokenToId("<|im_end|>"));
  const [start, end] = [tokenizer.tokenToId("<|im_start|>")!, tokenizer.tokenToId("<|im_end|>")!];
  assert.deepEqual(tokenizer.encode("<|im_start|><|im_end|>"), [start, end]);
  assert.equal(tokenizer.decode([start, end], { skipSpecialTokens: true }), "<|im_start|>");
  assert.equal(tokenizer.vocabularySize, 411);
});

Deno.test("encode() takes the tokens of CodeGemma's fill-in-the-middle as they are spelled in a text", async () => {
  const tokens = ["<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|file_separator|>"];
  const json = await readJsonFile("gemma/tokenizer.json");
  const vocabulary = (json.model as { vocab: Record<string, number> }).vocab;
  const first = Object.keys(vocabulary).length;
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  const added = tokens.map((content, i) => ({ id: first + i, content, ...flags }));
  const known = (json.added_tokens as { id: number }[]).filter(({ id }) => id < first);
  tokens.forEach((token, i) => vocabulary[token] = first + i);
  await withFolder({ "tokenizer.json": { ...json, added_tokens: [...known, ...added] } }, async (folder) => {
    const tokenizer = await loadTokenizer(folder);
    const [prefix, middle, suffix, separator] = tokens.map((token) => tokenizer.tokenToId(token)!);
    const ids = tokenizer.encode("<|fim_prefix|>def add(<|fim_suffix|>\n<|fim_middle|>first<|file_separator|>");
    const plain = (text: string) => tokenizer.encode(text);
    assert.deepEqual(ids, [
      prefix,
      ...plain("def add("),
      suffix,
      ...plain("\n"),
      middle,
      ...plain("first"),
      separator,
    ]);
    assert.equal(tokenizer.decode(ids, { skipSpecialTokens: true }), "def add(\nfirst");
  });
});

/** A folder with the tiny Llama tokenizer; a null leaves a file out. */
async function withTokenizer(changes: Files, run: (folder: string) => Promise<void>): Promise<void> {
  const files = { "tokenizer.json": await readJsonFile("llama/tokenizer.json"), ...changes };
  await withFolder(Object.fromEntries(Object.entries(files).filter(([, file]) => file !== null)), run);
}

function loaded(changes: Files, check: (tokenizer: Tokenizer) => void): Promise<void> {
  return withTokenizer(changes, async (folder) => check(await loadTokenizer(folder)));
}

Deno.test("loadTokenizer() takes special tokens from special_tokens_map.json, or has none", async () => {
  await loaded(
    {},
    (tokenizer) => assert.deepEqual([tokenizer.bosId, tokenizer.eosId, tokenizer.padId], [null, null, null]),
  );
  const map = { bos_token: "<bos>", eos_token: { content: "<eos>", lstrip: false } };
  await loaded({ "special_tokens_map.json": map, "tokenizer_config.json": { pad_token: null } }, (tokenizer) => {
    assert.deepEqual([tokenizer.bosId, tokenizer.eosId, tokenizer.padId], [2, 1, null]);
  });
});

Deno.test("applyChatTemplate() finds the template wherever a checkpoint keeps it", async () => {
  const messages = [{ role: "user", content: "hi" }];
  const named = [{ name: "tool_use", template: "no" }, {
    name: "default",
    template: "named {{ messages[0].content }}",
  }];
  const inConfig = { "tokenizer_config.json": { chat_template: named } };
  await loaded(inConfig, (tokenizer) => assert.equal(tokenizer.applyChatTemplate(messages), "named hi"));
  const inFile = { ...inConfig, "chat_template.jinja": "{% for m in messages %}{{ m.role }}{% endfor %}" };
  await loaded(inFile, (tokenizer) => assert.equal(tokenizer.applyChatTemplate(messages), "user"));
});

Deno.test("applyChatTemplate() says when there is no template, and passes on what a template says", async () => {
  await loaded({}, (tokenizer) => {
    assert.equal(tokenizer.hasChatTemplate, false);
    assert.throws(() => tokenizer.applyChatTemplate([]), /has none; .*add a "chat_template.jinja"/);
  });
  const tokenizer = await loadTokenizer(`${testdata}/gemma`);
  assert.throws(
    () => tokenizer.applyChatTemplate([{ role: "system", content: "" }]),
    /Cannot apply the chat template of ".*tokenizer_config.json" .*roles \[system\]: There is no system role/,
  );
});

/** A tokenizer folder that is wrong, and what the message must say. */
const cases: readonly { name: string; changes: Files; says: RegExp }[] = [
  {
    name: "a folder without a tokenizer",
    changes: { "tokenizer.json": null },
    says: /found no "tokenizer.json"; download/,
  },
  {
    name: "a SentencePiece model",
    changes: { "tokenizer.json": null, "tokenizer.model": "x" },
    says: /found "tokenizer.model" but no "tokenizer.json"; convert it .*AutoTokenizer/,
  },
  {
    name: "a tokenizer that is not JSON",
    changes: { "tokenizer.json": "{\n," },
    says: /tokenizer.json": line 2, column 1/,
  },
  { name: "a tokenizer without a model", changes: { "tokenizer.json": {} }, says: /"model" is missing/ },
  {
    name: "a tokenizer of an unknown kind",
    changes: { "tokenizer.json": { model: { type: "Magic", vocab: [] } } },
    says: /Cannot load the tokenizer ".*tokenizer.json": /,
  },
  {
    name: "a special token outside the vocabulary",
    changes: { "tokenizer_config.json": { eos_token: "</s>" } },
    says: /its "eos_token" is "<\/s>", which "tokenizer.json" does not hold/,
  },
  {
    name: "a special token of the wrong kind",
    changes: { "tokenizer_config.json": { eos_token: 7 } },
    says: /tokenizer_config.json": "eos_token" is 7/,
  },
  {
    name: "a template that is not Jinja",
    changes: { "chat_template.jinja": "{% for %}" },
    says: /Cannot compile the chat template of ".*chat_template.jinja": /,
  },
  {
    name: "named templates without a default",
    changes: { "tokenizer_config.json": { chat_template: [{ name: "rag", template: "" }] } },
    says: /has none called "default", found "rag"/,
  },
];

for (const { name, changes, says } of cases) {
  Deno.test(`loadTokenizer() refuses ${name}`, async () => {
    await withTokenizer(changes, async (folder) => {
      await assert.rejects(loadTokenizer(folder), (error: Error) => {
        assert.match(error.message, says);
        assert.ok(error.message.includes(folder), error.message);
        return true;
      });
    });
  });
}
