/** PaliGemma as people use it: images and prompts in, text and boxes out, fine-tuning on JSONL. */
import assert from "node:assert/strict";
import { loraAdapters } from "@tessera/lora";
import { initialize } from "@tessera/nn";
import { encodePng } from "@tessera/vision";
import { adamW, type Backend, CausalLM, openBackend, PaliGemmaCausalLM, type PaliGemmaConfig } from "tessera";
import { tinyConfig, tinyModel, withFolder } from "../support/models.ts";

const backend = await openBackend("cpu");

const config: PaliGemmaConfig = {
  text: { ...tinyConfig, numLayers: 2 },
  vision: { imageSize: 16, patchSize: 8, numLayers: 2, numHeads: 2, hiddenDim: 16, intermediateDim: 24 },
  imageTokenId: tinyConfig.vocabularySize,
};

const tokenizerFolder = new URL("../../packages/tokenizer/testdata/gemma/", import.meta.url);

/** Runs a test with a folder that holds a random PaliGemma and a tokenizer. */
async function withPaliGemma(run: (folder: string) => Promise<void>, on: Backend = backend): Promise<void> {
  await withFolder(async (folder) => {
    const lm = PaliGemmaCausalLM.fromConfig(config, { backend: on, text: { contextLength: 64 } });
    initialize(lm.variables, on, { seed: 5 });
    await lm.saveToPreset(folder);
    lm.dispose();
    for (const file of ["tokenizer.json", "tokenizer_config.json"]) {
      await Deno.copyFile(new URL(file, tokenizerFolder), `${folder}/${file}`);
    }
    await run(folder);
  });
}

/** An image of one color, as a PNG file. */
function plain(red: number, green: number, blue: number, width = 20, height = 12): Promise<Uint8Array> {
  const pixels = Uint8Array.from({ length: 3 * width * height }, (_, i) => [red, green, blue][i % 3]!);
  return encodePng({ width, height, pixels });
}

const greedy = { maxNewTokens: 6, stopTokenIds: [] };

Deno.test("generate() lays a prompt out as the processor does: the image's tokens, <bos>, the prompt, a line break", async () => {
  await withPaliGemma(async (folder) => {
    const lm = await CausalLM.fromPreset(folder, { backend });
    const image = await plain(200, 30, 60);
    const { tokenizer } = lm;
    const promptIds = [480, 480, 480, 480, tokenizer.bosId!, ...tokenizer.encode("caption en\n")];
    // The image is of one color, so resizing leaves it as it is.
    const pixels = Float32Array.from({ length: 16 * 16 * 3 }, (_, i) => [200, 30, 60][i % 3]! / 127.5 - 1);
    const images = { shape: [1, 16, 16, 3], dtype: "float32", data: pixels } as const;
    const [expected] = await lm.generateTokens([promptIds], { ...greedy, images });
    const text = await lm.generate({ image, prompt: "caption en" }, greedy);
    assert.equal(text, tokenizer.decode(expected!, { skipSpecialTokens: true }));
    const whole = await lm.generate({ image, prompt: "caption en" }, { ...greedy, keepPrompt: true });
    assert.equal(whole, `caption en\n${text}`);
    let streamed = "";
    for await (const piece of lm.stream({ image, prompt: "caption en" }, greedy)) {
      streamed += piece;
    }
    assert.equal(streamed, text);
    lm.dispose();
  });
});

Deno.test("generate() gives each prompt of a batch what it gets alone, and images matter", async () => {
  await withPaliGemma(async (folder) => {
    const lm = await PaliGemmaCausalLM.fromPreset(folder, { backend });
    const prompts = [
      { image: await plain(250, 0, 0), prompt: "caption en" },
      { image: await plain(0, 0, 250, 9, 30), prompt: "answer en what colour is it?" },
      { image: await plain(0, 250, 0), prompt: "caption en" },
    ];
    const together = await lm.generate(prompts, greedy);
    for (const [i, prompt] of prompts.entries()) {
      assert.equal(await lm.generate(prompt, greedy), together[i]);
    }
    assert.notEqual(together[0], together[2]);
    for (const options of [{ numBeams: 2 }, { penaltyAlpha: 0.6, topK: 3 }]) {
      assert.equal((await lm.generate(prompts, { ...greedy, ...options })).length, 3);
    }
    lm.dispose();
  });
});

