import assert from "node:assert/strict";
import fc from "fast-check";
import { textStream } from "./text_stream.ts";
import { loadTokenizer, type Tokenizer } from "./tokenizer.ts";

const testdata = `${import.meta.dirname}/testdata`;

const awkward = [
  "naïve café 日本語とカタカナ",
  "family 👩‍👩‍👧 flag 🇩🇪 rocket 🚀, e\u0301",
  " leading and trailing ",
  "  two  spaces\t\n\n\n",
  "zero\u0000width\u200bspace\u00a0nbsp\ufeff\ufffd.",
  "<bos>turn <turn>user hello<end><eos> <unknown>",
  "",
];

function pieces(tokenizer: Tokenizer, ids: readonly number[], skipSpecialTokens: boolean): string[] {
  const stream = textStream(tokenizer, { skipSpecialTokens });
  return [...ids.map((id) => stream.push(id)), stream.end()];
}

for (const name of ["gemma", "llama"]) {
  const tokenizer = await loadTokenizer(`${testdata}/${name}`);

  Deno.test(`textStream() gives the text that decode() gives, whatever the tokens, ${name}`, () => {
    const text = fc.constantFrom(...awkward).map((text) => tokenizer.encode(text));
    const emoji = fc.string({ unit: "grapheme", maxLength: 8 }).map((text) => tokenizer.encode(text));
    const any = fc.array(fc.nat(tokenizer.vocabularySize - 1), { maxLength: 12 });
    const special = fc.constantFrom([0], [2], [4]);
    // Cut anywhere, tokens of a character stand alone.
    const cut = fc.tuple(fc.oneof(text, emoji), fc.nat(4), fc.nat(4)).map(([ids, a, b]) =>
      ids.slice(a, ids.length - b)
    );
    fc.assert(
      fc.property(fc.array(fc.oneof(text, emoji, any, special, cut), { maxLength: 4 }), fc.boolean(), (parts, skip) => {
        const ids = parts.flat();
        assert.equal(pieces(tokenizer, ids, skip).join(""), tokenizer.decode(ids, { skipSpecialTokens: skip }));
      }),
      { numRuns: 300, seed: 3 },
    );
  });

  Deno.test(`textStream() never breaks a character, and does not wait for the end, ${name}`, () => {
    for (const text of awkward) {
      const ids = tokenizer.encode(text);
      const given = pieces(tokenizer, ids, true);
      for (const piece of given) {
        assert(piece.isWellFormed(), JSON.stringify(piece));
        assert(text.includes("\ufffd") || !piece.includes("\ufffd"), JSON.stringify(given));
      }
    }
    const plain = pieces(tokenizer, tokenizer.encode("the bridge was closed before the morning"), true);
    assert(plain.slice(0, -1).every((piece) => piece !== ""), JSON.stringify(plain));
    assert.equal(plain.at(-1), "");
  });

  Deno.test(`textStream() takes no longer for a token the more there were, ${name}`, () => {
    let longest = 0;
    const counting: Tokenizer = {
      ...{ vocabularySize: 0, bosId: null, startId: null, eosId: null, padId: null, hasChatTemplate: false },
      encode: () => [],
      tokenToId: () => null,
      applyChatTemplate: () => "",
      idToToken: (id) => tokenizer.idToToken(id),
      decode: (ids, options) => {
        longest = Math.max(longest, ids.length);
        return tokenizer.decode(ids, options);
      },
    };
    const stream = textStream(counting);
    for (const id of tokenizer.encode("the café was closed in the night 🚀 ".repeat(50))) stream.push(id);
    assert(longest < 16, `${longest} tokens were read at once`);
  });

  Deno.test(`textStream() begins a new text after end(), ${name}`, () => {
    const stream = textStream(tokenizer);
    const ids = tokenizer.encode(" the café");
    for (let round = 0; round < 2; round++) {
      assert.equal(ids.map((id) => stream.push(id)).join("") + stream.end(), " the café");
    }
  });
}

Deno.test("textStream() keeps the bytes of a character back until it is whole", async () => {
  const tokenizer = await loadTokenizer(`${testdata}/gemma`);
  const euro = ["<0xE2>", "<0x82>", "<0xAC>", "the"].map((token) => tokenizer.tokenToId(token)!);
  assert.deepEqual(pieces(tokenizer, euro, true), ["", "", "", "€the", ""]);
  assert.deepEqual(pieces(tokenizer, euro.slice(0, 2), true), ["", "", "\ufffd\ufffd"]);
});
