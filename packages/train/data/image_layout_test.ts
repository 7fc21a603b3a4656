import assert from "node:assert/strict";
import { type ImageTokens, layOutImages } from "./image_layout.ts";

const images: ImageTokens = { tokenId: 9, tokens: 3, place: { begin: 7, end: 8 } };
const tokenizer = { idToToken: (id: number) => id === 7 ? "<image>" : null };
const ids = [7, 9, 9, 9, 8];

Deno.test("layOutImages() puts an image's tokens between line breaks where it is marked, or before the text", () => {
  assert.deepEqual(layOutImages("a<image> b", 1, images, tokenizer), [{ text: "a\n\n" }, { ids }, { text: "\n\n b" }]);
  assert.deepEqual(layOutImages("what?", 1, images, tokenizer), [{ text: "\n\n" }, { ids }, { text: "\n\nwhat?" }]);
  assert.deepEqual(
    layOutImages("<image><image>", 2, images, tokenizer),
    [{ text: "\n\n" }, { ids }, { text: "\n\n\n\n" }, { ids }, { text: "\n\n" }],
  );
  assert.deepEqual(layOutImages("text", 0, images, tokenizer), [{ text: "text" }]);
});

Deno.test("layOutImages() rejects other numbers of images than are marked, and tokenizers without the marker", () => {
  assert.throws(() => layOutImages("a<image>", 2, images, tokenizer), {
    name: "RangeError",
    message: "Cannot place 2 images in a text that marks 1 by <image>: mark each, or none, to have them before it",
  });
  assert.throws(() => layOutImages("a<image>", 0, images, tokenizer), RangeError);
  assert.throws(() => layOutImages("a", 1, images, { idToToken: () => null }), /no token 7, which begins an image/);
  assert.throws(() => layOutImages("a", 1, { ...images, place: "start" }, tokenizer), /stand before it/);
});
