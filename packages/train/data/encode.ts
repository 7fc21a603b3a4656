/**
 * Examples as token ids, with a mask of the tokens that the model is to learn.
 *
 * The stretches that count and those that do not are encoded apart, as they are at generation time, when the model is
 * given the encoded prompt and writes on from there. Long work gives other tasks a turn every few milliseconds.
 */

import { checkOptions, type OptionNames } from "@tessera/text";
import type { Tokenizer } from "@tessera/tokenizer";
import { type ChatSegment, chatSegments, controlTokens } from "./chat.ts";
import type { Example } from "./example.ts";
import { type ImageTokens, layOutImages } from "./image_layout.ts";
import { createPacer } from "./pace.ts";

/** An example as token ids. */
export interface EncodedExample {
  /** The tokens, special ones included: `[time]`. */
  readonly tokenIds: Int32Array;
  /** 1 where the token is one that the model learns to predict from those before it, else 0: `[time]`. */
  readonly lossMask: Uint8Array;
  /** The image that the first tokens stand for, ready for the model: RGB, `[size, size, 3]`; none when left out. */
  readonly image?: Uint8Array;
  /** Where the example comes from, such as `train.jsonl:12`. */
  readonly at: string;
}

/** How images become tokens and pixels. */
export interface ImageEncoding extends ImageTokens {
  /** What stands between the prompt and the response where images stand before texts. */
  readonly separator: string;
  /** The pixels that the model sees of an image, RGB `[size, size, 3]`, given a path or the bytes of a file. */
  readonly read: (image: string | Uint8Array) => Promise<Uint8Array>;
}

/** How examples become tokens. */
export interface EncodeOptions {
  /** The most tokens that an example may have, special ones included. */
  readonly maxLength: number;
  /** What happens to an example that is too long: an error, or its end is cut off. An error when absent. */
  readonly overflow?: "error" | "truncate";
  /** Puts prompts and responses into the model's chat template as a user's and an assistant's turn. */
  readonly chat?: boolean;
  /** How images are read, for a model that takes them; none when absent. */
  readonly images?: ImageEncoding;
}

const optionNames: OptionNames<EncodeOptions> = {
  maxLength: true,
  overflow: true,
  chat: true,
  images: true,
};

/** Examples as tokens, and what became of those that were too long. */
export interface EncodedExamples {
  /** The examples to learn from. */
  readonly examples: readonly EncodedExample[];
  /** The number of examples whose end was cut off. */
  readonly truncated: number;
  /** The examples that were left out because nothing to learn was left of them. */
  readonly dropped: readonly { readonly at: string; readonly reason: string }[];
}

type Counts = ChatSegment["counts"];

interface Part {
  readonly ids?: readonly number[];
  readonly text?: string;
  readonly id?: number | null;
  readonly counts: Counts;
}

const chunkLength = 1024;
// Between words, where no tokenizer of ours has a token across: before a space, or after a line break.
const wordBoundary = /(?<=\p{L})(?= \p{L})|(?<=\n)(?=\p{L})/gu;

/** Cuts a long text between words into pieces that encode in a few milliseconds each; they join to the same text. */
export function* textChunks(text: string): Generator<string> {
  let start = 0;
  while (text.length - start > chunkLength) {
    wordBoundary.lastIndex = start + chunkLength;
    const cut = wordBoundary.exec(text)?.index;
    if (cut === undefined) break;
    yield text.slice(start, cut);
    start = cut;
  }
  yield text.slice(start);
}

function chatParts(example: Example & { kind: "messages" }, tokenizer: Tokenizer): Part[] {
  const { messages, at } = example;
  if (!tokenizer.hasChatTemplate) {
    throw new TypeError(
      `Cannot encode ${at}: it needs a chat template and the model's tokenizer has none; ` +
        `use an instruction-tuned model, or "prompt" and "response" without chat`,
    );
  }
  const segments = chatSegments(messages, tokenizer, at);
  // A template usually writes the token that opens a text itself; where it does not, the tokenizer's habit decides.
  const isOpened = tokenizer.encode(segments[0]!.text.slice(0, 64))[0] === tokenizer.bosId;
  return [{ id: isOpened ? null : tokenizer.startId, counts: "none" }, ...segments];
}

type Writers = {
  readonly [K in Example["kind"]]: (example: Extract<Example, { kind: K }>, tokenizer: Tokenizer) => Part[];
};

