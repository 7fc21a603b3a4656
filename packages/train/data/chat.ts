/**
 * Conversations as the model's own chat template writes them, split where the loss begins and ends to count.
 *
 * Where an assistant turn stands in the rendered text is found by rendering the conversation once more with a marker in
 * place of that turn: what comes before and after the marker must be the beginning and the end of the real text. So no
 * template has to be understood, a template may trim or rewrite what it prints, and one that prints a turn depending on
 * its content is reported instead of learned wrongly. A turn begins where the template leaves the model to write it, so
 * that what Qwen 3's puts between its opening and the answer, an empty thought or one of the turn's own, is learned too.
 */

import type { ChatMessage, Tokenizer } from "@tessera/tokenizer";

/** A stretch of rendered text, encoded on its own so that tokens never span its ends. */
export interface ChatSegment {
  /** The text, which may contain special tokens as the template writes them. */
  readonly text: string;
  /** What counts in the loss: nothing, every token, or the tokens up to the one that ends an assistant turn. */
  readonly counts: "none" | "all" | "turnEnd";
}

function render(messages: readonly ChatMessage[], tokenizer: Tokenizer, at: string): string {
  try {
    return tokenizer.applyChatTemplate(messages);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new TypeError(`Cannot encode ${at}: the chat template rejects the messages (${reason})`, { cause: error });
  }
}

const openings = new WeakMap<Tokenizer, string>();

/** The text with which the template opens the turn that the model is to write; empty where it has none. */
function openingOf(tokenizer: Tokenizer): string {
  const known = openings.get(tokenizer);
  if (known !== undefined) return known;
  const opening = readOpening(tokenizer);
  openings.set(tokenizer, opening);
  return opening;
}

function readOpening(tokenizer: Tokenizer): string {
  const question = [{ role: "user", content: "?" }];
  try {
    const plain = tokenizer.applyChatTemplate(question);
    const asked = tokenizer.applyChatTemplate(question, { addGenerationPrompt: true });
    return asked.startsWith(plain) ? asked.slice(plain.length) : "";
  } catch {
    // A template that wants other messages refuses the conversation itself, or opens turns in a way of its own.
    return "";
  }
}

/** Where the turn begins in the text before its marker, which is not before `from`. */
function startOf(before: string, opening: string, from: number): number {
  const found = opening === "" ? -1 : before.lastIndexOf(opening);
  return found < from ? before.length : found + opening.length;
}

function turnSpan(
  messages: readonly ChatMessage[],
  index: number,
  full: string,
  tokenizer: Tokenizer,
  at: string,
  from: number,
): readonly [start: number, end: number] {
  let marker = "TesseraTurn";
  while (full.includes(marker)) marker += "X";
  const marked = messages.map((turn, i) => (i === index ? { ...turn, content: marker } : turn));
  const [before, after, ...more] = render(marked, tokenizer, at).split(marker);
  const start = startOf(before!, openingOf(tokenizer), from);
  const end = full.length - (after?.length ?? 0);
  const isThere = after !== undefined && more.length === 0 && full.startsWith(before!.slice(0, start)) &&
    full.endsWith(after);
  if (isThere && start <= end) return [start, end];
  throw new TypeError(
    `Cannot encode ${at}: the chat template does not print messages[${index}] (assistant) once and on its own, ` +
      `so the tokens to learn cannot be told from the others; split the conversation or use "prompt" and "response"`,
  );
}

/**
 * Renders a conversation and splits it around its assistant turns.
 *
 * @throws {TypeError} when the template rejects the conversation or hides where a turn stands.
 */
export function chatSegments(messages: readonly ChatMessage[], tokenizer: Tokenizer, at: string): ChatSegment[] {
  const full = render(messages, tokenizer, at);
  const segments: ChatSegment[] = [];
  let cursor = 0;
  for (const [index, message] of messages.entries()) {
    if (message.role !== "assistant") continue;
    const [start, end] = turnSpan(messages, index, full, tokenizer, at, cursor);
    segments.push({ text: full.slice(cursor, start), counts: cursor === 0 ? "none" : "turnEnd" });
    segments.push({ text: full.slice(start, end), counts: "all" });
    cursor = end;
  }
  segments.push({ text: full.slice(cursor), counts: "turnEnd" });
  return segments;
}

/** Makes a function that tells control tokens, such as the one that ends a turn, from tokens of ordinary text. */
export function controlTokens(tokenizer: Tokenizer): (id: number) => boolean {
  const known = new Map<number, boolean>();
  function isControl(id: number): boolean {
    const token = tokenizer.idToToken(id);
    if (id === tokenizer.eosId) return true;
    if (token === null) return false;
    // Some checkpoints forget to flag their turn markers as special; `<0x0A>` is a byte, not a marker.
    if (/^<(?!0x)[^<>\s]+>$/.test(token)) return true;
    return tokenizer.decode([id]) === token && tokenizer.decode([id], { skipSpecialTokens: true }) === "";
  }
  return (id) => {
    const answer = known.get(id) ?? isControl(id);
    known.set(id, answer);
    return answer;
  };
}