Deno.test("fit() learns responses to images from JSONL, with adapters in the decoder or through both towers", async () => {
  await withPaliGemma(async (folder) => {
    const lm = await CausalLM.fromPreset(folder, { backend });
    const colors = { red: [250, 0, 0], green: [0, 250, 0], blue: [0, 0, 250] } as const;
    const lines: string[] = [];
    for (const [name, [r, g, b]] of Object.entries(colors)) {
      await Deno.writeFile(`${folder}/${name}.png`, await plain(r, g, b));
      lines.push(JSON.stringify({ image: `${name}.png`, prompt: "caption en", response: name }));
    }
    await Deno.writeTextFile(`${folder}/train.jsonl`, lines.join("\n"));
    const data = await lm.dataset(`${folder}/train.jsonl`, { batchSize: 3 });
    const { loss: before } = await lm.evaluate(data);
    lm.enableLora({ rank: 4 });
    assert(loraAdapters(lm).every(({ layer }) => layer.path.startsWith("decoder_block_")));
    lm.compile({ optimizer: adamW({ learningRate: 1e-2 }) });
    await lm.fit(data, { epochs: 20 });
    const { loss: adapted } = await lm.evaluate(data);
    assert(adapted < 0.9 * before, `the loss went from ${before} to ${adapted}`);
    lm.unloadLora();
    lm.compile({ optimizer: adamW({ learningRate: 1e-2 }) });
    await lm.fit(data, { epochs: 40 });
    const { loss } = await lm.evaluate(data);
    assert(loss < 0.05 * before, `the loss went from ${before} to ${loss}`);
    const prompts = Object.keys(colors).map((name) => ({ image: `${folder}/${name}.png`, prompt: "caption en" }));
    assert.deepEqual(await lm.generate(prompts, { maxNewTokens: 12 }), Object.keys(colors));
    lm.dispose();
  });
});

Deno.test("images and models that do not fit each other are errors before work starts", async () => {
  await withPaliGemma(async (folder) => {
    const lm = await CausalLM.fromPreset(folder, { backend });
    await assert.rejects(lm.generate("caption en"), {
      name: "TypeError",
      message: 'Cannot ask "pali_gemma_causal_lm" prompt 0 without one image: give { image, prompt }',
    });
    await assert.rejects(lm.generate({ image: `${folder}/none.png`, prompt: "ocr" }), /there is no such file/);
    await assert.rejects(
      lm.generate({ image: new Uint8Array([1, 2, 3]), prompt: "ocr" }),
      /no image that Tessera knows/,
    );
    await assert.rejects(lm.generate({ image: await plain(1, 2, 3), prompt: "a ".repeat(100) }), {
      name: "RangeError",
      message: /^Cannot generate: prompt 0 has \d+ tokens, which leaves no room in a context of 64/,
    });
    await assert.rejects(lm.dataset([{ prompt: "caption en", response: "red" }], { batchSize: 1 }), {
      name: "TypeError",
      message: 'Cannot encode examples[0]: it has no "image", and the model takes one with each prompt',
    });
    await assert.rejects(
      lm.dataset([{ image: `${folder}/none.png`, prompt: "caption en", response: "red" }], { batchSize: 1 }),
      /^Error: Cannot encode examples\[0\]: Cannot read ".*none\.png": there is no such file$/,
    );
    const images = { shape: [1, 8, 8, 3], dtype: "float32", data: new Float32Array(192) } as const;
    await assert.rejects(lm.score({ tokenIds: [[1, 2]], images }), {
      name: "TypeError",
      message: 'Cannot show "pali_gemma_causal_lm" images of shape [1,8,8,3]: expected [images,16,16,3]',
    });
    lm.dispose();
    const gemma = tinyModel(backend);
    await assert.rejects(gemma.score({ tokenIds: [[1, 2]], images }), /it takes text only/);
    gemma.dispose();
  });
});
