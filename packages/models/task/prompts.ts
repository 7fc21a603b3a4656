/** Prompts as people write them, text alone or with a picture, and as tokens. */
import type { HostTensor } from "@tessera/core";
import type { Tokenizer } from "@tessera/tokenizer";
import { type ImageEncoding, pictureTensor } from "@tessera/train";
import { type ImageSource, readPicture, squarePixels } from "@tessera/vision";
import type { ImageInputs } from "../architecture/backbone.ts";

/** A prompt that begins with a picture, such as `{ image: "cat.jpg", prompt: "caption en" }`. */
export interface ImagePrompt {
  /** The picture: the path of a PNG, a JPEG or a WebP, the file, or its bytes. */
  readonly image: ImageSource;
  /** What is asked of it, such as `caption en`, `answer en what is this?`, `ocr` or `detect cat ; dog`. */
  readonly prompt: string;
}

/** What a model continues. */
export type Prompt = string | ImagePrompt;

/** Prompts as tokens, and the pictures that they begin with. */
export interface EncodedPrompts {
  /** The tokens of each prompt. */
  readonly prompts: readonly (readonly number[])[];
  /** The pictures, values from -1 to 1, [prompts, size, size, 3]; none for a model that takes text only. */
  readonly images?: HostTensor<"float32">;
}

/** What encoding needs to know of a model. */
export interface PromptParts {
  /** The model's name, for messages. */
  readonly name: string;
  /** Turns text into tokens. */
  readonly tokenizer: Tokenizer;
  /** The pictures that the model takes; `undefined` when it takes none. */
  readonly images: ImageInputs | undefined;
}

/** What stands between a prompt about a picture and the answer, in PaliGemma's format. */
const separator = "\n";

/** The pixels that a model sees of a picture, RGB [size, size, 3]. */
async function pixelsOf(image: ImageSource, { size }: ImageInputs): Promise<Uint8Array> {
  return squarePixels(await readPicture(image), size);
}

/** How a model's pictures become tokens and pixels, for training. */
export function imageEncoding(images: ImageInputs): ImageEncoding {
  const { tokens, tokenId } = images;
  return { tokenId, tokens, separator, read: (image) => pixelsOf(image, images) };
}

/**
 * Prompts as tokens, laid out as PaliGemma's processor does where there are pictures: those of the picture, the one that begins a
 * text, the prompt, a line break.
 *
 * @throws {TypeError} when a prompt has a picture and the model takes none, or the other way round.
 * @throws {Error} when a picture cannot be read.
 */
export async function encodePrompts(list: readonly Prompt[], parts: PromptParts): Promise<EncodedPrompts> {
  const { name, tokenizer, images } = parts;
  // With a picture the reference begins the text itself, whatever its tokenizer does.
  const startId = images === undefined ? tokenizer.startId : tokenizer.bosId;
  const start = startId === null ? [] : [startId];
  const wrong = list.findIndex((prompt) => (typeof prompt === "string") === (images !== undefined));
  if (wrong >= 0) {
    throw new TypeError(
      images === undefined
        ? `Cannot show "${name}" the picture of prompt ${wrong}: it takes text only`
        : `Cannot ask "${name}" prompt ${wrong} without a picture: give { image, prompt }`,
    );
  }
  if (images === undefined) {
    return { prompts: list.map((prompt) => [...start, ...tokenizer.encode(prompt as string)]) };
  }
  const pictures = list as readonly ImagePrompt[];
  const picture = new Array<number>(images.tokens).fill(images.tokenId);
  const pixels = await Promise.all(pictures.map(({ image }) => pixelsOf(image, images)));
  return {
    prompts: pictures.map(({ prompt }) => [...picture, ...start, ...tokenizer.encode(prompt + separator)]),
    ...(pixels.length === 0 ? {} : { images: pictureTensor(pixels) }),
  };
}
