/** Where the tokens of an image may stand in a row: at its beginning, as many as the image has patches, and nowhere else. */
import assert from "node:assert/strict";
import { imageTensor } from "@tessera/train";
import { adamW, CausalLM, createDataset, openBackend } from "tessera";
import { golden } from "../support/models.ts";

const backend = await openBackend("cpu");
const lm = await CausalLM.fromPreset(golden("pali_gemma/pali2_gqa_window"), { backend });
const { size, tokens, tokenId } = lm.images!;
const pixels = new Uint8Array(3 * size * size);
const images = imageTensor([pixels]);
const image = new Array<number>(tokens).fill(tokenId);
const text = [5, 6, 7];

/** Rows that do not fit one image, and what the message must say. */
const cases = [
  ["no image tokens", text, /row 0: it begins with 0 image tokens \(127\); a row must begin with 16 for each of its 1/],
  ["too few", [...image.slice(1), ...text], /it begins with 15 image tokens/],
  ["those of two images", [...image, ...image, ...text], /it begins with 32 image tokens/],
  ["an image behind text", [...text, ...image], /it has an image token \(127\) at position 18, behind text/],
  ["one more within the text", [...image, ...text, tokenId, 8], /it has an image token \(127\) at position 19/],
] as const;

for (const [what, row, says] of cases) {
  Deno.test(`a row with ${what} for its image is an error before work starts`, async () => {
    const error = { name: "RangeError", message: says };
    await assert.rejects(lm.score({ tokenIds: [row], images }), error);
    await assert.rejects(lm.generateTokens([row], { images }), error);
    const example = { tokenIds: Int32Array.from(row), lossMask: new Uint8Array(row.length).fill(1), image: pixels };
    const dataset = createDataset([{ ...example, at: "line 3" }], { batchSize: 1, buckets: [64] });
    const ofExample = { name: "RangeError", message: /^Cannot use line 3 with .* image \(127\)/ };
    await assert.rejects(lm.evaluate(dataset), ofExample);
    lm.compile({ optimizer: adamW({ learningRate: 1e-3 }) });
    await assert.rejects(lm.fit(dataset), ofExample);
  });
}

Deno.test("image tokens without images, and images that rows cannot share, are errors", async () => {
  await assert.rejects(lm.score({ tokenIds: [[...image, ...text]] }), {
    name: "RangeError",
    message: /it begins with 16 image tokens \(127\); a row must begin with 16 for each of its 0 images/,
  });
  const row = [...image, ...text];
  await assert.rejects(lm.score({ tokenIds: [row, row], images: imageTensor([pixels, pixels, pixels]) }), {
    name: "TypeError",
    message: /3 images in 2 rows: each row must have as many/,
  });
});

Deno.test("text alone is scored as text, and rows may begin with several images", async () => {
  const logits = await lm.score({ tokenIds: [text] });
  assert.deepEqual(logits.shape, [1, 3, lm.backbone.vocabularySize]);
  const two = await lm.score({
    tokenIds: [[...image, ...image, ...text]],
    images: imageTensor([pixels, pixels]),
  });
  assert.deepEqual(two.shape, [1, 35, lm.backbone.vocabularySize]);
});
