/** Images anywhere in a text: a marker in the text becomes the tokens of an image. */
import type { Tokenizer } from "@tessera/tokenizer";

/** Where a model's images stand: before each text, or anywhere in it, between a token that begins one and a token that ends it. */
export type ImagePlace = "start" | { readonly begin: number; readonly end: number };

/** What stands for an image in tokens. */
export interface ImageTokens {
  /** The token that stands for a part of an image; it may lie beyond the vocabulary. */
  readonly tokenId: number;
  /** How many of them stand for an image. */
  readonly tokens: number;
  /** Where images stand. */
  readonly place: ImagePlace;
}

/** A stretch of a text with images: text to encode, or tokens. */
export type ImageStretch = { readonly text: string } | { readonly ids: readonly number[] };

/**
 * A text whose images are marked by the token that begins one, such as `<start_of_image>`, as Gemma 3's processor writes it: an
 * image's tokens stand between line breaks. Texts that mark no image have theirs before them.
 *
 * @throws {RangeError} when a text marks another number of images than there are.
 * @throws {TypeError} when the tokenizer has no token that begins an image.
 */
export function layOutImages(
  text: string,
  images: number,
  { tokenId, tokens, place }: ImageTokens,
  tokenizer: Pick<Tokenizer, "idToToken">,
): ImageStretch[] {
  if (place === "start") throw new TypeError("Cannot mark images in a text: those of this model stand before it");
  const marker = tokenizer.idToToken(place.begin);
  if (marker === null && images === 0) return [{ text }];
  if (marker === null) {
    throw new TypeError(
      `Cannot mark images in a text: the tokenizer has no token ${place.begin}, which begins an image`,
    );
  }
  const pieces = text.split(marker);
  const marked = pieces.length - 1;
  if (marked === 0) { for (let i = 0; i < images; i++) pieces.unshift(""); }
  else if (marked !== images) {
    throw new RangeError(
      `Cannot place ${images} images in a text that marks ${marked} by ${marker}: mark each, or none, to have them before it`,
    );
  }
  const ids = [place.begin, ...new Array<number>(tokens).fill(tokenId), place.end];
  return pieces.flatMap((piece, i) => {
    const around = `${i === 0 ? "" : "\n\n"}${piece}${i === pieces.length - 1 ? "" : "\n\n"}`;
    return i === 0 ? [{ text: around }] : [{ ids }, { text: around }];
  });
}
