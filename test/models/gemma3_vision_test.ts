/** Gemma 3 with images as people use it: images anywhere in prompts, fine-tuning on JSONL with and without them. */
import assert from "node:assert/strict";
import { loraAdapters } from "@tessera/lora";
import { initialize } from "@tessera/nn";
import { imageTensor } from "@tessera/train";
import { encodePng } from "@tessera/vision";
import { adamW, CausalLM, Gemma3VisionCausalLM, type Gemma3VisionConfig, openBackend } from "tessera";
import { withFolder } from "../support/models.ts";

const backend = await openBackend("cpu");
const [imageToken, begin, end] = [490, 478, 479];

const config: Gemma3VisionConfig = {
  text: {
    vocabularySize: 480,
    numLayers: 2,
    numQueryHeads: 4,
    numKeyValueHeads: 2,
    hiddenDim: 32,
    intermediateDim: 48,
    headDim: 12,
    slidingWindowSize: 8,
    layerTypes: ["sliding_attention", "full_attention"],
  },
  vision: { imageSize: 16, patchSize: 4, numLayers: 2, numHeads: 2, hiddenDim: 16, intermediateDim: 24 },
  tokensPerImage: 4,
  imageTokenId: imageToken,
  beginImageTokenId: begin,
  endImageTokenId: end,
};

const tokenizerFolder = new URL("../../packages/tokenizer/testdata/gemma/", import.meta.url);
const marks = { [begin]: "<start_of_image>", [end]: "<end_of_image>" };

/** Runs a test with a folder that holds a random Gemma 3 and a tokenizer with the tokens around an image. */
async function withGemma3(run: (folder: string) => Promise<void>): Promise<void> {
  await withFolder(async (folder) => {
    const lm = Gemma3VisionCausalLM.fromConfig(config, { backend, text: { contextLength: 96 } });
    initialize(lm.variables, backend, { seed: 7 });
    await lm.saveToPreset(folder);
    lm.dispose();
    const tokenizer = JSON.parse(await Deno.readTextFile(new URL("tokenizer.json", tokenizerFolder)));
    const [plain] = tokenizer.added_tokens;
    for (const [id, content] of Object.entries(marks)) {
      tokenizer.added_tokens.push({ ...plain, id: Number(id), content });
    }
    await Deno.writeTextFile(`${folder}/tokenizer.json`, JSON.stringify(tokenizer));
    await Deno.copyFile(new URL("tokenizer_config.json", tokenizerFolder), `${folder}/tokenizer_config.json`);
    await run(folder);
  });
}

/** An image of one color, as a PNG file, and as the model sees it. */
async function plain(...color: readonly [number, number, number]) {
  const pixels = (width: number, height: number) =>
    Uint8Array.from({ length: 3 * width * height }, (_, i) => color[i % 3]!);
  return { file: await encodePng({ width: 20, height: 12, pixels: pixels(20, 12) }), seen: pixels(16, 16) };
}

const greedy = { maxNewTokens: 6, stopTokenIds: [] };

Deno.test("generate() lays prompts out as the processor does: images between line breaks where they are marked, or first", async () => {
  await withGemma3(async (folder) => {
    const lm = await Gemma3VisionCausalLM.fromPreset(folder, { backend });
    const { tokenizer } = lm;
    const [red, blue] = [await plain(250, 0, 0), await plain(0, 0, 250)];
    const image = [begin, ...new Array<number>(4).fill(imageToken), end];
    const text = (part: string) => tokenizer.encode(part);
    const expected = async (ids: readonly number[], ...seen: readonly Uint8Array[]) => {
      const images = seen.length === 0 ? {} : { images: imageTensor(seen) };
      const [tokens] = await lm.generateTokens([ids], { ...greedy, ...images });
      return tokenizer.decode(tokens!, { skipSpecialTokens: true });
    };
    const bos = tokenizer.bosId!;
    const prompts = [
      { image: red.file, prompt: "what is it?" },
      { image: [red.file, blue.file], prompt: "first <start_of_image> then <start_of_image> what" },
      "the bridge",
    ];
    const wanted = [
      await expected([bos, ...text("\n\n"), ...image, ...text("\n\nwhat is it?")], red.seen),
      await expected(
        [bos, ...text("first \n\n"), ...image, ...text("\n\n then \n\n"), ...image, ...text("\n\n what")],
        red.seen,
        blue.seen,
      ),
      await expected([bos, ...text("the bridge")]),
    ];
    assert.equal(new Set(wanted).size, 3);
    // In one batch, prompts of none, one and two images get what they get alone.
    assert.deepEqual(await lm.generate(prompts, greedy), wanted);
    assert.notEqual(await lm.generate({ image: blue.file, prompt: "what is it?" }, greedy), wanted[0]);
    for (const options of [{ numBeams: 2 }, { penaltyAlpha: 0.6, topK: 3 }]) {
      const together = await lm.generate(prompts, { ...greedy, ...options });
      for (const [i, prompt] of prompts.entries()) {
        assert.equal(await lm.generate(prompt, { ...greedy, ...options }), together[i]);
      }
    }
    lm.enableLora({ rank: 2 });
    const adapted = loraAdapters(lm).map(({ layer }) => layer.path);
    assert(adapted.length > 0 && adapted.every((path) => path.startsWith("decoder_block_")));
    lm.dispose();
  });
});

