/** Checks of a data set against the model that is to read it. */
import type { Dataset } from "./data/batches.ts";
import { createPacer } from "./data/pace.ts";
import type { ModelImages, TrainableModel } from "./step.ts";

/**
 * Checks, before any work, that a model knows all tokens of a data set, and that there are images where it needs them, and tokens
 * that stand for each.
 *
 * @throws {RangeError} when it does not know one, or when those of an image stand elsewhere; the message names the example.
 * @throws {TypeError} when an image is missing, or is one that it does not take.
 */
export async function checkTokens(model: TrainableModel, dataset: Dataset): Promise<void> {
  const rest = createPacer();
  const { images } = model;
  const pixels = images === undefined ? undefined : images.size ** 2 * 3;
  for (const { at, tokenIds, image } of dataset.examples) {
    const mayLack = images !== undefined && images.place !== "start" && image === undefined;
    if (image?.length !== pixels && !mayLack) {
      const wanted = images === undefined ? "it takes no images" : `it takes images of ${images.size} pixels a side`;
      throw new TypeError(
        `Cannot use ${at} with "${model.name}": it has ${
          image === undefined ? "no image" : "one of another size"
        }; ${wanted}`,
      );
    }
    const wrong = tokenIds.find((token) => (token < 0 || token >= model.vocabularySize) && token !== images?.tokenId);
    if (wrong !== undefined) {
      throw new RangeError(
        `Cannot use ${at} with "${model.name}": it has token ${wrong}, but the vocabulary has the tokens 0 to ` +
          `${model.vocabularySize - 1}; encode the data with the tokenizer of this model`,
      );
    }
    if (images?.place === "start") checkLeadingTokens(model.name, at, tokenIds, images);
    else if (images !== undefined) checkMarkedTokens(model.name, at, tokenIds, image === undefined ? 0 : 1, images);
    await rest();
  }
}

function checkMarkedTokens(
  name: string,
  at: string,
  tokenIds: Int32Array,
  count: number,
  { tokens, tokenId }: ModelImages,
): void {
  const found = tokenIds.filter((token) => token === tokenId).length;
  if (found === count * tokens) return;
  throw new RangeError(
    `Cannot use ${at} with "${name}": it has ${found} tokens of an image (${tokenId}) and ${count} images, each of ` +
      `which takes ${tokens}`,
  );
}

function checkLeadingTokens(name: string, at: string, tokenIds: Int32Array, { tokens, tokenId }: ModelImages): void {
  const wrong = tokenIds.findIndex((token, position) => (token === tokenId) !== (position < tokens));
  if (wrong < 0 && tokenIds.length >= tokens) return;
  throw new RangeError(
    `Cannot use ${at} with "${name}": ` +
      (wrong < tokens
        ? `only ${
          wrong < 0 ? tokenIds.length : wrong
        } of the ${tokens} tokens of its image (${tokenId}) stand at its beginning`
        : `it has the token of an image (${tokenId}) at position ${wrong}, behind text`) +
      `; an example begins with ${tokens} of them, and has none elsewhere`,
  );
}
