/** Checks of tokens and images against the model that is to read them, before any work. */
import { type HostTensor, hostTensor } from "@tessera/core";
import type { Backbone, ImageInputs } from "../architecture/backbone.ts";

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
 * Checks that a model takes some images, and that rows of tokens have image tokens for them where they may stand. Gives the images
 * as the model reads them, as many for each row: those of rows with fewer are followed by black ones, which no token stands for.
 *
 * @throws {TypeError} when it takes none, or others, or other numbers of them.
 * @throws {RangeError} when a row's image tokens are not those of its images.
 */
export function imagesOfRows(
  given: HostTensor<"float32"> | undefined,
  rows: readonly ArrayLike<number>[],
  { name, backbone: { images } }: Reader,
): HostTensor<"float32"> | undefined {
  if (images === undefined) {
    if (given === undefined) return undefined;
    throw new TypeError(`Cannot show "${name}" an image: it takes text only`);
  }
  const { size } = images;
  const [count = 0, ...sides] = given?.shape ?? [0, size, size, 3];
  if (given !== undefined && (count < 1 || sides.join() !== [size, size, 3].join())) {
    throw new TypeError(
      `Cannot show "${name}" images of shape [${given.shape.join(",")}]: expected [images,${size},${size},3]`,
    );
  }
  if (images.place !== "start") return anywhere(given, rows, name, images);
  atStart(count, rows, name, images);
  return given;
}

function atStart(count: number, rows: readonly ArrayLike<number>[], name: string, images: ImageInputs): void {
  const { tokens, tokenId } = images;
  if (count % rows.length !== 0) {
    throw new TypeError(`Cannot show "${name}" ${count} images in ${rows.length} rows: each row must have as many`);
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
        `${count / rows.length} images, and have none elsewhere`,
    );
  }
}

function anywhere(
  given: HostTensor<"float32"> | undefined,
  rows: readonly ArrayLike<number>[],
  name: string,
  { tokens, tokenId }: ImageInputs,
): HostTensor<"float32"> | undefined {
  const counts = rows.map((row, index) => {
    const found = Array.from(row).filter((token) => token === tokenId).length;
    if (found % tokens === 0) return found / tokens;
    throw new RangeError(
      `Cannot show "${name}" row ${index}: it has ${found} image tokens (${tokenId}), expected ${tokens} for each image`,
    );
  });
  const total = counts.reduce((sum, found) => sum + found, 0);
  const count = given?.shape[0] ?? 0;
  if (total !== count) {
    throw new RangeError(
      `Cannot show "${name}" ${count} images: the rows have image tokens (${tokenId}) for ${total}, ${tokens} for each`,
    );
  }
  const most = Math.max(...counts);
  if (given === undefined || counts.every((found) => found === most)) return given;
  const [, ...sides] = given.shape as [number, number, number, number];
  const length = given.data.length / count;
  const data = new Float32Array(rows.length * most * length).fill(-1);
  let next = 0;
  counts.forEach((found, row) => {
    data.set(given.data.subarray(next * length, (next + found) * length), row * most * length);
    next += found;
  });
  return hostTensor("float32", [rows.length * most, ...sides], data);
}
