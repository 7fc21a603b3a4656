/** Goldens of PaliGemma: small random checkpoints with the logits, the loss and the greedy tokens that Transformers gives. */
import assert from "node:assert/strict";
import type { HostTensor } from "@tessera/core";
import { openSafetensors } from "@tessera/files";
import { imageTensor } from "@tessera/train";
import { type Backend, CausalLM, createDataset } from "tessera";
import { largestDifference } from "./models.ts";

/** A golden's arrays: rows of tokens with the pixels of their images, and what Transformers makes of them. */
export async function readGolden(folder: string) {
  const file = await openSafetensors(`${folder}/golden.safetensors`);
  const read = (name: string) => file.read(name);
  const tokenIds = read("input_ids") as HostTensor<"int32">;
  const [batch, time] = tokenIds.shape as [number, number];
  const pixels = read("pixels");
  const imageLength = pixels.data.length / pixels.shape[0]!;
  const rawImages = Array.from(
    { length: pixels.shape[0]! },
    (_, i) => Uint8Array.from(pixels.data.subarray(i * imageLength, (i + 1) * imageLength)),
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
  return { file, read, tokenIds, mask, rawImages, rows, perRow: rawImages.length / batch };
}

/** Asserts that a checkpoint has the logits, within a tolerance, the loss and the greedy tokens of Transformers on a backend. */
export async function assertPaliGemma(backend: Backend, folder: string, tolerance: number): Promise<void> {
  const { file, read, tokenIds, mask, rawImages, rows, perRow } = await readGolden(folder);
  const lm = await CausalLM.fromPreset(folder, { backend });
  try {
    const images = imageTensor(rawImages);
    const paddingMask: HostTensor<"bool"> = { shape: tokenIds.shape, dtype: "bool", data: Uint8Array.from(mask) };
    const promptLengths = rows.map(({ lossMask }) => lossMask.indexOf(1));
    const logits = await lm.score({ tokenIds, paddingMask, images, promptLengths });
    const difference = largestDifference(logits, read("logits"), mask);
    assert(difference <= tolerance, `logits differ by ${difference}, tolerance ${tolerance}`);

    const promptIds = read("prompt_ids") as HostTensor<"int32">;
    const ofFirst = imageTensor(rawImages.slice(0, perRow));
    const promptLogits = await lm.score({ tokenIds: promptIds, images: ofFirst });
    const promptDifference = largestDifference(promptLogits, read("prompt_logits"));
    assert(promptDifference <= tolerance, `logits of the prompt differ by ${promptDifference}`);

    const greedy = read("greedy");
    const options = { images: ofFirst, maxNewTokens: greedy.shape[1]!, stopTokenIds: [] };
    assert.deepEqual(await lm.generateTokens([[...promptIds.data]], options), [[...greedy.data]]);

    if (perRow === 1) {
      const examples = rows.map((row, i) => ({ ...row, image: rawImages[i]! }));
      const { loss } = await lm.evaluate(
        createDataset(examples, { batchSize: 3, buckets: [tokenIds.shape[1]! + 3] }),
      );
      assert(Math.abs(loss - Number(read("loss").data[0])) <= 2e-5, `loss ${loss}, expected ${read("loss").data[0]}`);
    }
  } finally {
    lm.dispose();
    file.close();
  }
}
