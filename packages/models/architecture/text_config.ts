/** What a checkpoint's config says of texts, whatever its architecture: its context, its special tokens. */
import { z } from "zod";
import { padTokenId, tokenIds } from "./hf_config.ts";

/** What a checkpoint's config says beyond the backbone. */
export interface TextConfig {
  /** The longest text, in tokens. */
  readonly contextLength: number;
  /** The token that begins a text; `null` for none. */
  readonly bosTokenId: number | null;
  /** The tokens that end a text. */
  readonly eosTokenIds: readonly number[];
  /** The token that fills a batch; `null` for none. */
  readonly padTokenId: number | null;
}

/** The schema of these fields, with the values that a file means by leaving them out. */
export function textSchema({ contextLength, bosTokenId, eosTokenIds, padTokenId: pad }: TextConfig) {
  return {
    max_position_embeddings: z.number().int().positive().default(contextLength),
    bos_token_id: z.number().int().nonnegative().nullable().default(bosTokenId),
    eos_token_id: tokenIds.default([...eosTokenIds]),
    pad_token_id: padTokenId.default(pad),
  };
}

/** The fields as they were read. */
export function textFromHf(fields: Readonly<Record<string, unknown>>): TextConfig {
  return {
    contextLength: fields.max_position_embeddings as number,
    bosTokenId: fields.bos_token_id as number | null,
    eosTokenIds: fields.eos_token_id as readonly number[],
    padTokenId: fields.pad_token_id as number | null,
  };
}

/** The fields as Transformers 5 spells them; one end token stands alone, several are a list, none is null. */
export function textToHf(text: TextConfig, dtype: string): Record<string, unknown> {
  const { eosTokenIds: ends } = text;
  return {
    max_position_embeddings: text.contextLength,
    bos_token_id: text.bosTokenId,
    eos_token_id: ends.length > 1 ? ends : ends[0] ?? null,
    pad_token_id: text.padTokenId,
    dtype,
  };
}
