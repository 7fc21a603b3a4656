import { deepEqual, equal, ok, throws } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { loadTokenizer } from "@tessera/tokenizer";
import { generateFiles } from "./generate.ts";
import { pretrainingText } from "./pretraining.ts";
import { architecture } from "./recipe.ts";
import { tokenizerJson, trainVocabulary } from "./tokenizer.ts";

const folder = fileURLToPath(new URL("gemma2-tiny", import.meta.url));

Deno.test("the shipped files are what the generator writes", () => {
  for (const [path, contents] of Object.entries(generateFiles())) {
    equal(Deno.readTextFileSync(new URL(path, import.meta.url)), contents, path);
  }
});

Deno.test("trainVocabulary() learns the most frequent pair first and never across words, digits or lines", () => {
  const { tokens, merges } = trainVocabulary(["aba abab 12 12 12\n12", "ab.<eos>"], { vocabularySize: 362 });
  deepEqual(merges, [["a", "b"], ["ab", "a"], ["ab", "ab"], ["▁", "abab"]]);
  deepEqual(tokens.slice(358), ["ab", "aba", "abab", "▁abab"]);
});

Deno.test("trainVocabulary() refuses a size that it cannot reach", () => {
  throws(
    () => trainVocabulary([], { vocabularySize: 300 }),
    /^RangeError: Cannot train a tokenizer of 300 tokens: 358 are/,
  );
  throws(() => trainVocabulary(["ab"], { vocabularySize: 768 }), /the text has pairs for 359 only/);
});

Deno.test("tokenizerJson() numbers the special tokens as Gemma does", () => {
  const { added_tokens } = tokenizerJson(trainVocabulary([], { vocabularySize: 358 })) as {
    added_tokens: { id: number; content: string }[];
  };
  deepEqual(added_tokens.slice(0, 4).map(({ id, content }) => [id, content]), [
    [0, "<pad>"],
    [1, "<eos>"],
    [2, "<bos>"],
    [3, "<unk>"],
  ]);
});

Deno.test("the shipped tokenizer gives back any text", async () => {
  const tokenizer = await loadTokenizer(folder);
  equal(tokenizer.vocabularySize, architecture.vocab_size);
  const texts = [
    "Dinner with Anna Berg in Oslo",
    " two  spaces ",
    "Zoë in Tromsø 🙂\n\n",
    '{"what":null}',
    "\ttab\r\n",
  ];
  const stream = pretrainingText(9);
  for (let index = 0; index < 200; index++) texts.push(stream.next().value);
  for (const text of texts) equal(tokenizer.decode(tokenizer.encode(text)), text);
});

Deno.test("the shipped tokenizer splits digits, knows special tokens and falls back to bytes", async () => {
  const tokenizer = await loadTokenizer(folder);
  function pieces(text: string): (string | null)[] {
    return tokenizer.encode(text, { addSpecialTokens: true }).map((id) => tokenizer.idToToken(id));
  }
  deepEqual(pieces("at 19:30"), ["<bos>", "at", "▁", "1", "9", ":", "3", "0"]);
  deepEqual(pieces("é"), ["<bos>", "<0xC3>", "<0xA9>"]);
  deepEqual(pieces("a<end_of_turn>"), ["<bos>", "a", "<end_of_turn>"]);
  equal(
    tokenizer.applyChatTemplate([{ role: "user", content: "Hi" }], { addGenerationPrompt: true }),
    "<bos><start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\n",
  );
});

Deno.test("every shipped example fits into the context", async () => {
  const tokenizer = await loadTokenizer(folder);
  for (const name of ["train", "heldout"]) {
    for (const line of Deno.readTextFileSync(new URL(`data/${name}.jsonl`, import.meta.url)).trimEnd().split("\n")) {
      const { prompt, response } = JSON.parse(line) as { prompt: string; response: string };
      ok(tokenizer.encode(prompt).length + tokenizer.encode(response).length + 2 <= 112, prompt);
    }
  }
});
