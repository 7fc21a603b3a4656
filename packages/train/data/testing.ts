import type { ChatMessage, Tokenizer } from "@tessera/tokenizer";

/** The special tokens of a `characterTokenizer`, by id. */
export const specialTokens = ["<pad>", "<bos>", "<eos>", "<turn>", "<end>"];

/** Writes a conversation as Gemma's template does, with the special tokens above. */
export function turnTemplate(messages: readonly ChatMessage[], isAsking = false): string {
  const turns = messages.map(({ role, content }) =>
    `<turn>${role === "assistant" ? "model" : role}\n${content.trim()}<end>\n`
  );
  return `<bos>${turns.join("")}${isAsking ? "<turn>model\n" : ""}`;
}

/** A tokenizer for tests: one token per character, except for special tokens. */
export function characterTokenizer(
  options: { template?: (messages: readonly ChatMessage[], isAsking: boolean) => string; addsBos?: boolean } = {},
): Tokenizer {
  const { template, addsBos = true } = options;
  const first = specialTokens.length;
  const idToToken = (id: number) => specialTokens[id] ?? String.fromCodePoint(id - first);
  return {
    vocabularySize: first + 0x110000,
    padId: 0,
    bosId: 1,
    startId: addsBos ? 1 : null,
    eosId: 2,
    encode(text, { addSpecialTokens = false } = {}) {
      const tokens = text.match(new RegExp(`${specialTokens.join("|")}|.`, "gsu")) ?? [];
      const ids = tokens.map((token) => {
        const special = specialTokens.indexOf(token);
        return special < 0 ? first + token.codePointAt(0)! : special;
      });
      return addSpecialTokens && addsBos ? [1, ...ids] : ids;
    },
    decode: (ids, { skipSpecialTokens = false } = {}) =>
      ids.filter((id) => !skipSpecialTokens || id >= first).map(idToToken).join(""),
    tokenToId: (token) => specialTokens.includes(token) ? specialTokens.indexOf(token) : null,
    idToToken,
    hasChatTemplate: template !== undefined,
    applyChatTemplate(messages, { addGenerationPrompt = false } = {}) {
      if (!template) throw new TypeError("No template");
      return template(messages, addGenerationPrompt);
    },
  };
}
