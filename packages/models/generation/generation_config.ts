/** Reading the `generation_config.json` of a Hugging Face checkpoint. */
import { checkJson, type Folder, folderOf, parseJson, readTextIfPresent } from "@tessera/files";
import { z } from "zod";
import { tokenIds } from "../architecture/hf_config.ts";

/** How a checkpoint wants to generate; a field is null where the file does not say. */
export interface GenerationConfig {
  /** The tokens that end a text; empty where the file does not say. */
  readonly eosTokenIds: readonly number[];
  /** Whether to sample instead of taking the likeliest token. */
  readonly doSample: boolean | null;
  /** The divisor of the logits. */
  readonly temperature: number | null;
  /** The number of likeliest tokens to sample from. */
  readonly topK: number | null;
  /** The probability mass of likeliest tokens to sample from. */
  readonly topP: number | null;
  /** The share of the likeliest token's probability that others to sample from have. */
  readonly minP: number | null;
  /** How much less likely tokens are that are there already; 1 for not at all. */
  readonly repetitionPenalty: number | null;
}

const generationSchema = z.looseObject({
  eos_token_id: tokenIds.default([]),
  do_sample: z.boolean().nullish(),
  temperature: z.number().nonnegative().nullish(),
  top_k: z.number().int().nonnegative().nullish(),
  top_p: z.number().min(0).max(1).nullish(),
  min_p: z.number().min(0).max(1).nullish(),
  repetition_penalty: z.number().positive().nullish(),
});

/**
 * The `generation_config.json` of a checkpoint folder, or null where there is none.
 *
 * @throws {SyntaxError} when it is not JSON.
 * @throws {TypeError} when a field is misspelled or of the wrong kind.
 */
export async function readGenerationConfig(folder: string | Folder): Promise<GenerationConfig | null> {
  const file = folderOf(folder).file("generation_config.json");
  const text = await readTextIfPresent(file);
  if (text === null) return null;
  const config = checkJson(file.path, parseJson(file.path, text), generationSchema);
  return {
    eosTokenIds: config.eos_token_id,
    doSample: config.do_sample ?? null,
    temperature: config.temperature ?? null,
    topK: config.top_k ?? null,
    topP: config.top_p ?? null,
    minP: config.min_p ?? null,
    repetitionPenalty: config.repetition_penalty ?? null,
  };
}
