/**
 * Text from tokens as they come, without breaking characters.
 *
 * A token may hold a part of a character only, and what a token reads as can depend on its neighbors: a run of byte tokens is
 * either one piece of UTF-8 or none, and some decoders strip the space before the first word. So tokens are kept back until
 * nothing that follows can change what they read as, and are then read behind the tokens before them.
 */
import type { Tokenizer } from "./tokenizer.ts";

/** Turns tokens into text bit by bit. What it gives, put together, is what `decode` gives for all tokens at once. */
export interface TextStream {
  /** Takes a token; gives the text that is settled by it, which may be empty. Throws when the token is not in the vocabulary. */
  push(id: number): string;
  /** Gives the text of what is still kept back, after which a new text begins. */
  end(): string;
}

/** What the pieces of a character that are no whole one read as. */
const replacement = "\uFFFD";

/** Tokens that stand for one byte, in vocabularies that fall back to bytes. */
const byteToken = /^<0x[0-9a-f]{2}>$/i;

/** A stream that decodes with a tokenizer; special tokens are left out unless `skipSpecialTokens` is false. */
export function textStream(tokenizer: Tokenizer, options: { readonly skipSpecialTokens?: boolean } = {}): TextStream {
  const { skipSpecialTokens = true } = options;
  const decode = (ids: readonly number[]) => tokenizer.decode(ids, { skipSpecialTokens });
  /** The tokens that were read last, and those that are kept back. */
  let before: number[] = [];
  let kept: number[] = [];
  const settle = (text: string): string => {
    const piece = text.slice(decode(before).length);
    [before, kept] = [kept, []];
    return piece;
  };
  return {
    push(id) {
      // A special token reads as nothing, also between two bytes of a character.
      if (skipSpecialTokens && decode([id]) === "" && tokenizer.decode([id]) !== "") return "";
      kept.push(id);
      if (byteToken.test(tokenizer.idToToken(id) ?? "")) return "";
      const text = decode([...before, ...kept]);
      return text.endsWith(replacement) ? "" : settle(text);
    },
    end() {
      const rest = kept.length === 0 ? "" : settle(decode([...before, ...kept]));
      [before, kept] = [[], []];
      return rest;
    },
  };
}
