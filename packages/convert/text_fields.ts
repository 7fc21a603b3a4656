/** What a Hugging Face config says beyond the backbone. */

/** Fields of a Hugging Face config that the backbone does not decide. */
export interface TextFields {
  /** The longest text, in tokens. */
  readonly maxPositionEmbeddings: number;
  /** The token that begins a text. */
  readonly bosTokenId: number | null;
  /** The tokens that end a text. */
  readonly eosTokenIds: readonly number[];
  /** The token that fills a batch. */
  readonly padTokenId: number | null;
  /** The dtype of the weights, such as `bfloat16`. */
  readonly dtype: string;
}

/** The fields as Transformers 5 spells them; one end token stands alone, several are a list, none is null. */
export function textFieldsToHf(text: TextFields): Record<string, unknown> {
  return {
    max_position_embeddings: text.maxPositionEmbeddings,
    bos_token_id: text.bosTokenId,
    eos_token_id: text.eosTokenIds.length > 1 ? text.eosTokenIds : text.eosTokenIds[0] ?? null,
    pad_token_id: text.padTokenId,
    dtype: text.dtype,
  };
}