const parts: Writers = {
  prompt: ({ prompt, response }, tokenizer) => [
    { id: tokenizer.startId, counts: "none" },
    { text: prompt, counts: "none" },
    { text: response, counts: "all" },
    { id: tokenizer.eosId, counts: "all" },
  ],
  text: ({ text }, tokenizer) => [
    { id: tokenizer.startId, counts: "none" },
    { text, counts: "all" },
    { id: tokenizer.eosId, counts: "all" },
  ],
  messages: chatParts,
};

/** A prompt with its image, as PaliGemma's processor lays it out: the image's tokens, then those of the text. */
function imageParts(example: Example, tokenizer: Tokenizer, images: ImageEncoding): Part[] {
  if (example.kind !== "prompt" || example.image === undefined) {
    throw new TypeError(`Cannot encode ${example.at}: it has no "image", and the model takes one with each prompt`);
  }
  const [, prompt, ...rest] = parts.prompt(example, tokenizer);
  const imageIds = new Array<number>(images.tokens).fill(images.tokenId);
  return [
    { ids: imageIds, counts: "none" },
    { id: tokenizer.bosId, counts: "none" },
    { ...prompt!, text: `${example.prompt}${images.separator}` },
    ...rest,
  ];
}

/** A prompt with its image, if it has one, where the prompt marks it or before the prompt. */
function markedParts(example: Example, tokenizer: Tokenizer, options: EncodeOptions, images: ImageEncoding): Part[] {
  if (example.kind !== "prompt" || example.image === undefined) return textParts(example, tokenizer, options);
  const { begin } = images.place as Exclude<ImageEncoding["place"], "start">;
  const marker = tokenizer.idToToken(begin) ?? "";
  const prompt = marker !== "" && example.prompt.includes(marker) ? example.prompt : marker + example.prompt;
  const all = textParts({ ...example, prompt }, tokenizer, options);
  const at = all.findIndex(({ text, counts }) => counts === "none" && (text ?? "").includes(marker));
  try {
    const laidOut = layOutImages(all[at]?.text ?? "", 1, images, tokenizer);
    return [
      ...all.slice(0, at),
      ...laidOut.map((part) => ({ ...part, counts: "none" as const })),
      ...all.slice(at + 1),
    ];
  } catch (cause) {
    throw new TypeError(`Cannot encode ${example.at}: ${(cause as Error).message}`, { cause });
  }
}

function partsOf(example: Example, tokenizer: Tokenizer, options: EncodeOptions): Part[] {
  const { images } = options;
  if (images?.place === "start") return imageParts(example, tokenizer, images);
  if (images !== undefined) return markedParts(example, tokenizer, options, images);
  if (example.kind === "prompt" && example.image !== undefined) {
    throw new TypeError(`Cannot encode ${example.at}: it has an "image", and the model takes none`);
  }
  return textParts(example, tokenizer, options);
}

function textParts(example: Example, tokenizer: Tokenizer, { chat = false }: EncodeOptions): Part[] {
  if (!chat || example.kind !== "prompt") {
    return (parts[example.kind] as (example: Example, tokenizer: Tokenizer) => Part[])(example, tokenizer);
  }
  const messages = [{ role: "user", content: example.prompt }, { role: "assistant", content: example.response }];
  return parts.messages({ kind: "messages", messages, at: example.at }, tokenizer);
}

/** Makes the function that encodes one example; `rest` is awaited between pieces. */
function createEncoder(tokenizer: Tokenizer, options: EncodeOptions, rest: () => Promise<void> | undefined) {
  const isControl = controlTokens(tokenizer);

  /**
   * Where the tokens end that belong to the assistant turn before `start`. The last turn is ended here when its template
   * does not, else the model could not learn where to stop.
   */
  function turnEnd(ids: number[], start: number, isLast: boolean): number {
    const end = ids.findIndex((id, position) => position >= start && isControl(id));
    if (end >= 0) return end + 1;
    if (!isLast) return Math.min(start + 1, ids.length);
    if (tokenizer.eosId !== null) ids.push(tokenizer.eosId);
    return ids.length;
  }

  return async function encode(example: Example): Promise<{ ids: number[]; mask: number[] }> {
    const ids: number[] = [];
    const mask: number[] = [];
    const all = partsOf(example, tokenizer, options);
    for (const [index, part] of all.entries()) {
      const start = ids.length;
      if (part.ids !== undefined) ids.push(...part.ids);
      if (part.id != null) ids.push(part.id);
      for (const chunk of part.text ? textChunks(part.text) : []) {
        for (const id of tokenizer.encode(chunk)) ids.push(id);
        await rest();
      }
      const isLast = index === all.length - 1;
      const end = part.counts === "turnEnd" ? turnEnd(ids, start, isLast) : part.counts === "all" ? ids.length : start;
      while (mask.length < ids.length) mask.push(mask.length < end ? 1 : 0);
    }
    // Nothing comes before the first token to predict it from.
    if (mask.length > 0) mask[0] = 0;
    return { ids, mask };
  };
}

