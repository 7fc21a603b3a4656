/** PaliGemma's logits, loss and greedy tokens against Transformers, on checkpoints made by `test/oracle/make_pali_gemma.py`. */
import assert from "node:assert/strict";
import { CausalLM, createDataset, type HostTensor, openBackend, openSafetensors, pictureTensor } from "tessera";
import { largestDifference, withFolder } from "./support/models.ts";

const goldens = new URL("./goldens/pali_gemma/", import.meta.url);
const tolerance = 2e-4;
const backend = await openBackend("cpu");

/** A golden's arrays: rows of tokens with the pixels of their pictures, and what Transformers makes of them. */
async function readGolden(folder: string) {
  const file = await openSafetensors(`${folder}/golden.safetensors`);
  const read = (name: string) => file.read(name);
  const tokenIds = read("input_ids") as HostTensor<"int32">;
  const [batch, time] = tokenIds.shape as [number, number];
  const pixels = read("pixels");
  const pictureLength = pixels.data.length / pixels.shape[0]!;
  const pictures = Array.from(
    { length: pixels.shape[0]! },
    (_, i) => Uint8Array.from(pixels.data.subarray(i * pictureLength, (i + 1) * pictureLength)),
  );
  const types = read("token_type_ids").data;
  const mask = read("attention_mask").data;
  const rows = Array.from({ length: batch }, (_, row) => {
    const start = row * time;
    const length = Array.from(mask.subarray(start, start + time), Number).filter((real) => real === 1).length;
    return {
      tokenIds: Int32Array.from(tokenIds.data.subarray(start, start + length)),
      lossMask: Uint8Array.from(types.subarray(start, start + length)),
      at: `row ${row}`,
    };
  });
  return { file, read, tokenIds, mask, pictures, rows, perRow: pictures.length / batch };
}

for (const { name, isDirectory } of Deno.readDirSync(goldens)) {
  if (!isDirectory) continue;
  const folder = new URL(name, goldens).pathname;

  Deno.test(`${name} has the logits, the loss and the greedy tokens of Transformers`, async () => {
    const { file, read, tokenIds, mask, pictures, rows, perRow } = await readGolden(folder);
    const lm = await CausalLM.fromPreset(folder, { backend });
    try {
      const images = pictureTensor(pictures);
      const paddingMask: HostTensor<"bool"> = { shape: tokenIds.shape, dtype: "bool", data: Uint8Array.from(mask) };
      const promptLengths = rows.map(({ lossMask }) => lossMask.indexOf(1));
      const logits = await lm.score({ tokenIds, paddingMask, images, promptLengths });
      const difference = largestDifference(logits, read("logits"), mask);
      assert(difference <= tolerance, `logits differ by ${difference}, tolerance ${tolerance}`);

      const promptIds = read("prompt_ids") as HostTensor<"int32">;
      const ofFirst = pictureTensor(pictures.slice(0, perRow));
      const promptLogits = await lm.score({ tokenIds: promptIds, images: ofFirst });
      const promptDifference = largestDifference(promptLogits, read("prompt_logits"));
      assert(promptDifference <= tolerance, `logits of the prompt differ by ${promptDifference}`);

      const greedy = read("greedy");
      const options = { images: ofFirst, maxNewTokens: greedy.shape[1]!, stopTokenIds: [] };
      assert.deepEqual(await lm.generateTokens([[...promptIds.data]], options), [[...greedy.data]]);

      if (perRow === 1) {
        const examples = rows.map((row, i) => ({ ...row, image: pictures[i]! }));
        const { loss } = await lm.evaluate(
          createDataset(examples, { batchSize: 3, buckets: [tokenIds.shape[1]! + 3] }),
        );
        assert(Math.abs(loss - Number(read("loss").data[0])) <= 2e-5, `loss ${loss}, expected ${read("loss").data[0]}`);
      }
    } finally {
      lm.dispose();
      file.close();
    }
  });

  Deno.test(`${name} is the same after it has been saved and loaded`, async () => {
    const { file, tokenIds, pictures } = await readGolden(folder);
    file.close();
    await withFolder(async (copy) => {
      const lm = await CausalLM.fromPreset(folder, { backend });
      await lm.saveToPreset(copy);
      const again = await CausalLM.fromPreset(copy, { backend });
      const images = pictureTensor(pictures);
      assert.deepEqual(await again.score({ tokenIds, images }), await lm.score({ tokenIds, images }));
      lm.dispose();
      again.dispose();
    });
  });
}
