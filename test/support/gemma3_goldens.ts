/** Goldens of Gemma 3 with images: small random checkpoints with the logits, the loss and the greedy tokens of Transformers. */
import assert from "node:assert/strict";
import type { HostTensor } from "@tessera/core";
import { openSafetensors } from "@tessera/files";
import { imageTensor } from "@tessera/train";
import { type Backend, CausalLM, type Distribution } from "tessera";
import { largestDifference } from "./models.ts";

/** How many of some numbers are one. */
function ones(flags: HostTensor["data"]): number {
  return Array.from(flags, Number).filter((flag) => flag === 1).length;
}

/** A golden's arrays: rows of tokens, the pixels of their images in order, and how many of these each row has. */
export async function readGemma3Golden(folder: string) {
  const file = await openSafetensors(`${folder}/golden.safetensors`);
  const read = (name: string) => file.read(name);
  const tokenIds = read("input_ids") as HostTensor<"int32">;
  const pixels = read("pixels");
  const length = pixels.data.length / pixels.shape[0]!;
  const images = Array.from(
    { length: pixels.shape[0]! },
    (_, i) => Uint8Array.from(pixels.data.subarray(i * length, (i + 1) * length)),
  );
  const isImage = read("token_type_ids").data;
  const { mm_tokens_per_image: perImage } = JSON.parse(Deno.readTextFileSync(`${folder}/config.json`));
  const ofFirst = ones(isImage.subarray(0, tokenIds.shape[1]!)) / perImage;
  const mask = read("attention_mask");
  const paddingMask: HostTensor<"bool"> = { shape: mask.shape, dtype: "bool", data: Uint8Array.from(mask.data) };
  return { file, read, tokenIds, paddingMask, images, ofFirst };
}

/** Asserts that a checkpoint has the logits, within a tolerance, the loss and the greedy tokens of Transformers. */
export async function assertGemma3Vision(
  backend: Backend,
  folder: string,
  tolerance: number,
  distributionOf: (lm: CausalLM) => Distribution | null = () => null,
): Promise<void> {
  const { file, read, tokenIds, paddingMask, images, ofFirst } = await readGemma3Golden(folder);
  const plain = await CausalLM.fromPreset(folder, { backend, distribution: null, loadWeights: false });
  const distribution = distributionOf(plain);
  plain.dispose();
  const lm = await CausalLM.fromPreset(folder, { backend, distribution });
  try {
    const pixels = imageTensor(images);
    const logits = await lm.score({ tokenIds, paddingMask, images: pixels });
    const difference = largestDifference(logits, read("logits"), paddingMask.data);
    assert(difference <= tolerance, `logits differ by ${difference}, tolerance ${tolerance}`);

    const losses = await lm.score({ tokenIds, paddingMask, images: pixels, mode: "loss" });
    const counts = read("loss_mask").data;
    const sum = losses.data.reduce((total, loss, i) => total + loss * Number(counts[i]), 0);
    const loss = sum / ones(counts);
    assert(Math.abs(loss - Number(read("loss").data[0])) <= tolerance, `loss ${loss}, not ${read("loss").data[0]}`);

    const promptIds = read("prompt_ids") as HostTensor<"int32">;
    const first = ofFirst === 0 ? {} : { images: imageTensor(images.slice(0, ofFirst)) };
    const promptDifference = largestDifference(
      await lm.score({ tokenIds: promptIds, ...first }),
      read("prompt_logits"),
    );
    assert(promptDifference <= tolerance, `logits of the prompt differ by ${promptDifference}`);
    const greedy = read("greedy");
    const options = { ...first, maxNewTokens: greedy.shape[1]!, stopTokenIds: [] };
    assert.deepEqual(await lm.generateTokens([[...promptIds.data]], options), [[...greedy.data]]);
  } finally {
    lm.dispose();
    file.close();
  }
}
