/**
 * How the shipped tiny model came to be: the recipe of its pretraining and fine-tuning, and what its data are made with.
 *
 * @module
 */
export { createRandom, type Random } from "./random.ts";
export {
  architecture,
  type Decay,
  finetuning,
  type FinetuningRecipe,
  pretraining,
  type TrainingRecipe,
} from "./recipe.ts";
export { tokenizerConfig, tokenizerJson, trainVocabulary } from "./tokenizer.ts";