Deno.test("fit() learns responses to images from JSONL, and texts without any", async () => {
  await withGemma3(async (folder) => {
    const lm = await CausalLM.fromPreset(folder, { backend });
    const colors = { red: await plain(250, 0, 0), green: await plain(0, 250, 0), blue: await plain(0, 0, 250) };
    const lines: string[] = [];
    for (const [name, { file }] of Object.entries(colors)) {
      await Deno.writeFile(`${folder}/${name}.png`, file);
      lines.push(JSON.stringify({ image: `${name}.png`, prompt: "which <start_of_image> color", response: name }));
    }
    await Deno.writeTextFile(`${folder}/train.jsonl`, lines.join("\n"));
    const data = await lm.dataset(`${folder}/train.jsonl`, { batchSize: 3 });
    const { loss: before } = await lm.evaluate(data);
    lm.compile({ optimizer: adamW({ learningRate: 1e-2 }) });
    await lm.fit(data, { epochs: 40 });
    const { loss } = await lm.evaluate(data);
    assert(loss < 0.05 * before, `the loss went from ${before} to ${loss}`);
    const prompts = Object.keys(colors).map((name) => ({
      image: `${folder}/${name}.png`,
      prompt: "which <start_of_image> color",
    }));
    assert.deepEqual(await lm.generate(prompts, { maxNewTokens: 12 }), Object.keys(colors));

    const texts = await lm.dataset([{ prompt: "which", response: "that" }, { text: "the then there" }], {
      batchSize: 2,
    });
    const { loss: first } = await lm.evaluate(texts);
    await lm.fit(texts, { epochs: 10 });
    assert((await lm.evaluate(texts)).loss < first / 2);
    lm.dispose();
  });
});

Deno.test("images and prompts that do not fit each other are errors before work starts", async () => {
  await withGemma3(async (folder) => {
    const lm = await CausalLM.fromPreset(folder, { backend });
    const { file, seen } = await plain(1, 2, 3);
    await assert.rejects(lm.generate({ image: [file, file], prompt: "one <start_of_image>" }), {
      name: "RangeError",
      message:
        "Cannot place 2 images in a text that marks 1 by <start_of_image>: mark each, or none, to have them before it",
    });
    await assert.rejects(lm.generate("one <start_of_image>"), /Cannot place 0 images in a text that marks 1/);
    const images = imageTensor([seen]);
    await assert.rejects(lm.score({ tokenIds: [[5, 6, 7]], images }), {
      name: "RangeError",
      message: 'Cannot show "gemma3_vision_causal_lm" 1 images: the rows have image tokens (490) for 0, 4 for each',
    });
    await assert.rejects(lm.score({ tokenIds: [[5, imageToken, imageToken, 7]], images }), {
      name: "RangeError",
      message: 'Cannot show "gemma3_vision_causal_lm" row 0: it has 2 image tokens (490), expected 4 for each image',
    });
    const records = [{ image: file, prompt: "<start_of_image> and <start_of_image>", response: "red" }];
    await assert.rejects(
      lm.dataset(records, { batchSize: 1 }),
      /Cannot encode examples\[0\]: Cannot place 1 images in a text that marks 2/,
    );
    lm.dispose();
  });
});
