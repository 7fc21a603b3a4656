/**
 * Trains the byte-pair tokenizer of the tiny model (Sennrich, Haddow and Birch 2016, https://aclanthology.org/P16-1162) and writes it
 * in the form of Gemma's `tokenizer.json`: spaces become "▁", digits stand alone, and a character without a token of its own falls back
 * to its UTF-8 bytes, `<0x00>` to `<0xFF>`. There is no pre-tokenizer, as in Gemma: merges are learned inside words and runs of
 * punctuation only, so that no merge ever crosses their borders.
 */

/** The special tokens in the order of their ids, the first four as in Gemma. */
export const specialTokens = ["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"] as const;

/** How a tokenizer is trained. */
export interface TokenizerOptions {
  /** The number of tokens, special tokens and bytes included. */
  vocabularySize: number;
}

/** A trained vocabulary. */
export interface Vocabulary {
  /** The tokens, each at the index that is its id. */
  tokens: string[];
  /** The pairs that merge, the first learned first. */
  merges: [left: string, right: string][];
}

/** The printable ASCII characters and the line break, which all have a token of their own. */
const alphabet = ["\n", "▁", ...Array.from({ length: 94 }, (_, index) => String.fromCharCode(33 + index))];

/**
 * A word, a digit, or a run of other characters. A word in small letters takes the space before it along; one with a capital does not,
 * so that a name has the same tokens after a space, after a quotation mark and at the start of a text.
 */
const unit = /▁?[a-z]+|[A-Z][a-z]*|\d|[^A-Za-z0-9▁\n]+|▁|\n/gu;

/**
 * Learns merges from documents, most frequent pair first and among equals the one that sorts first, until the vocabulary is full.
 *
 * @throws {RangeError} if the vocabulary has no room for the bytes and single characters, or the text is too short to fill it.
 */
export function trainVocabulary(documents: Iterable<string>, { vocabularySize }: TokenizerOptions): Vocabulary {
  const bytes = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`);
  const tokens: string[] = [...specialTokens, ...bytes, ...alphabet];
  if (vocabularySize < tokens.length) {
    throw new RangeError(
      `Cannot train a tokenizer of ${vocabularySize} tokens: ${tokens.length} are needed for special tokens, bytes and characters`,
    );
  }
  const known = new Set(tokens);
  const words = countUnits(documents);
  const merges: Vocabulary["merges"] = [];
  while (tokens.length < vocabularySize) {
    const pair = mostFrequentPair(words);
    if (pair === undefined) {
      throw new RangeError(
        `Cannot train a tokenizer of ${vocabularySize} tokens: the text has pairs for ${tokens.length} only`,
      );
    }
    merges.push(pair);
    const merged = pair[0] + pair[1];
    if (!known.has(merged)) tokens.push(merged);
    known.add(merged);
    for (const word of words) word.pieces = mergePair(word.pieces, pair);
  }
  return { tokens, merges };
}

/** A distinct word of the text. */
interface Word {
  /** The tokens that it consists of so far. */
  pieces: string[];
  /** How often it occurs. */
  count: number;
}

/** Counts the distinct units of documents that can still merge. */
function countUnits(documents: Iterable<string>): Word[] {
  const counts = new Map<string, number>();
  const special = new RegExp(specialTokens.join("|"), "g");
  for (const document of documents) {
    for (const section of document.replaceAll(" ", "▁").split(special)) {
      for (const [text] of section.matchAll(unit)) counts.set(text, (counts.get(text) ?? 0) + 1);
    }
  }
  return [...counts].map(([text, count]) => ({ pieces: [...text], count })).filter(({ pieces }) => pieces.length > 1);
}

/** Finds the pair of neighbors that occurs most often, or undefined where no two tokens stand together. */
function mostFrequentPair(words: readonly Word[]): [string, string] | undefined {
  const counts = new Map<string, number>();
  for (const { pieces, count } of words) {
    for (let index = 1; index < pieces.length; index++) {
      const pair = `${pieces[index - 1]} ${pieces[index]}`;
      counts.set(pair, (counts.get(pair) ?? 0) + count);
    }
  }
  let best: string | undefined;
  let most = 0;
  for (const [pair, count] of counts) {
    if (count > most || (count === most && best !== undefined && pair < best)) [best, most] = [pair, count];
  }
  if (best === undefined) return undefined;
  const space = best.indexOf(" ");
  return [best.slice(0, space), best.slice(space + 1)];
}

/** Joins each occurrence of a pair of neighbors, from left to right. */
function mergePair(pieces: string[], [left, right]: readonly [string, string]): string[] {
  if (pieces.length < 2 || !pieces.includes(left)) return pieces;
  const merged: string[] = [];
  for (let index = 0; index < pieces.length; index++) {
    const piece = pieces[index] ?? "";
    const joins = piece === left && pieces[index + 1] === right;
    merged.push(joins ? piece + right : piece);
    if (joins) index++;
  }
  return merged;
}

/** Returns the contents of `tokenizer.json` for a vocabulary. */
export function tokenizerJson({ tokens, merges }: Vocabulary): Record<string, unknown> {
  const bos = { SpecialToken: { id: "<bos>", type_id: 0 } };
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: specialTokens.map((content, id) => ({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: { type: "Replace", pattern: { String: " " }, content: "▁" },
    pre_tokenizer: null,
    post_processor: {
      type: "TemplateProcessing",
      single: [bos, { Sequence: { id: "A", type_id: 0 } }],
      pair: [bos, { Sequence: { id: "A", type_id: 0 } }, bos, { Sequence: { id: "B", type_id: 1 } }],
      special_tokens: { "<bos>": { id: "<bos>", ids: [tokens.indexOf("<bos>")], tokens: ["<bos>"] } },
    },
    decoder: {
      type: "Sequence",
      decoders: [
        { type: "Replace", pattern: { String: "▁" }, content: " " },
        { type: "ByteFallback" },
        { type: "Fuse" },
      ],
    },
    model: {
      type: "BPE",
      dropout: null,
      unk_token: "<unk>",
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: true,
      byte_fallback: true,
      ignore_merges: false,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges,
    },
  };
}

/** Gemma's chat template: turns of "user" and "model", and no system turn. */
const chatTemplate =
  "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}" +
  "{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}" +
  "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}" +
  "{% if message['role'] == 'assistant' %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}" +
  "{{ '<start_of_turn>' + role + '\\n' + message['content'] | trim + '<end_of_turn>\\n' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}";

/** Returns the contents of `tokenizer_config.json`. */
export function tokenizerConfig(modelMaxLength: number): Record<string, unknown> {
  return {
    tokenizer_class: "GemmaTokenizer",
    add_bos_token: true,
    add_eos_token: false,
    bos_token: "<bos>",
    eos_token: "<eos>",
    pad_token: "<pad>",
    unk_token: "<unk>",
    additional_special_tokens: ["<start_of_turn>", "<end_of_turn>"],
    clean_up_tokenization_spaces: false,
    model_max_length: modelMaxLength,
    chat_template: chatTemplate,
  };
}
