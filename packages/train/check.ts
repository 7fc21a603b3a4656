/** Checks of a data set against the model that is to read it. */
import type { Dataset } from "./data/batches.ts";
import { createPacer } from "./data/pace.ts";
import type { TrainableModel } from "./step.ts";

/**
 * Checks, before any work, that a model knows all tokens of a data set.
 *
 * @throws {RangeError} when it does not; the message names the example and the token.
 */
export async function checkTokens(model: TrainableModel, dataset: Dataset): Promise<void> {
  const rest = createPacer();
  for (const { at, tokenIds } of dataset.examples) {
    const wrong = tokenIds.find((token) => token < 0 || token >= model.vocabularySize);
    if (wrong !== undefined) {
      throw new RangeError(
        `Cannot use ${at} with "${model.name}": it has token ${wrong}, but the vocabulary has the tokens 0 to ` +
          `${model.vocabularySize - 1}; encode the data with the tokenizer of this model`,
      );
    }
    await rest();
  }
}
