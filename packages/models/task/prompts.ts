/** Prompts as people write them, text alone or with images, and as tokens. */
import type { HostTensor } from "@tessera/core";
import type { Tokenizer } from "@tessera/tokenizer";
import { type ImageEncoding, imageTensor, layOutImages } from "@tessera/train";
import { type ImageSource, readImage, squarePixels } from "@tessera/vision";
import type { ImageInputs } from "../architecture/backbone.ts";

/** A prompt with an image, such as `{ image: "cat.jpg", prompt: "caption en" }`, or with several. */
export interface ImagePrompt {
  /** The image: the path of a PNG, a JPEG or a WebP, the file, or its bytes; several where the model takes them. */
  readonly image: ImageSource | readonly ImageSource[];
  /**
   * What is asked of it, such as `caption en` or `detect cat ; dog`. A model that takes images anywhere has them before the text, or
   * where the text has the token that begins one, such as `<start_of_image>`.
   */
  readonly prompt: string;
}

/** What a model continues. */
export type Prompt = string | ImagePrompt;

/** Prompts as tokens, and their images. */
export interface EncodedPrompts {
  /** The tokens of each prompt. */
  readonly prompts: readonly (readonly number[])[];
  /** The images, each prompt's after those before, values from -1 to 1, [images, size, size, 3]; none where prompts have none. */
  readonly images?: HostTensor<"float32">;
}

/** What encoding needs to know of a model. */
export interface PromptParts {
  /** The model's name, for messages. */
  readonly name: string;
  /** Turns text into tokens. */
  readonly tokenizer: Tokenizer;
  /** The images that the model takes; `undefined` when it takes none. */
  readonly images: ImageInputs | undefined;
}

/** What stands between a prompt about an image and the answer, in PaliGemma's format. */
const separator = "\n";

/** The pixels that a model sees of an image, RGB [size, size, 3]. */
async function pixelsOf(image: ImageSource, { size, resampling }: ImageInputs): Promise<Uint8Array> {
  return squarePixels(await readImage(image), { size, resampling });
}

/** How a model's images become tokens and pixels, for training. */
export function imageEncoding(images: ImageInputs): ImageEncoding {
  const { tokens, tokenId, place } = images;
  return { tokenId, tokens, place, separator, read: (image) => pixelsOf(image, images) };
}

/**
 * Prompts as tokens, laid out as the model's processor does: PaliGemma's has the tokens of the image, the one that begins a text,
 * the prompt, a line break; Gemma 3's has those of images anywhere in the text, between line breaks.
 *
 * @throws {TypeError} when a prompt has an image and the model takes none, or has none and the model needs one.
 * @throws {RangeError} when a prompt marks another number of images than it has.
 * @throws {Error} when an image cannot be read.
 */
export async function encodePrompts(list: readonly Prompt[], parts: PromptParts): Promise<EncodedPrompts> {
  const { name, tokenizer, images } = parts;
  const needs = images?.place === "start";
  const wrong = list.findIndex((prompt) =>
    typeof prompt === "string" ? needs : images === undefined || needs && sourcesOf(prompt).length !== 1
  );
  if (wrong >= 0) {
    throw new TypeError(
      images === undefined
        ? `Cannot show "${name}" the image of prompt ${wrong}: it takes text only`
        : `Cannot ask "${name}" prompt ${wrong} without one image: give { image, prompt }`,
    );
  }
  const prompts = list.map((prompt) => encodePrompt(prompt, tokenizer, images));
  const sources = list.flatMap(sourcesOf);
  const pixels = await Promise.all(sources.map((source) => pixelsOf(source, images!)));
  return { prompts, ...(pixels.length === 0 ? {} : { images: imageTensor(pixels) }) };
}

function sourcesOf(prompt: Prompt): readonly ImageSource[] {
  if (typeof prompt === "string") return [];
  return Array.isArray(prompt.image) ? prompt.image as readonly ImageSource[] : [prompt.image as ImageSource];
}

function encodePrompt(prompt: Prompt, tokenizer: Tokenizer, images: ImageInputs | undefined): number[] {
  const text = typeof prompt === "string" ? prompt : prompt.prompt;
  const begin = (id: number | null) => id === null ? [] : [id];
  if (images === undefined) return [...begin(tokenizer.startId), ...tokenizer.encode(text)];
  if (images.place !== "start") {
    const stretches = layOutImages(text, sourcesOf(prompt).length, images, tokenizer);
    return [
      ...begin(tokenizer.startId),
      ...stretches.flatMap((stretch) => "ids" in stretch ? stretch.ids : tokenizer.encode(stretch.text)),
    ];
  }
  // With an image the reference begins the text itself, whatever its tokenizer does.
  const image = new Array<number>(images.tokens).fill(images.tokenId);
  return [...image, ...begin(tokenizer.bosId), ...tokenizer.encode(text + separator)];
}