/** Reads the images of examples; one that several examples share is read once. */
function createImageReader(images: ImageEncoding | undefined) {
  const known = new Map<string, Promise<Uint8Array>>();
  return async function read(example: Example): Promise<{ image?: Uint8Array }> {
    if (images === undefined || example.kind !== "prompt" || example.image === undefined) return {};
    const { image, at } = example;
    try {
      if (typeof image !== "string") return { image: await images.read(image) };
      const pixels = known.get(image) ?? images.read(image);
      known.set(image, pixels);
      return { image: await pixels };
    } catch (cause) {
      throw new Error(`Cannot encode ${at}: ${(cause as Error).message}`, { cause });
    }
  };
}

function describeOverflow(ids: readonly number[], mask: readonly number[], maxLength: number): string {
  const context = mask.indexOf(1);
  if (context < 0) return "it has no token to learn";
  if (context >= maxLength) {
    return `the prompt has ${context} tokens, which leaves no room for a response within maxLength (${maxLength}); ` +
      `shorten the prompt or raise maxLength`;
  }
  return `it has ${ids.length} tokens (${context} before the first to learn), more than maxLength (${maxLength}); ` +
    `shorten it, raise maxLength, or set overflow to "truncate"`;
}

/**
 * Encodes examples, one after the other, without blocking other tasks.
 *
 * A prompt counts as context only; a response counts, and so does the token that ends it. A text counts whole. In a
 * conversation the assistant's turns count, each with the token that ends it. An image goes before its prompt.
 *
 * @throws {RangeError} when an example is too long and `overflow` is `"error"`, or when nothing to learn is left of any.
 * @throws {TypeError} when an option has an unknown name, or a conversation meets a tokenizer without a chat template, or a
 * template that rejects it.
 */
export async function encodeExamples(
  examples: Iterable<Example> | AsyncIterable<Example>,
  tokenizer: Tokenizer,
  options: EncodeOptions,
): Promise<EncodedExamples> {
  checkOptions("encode examples", options, optionNames);
  const { maxLength, overflow = "error" } = options;
  if (!Number.isInteger(maxLength) || maxLength < 2) {
    throw new RangeError(`Cannot encode examples: maxLength is ${maxLength}; expected a whole number of at least 2`);
  }
  const rest = createPacer();
  const encode = createEncoder(tokenizer, options, rest);
  const readImage = createImageReader(options.images);
  const encoded: EncodedExample[] = [];
  const dropped: { at: string; reason: string }[] = [];
  let truncated = 0;
  for await (const example of examples) {
    const { at } = example;
    const { ids, mask } = await encode(example);
    const isLong = ids.length > maxLength;
    if (isLong && overflow === "error") {
      throw new RangeError(`Cannot encode ${at}: ${describeOverflow(ids, mask, maxLength)}`);
    }
    const lossMask = new Uint8Array(isLong ? mask.slice(0, maxLength) : mask);
    if (!lossMask.includes(1)) {
      dropped.push({ at, reason: describeOverflow(ids, mask, maxLength) });
      continue;
    }
    if (isLong) truncated++;
    const tokenIds = new Int32Array(isLong ? ids.slice(0, maxLength) : ids);
    encoded.push({ tokenIds, lossMask, ...await readImage(example), at });
  }
  if (encoded.length === 0) {
    const [first] = dropped;
    const why = first
      ? `none of ${dropped.length} has anything to learn; ${first.at}: ${first.reason}`
      : "there are none";
    throw new RangeError(`Cannot use the examples: ${why}`);
  }
  return { examples: encoded, truncated, dropped };
}
