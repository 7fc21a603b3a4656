/**
 * Text to ids and back: `tokenizer.json`, chat templates, and text as it is generated.
 *
 * @example
 * ```ts
 * import { loadTokenizer } from "@tessera/tokenizer";
 *
 * const tokenizer = await loadTokenizer("gemma-2-2b");
 * console.log(tokenizer.encode("Hello"));
 * ```
 *
 * @module
 */
export { type ChatMessage } from "./chat_template.ts";
export { type TextStream, textStream } from "./text_stream.ts";
export {
  type ChatOptions,
  type DecodeOptions,
  type EncodeOptions,
  loadTokenizer,
  noTokenizer,
  type Tokenizer,
} from "./tokenizer.ts";
