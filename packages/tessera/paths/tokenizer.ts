/**
 * Tokenizers and chat templates.
 *
 * @module
 */
export * from "@tessera/tokenizer";
