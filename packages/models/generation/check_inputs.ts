/** Checks of tokens and pictures against the model that is to read them, before any work. */
import type { HostTensor } from "@tessera/core";
import type { Backbone } from "../architecture/backbone.ts";

/** The model that is to read something. */
interface Reader {
  /** Its name, for messages. */
  readonly name: string;
  /** Its architecture. */
  readonly backbone: Backbone;
}

/**
 * Checks that a model has some tokens.
 *
 * @throws {RangeError} when one is not in its vocabulary.
 */
export function checkTokens(tokens: Iterable<number>, { name, backbone: { vocabularySize, images } }: Reader): void {
  for (const token of tokens) {
    if (Number.isInteger(token) && token >= 0 && token < vocabularySize || token === images?.tokenId) continue;
    throw new RangeError(
      `Cannot use token ${token} with "${name}": its vocabulary has the tokens 0 to ${vocabularySize - 1}`,
    );
  }
}

/**
 * Checks that a model takes some pictures, and that each row of tokens begins with those that stand for its share of them and has
 * none elsewhere.
 *
 * @throws {TypeError} when it takes none, or others, or other numbers of them.
 * @throws {RangeError} when a row's image tokens are not those of its pictures.
 */
export function checkImages(
  given: HostTensor<"float32"> | undefined,
  rows: readonly ArrayLike<number>[],
  { name, backbone: { images } }: Reader,
): void {
  if (images === undefined) {
    if (given === undefined) return;
    throw new TypeError(`Cannot show "${name}" a picture: it takes text only`);
  }
  const { size, tokens, tokenId } = images;
  const [count = 0, ...sides] = given?.shape ?? [0, size, size, 3];
  if (given !== undefined && (count < 1 || sides.join() !== [size, size, 3].join())) {
    throw new TypeError(
      `Cannot show "${name}" pictures of shape [${given.shape.join(",")}]: expected [pictures,${size},${size},3]`,
    );
  }
  if (count % rows.length !== 0) {
    throw new TypeError(`Cannot show "${name}" ${count} pictures in ${rows.length} rows: each row must have as many`);
  }
  const wanted = count / rows.length * tokens;
  for (const [index, row] of rows.entries()) {
    const isImage = Array.from(row, (token) => token === tokenId);
    const first = isImage.includes(false) ? isImage.indexOf(false) : isImage.length;
    const last = isImage.lastIndexOf(true) + 1;
    if (first === wanted && last === wanted) continue;
    const problem = first === last
      ? `it begins with ${first} image tokens (${tokenId})`
      : `it has an image token (${tokenId}) at position ${last - 1}, behind text`;
    throw new RangeError(
      `Cannot show "${name}" row ${index}: ${problem}; a row must begin with ${tokens} for each of its ` +
        `${count / rows.length} pictures, and have none elsewhere`,
    );
  }
}
