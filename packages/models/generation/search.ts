/** What searches for answers have in common: their request, and what they say after each step. */
import { type HostTensor, toFloat32 } from "@tessera/core";
import { pause } from "@tessera/runtime/support";
import type { Decoder } from "./decoder.ts";
import type { Prediction } from "./decoder_programs.ts";
import type { Logits } from "./logit_filters.ts";
import type { Sampling } from "./sampling.ts";

/** What to generate, as tokens. */
export interface GenerateTokens {
  /** The prompts, each with at least one token. */
  readonly prompts: readonly (readonly number[])[];
  /** The images that the prompts begin with, float32 [images, size, size, 3], each row's after those before; none when left out. */
  readonly images?: HostTensor<"float32">;
  /** The most tokens to add to a prompt. */
  readonly maxNewTokens: number;
  /** The most tokens of prompt and answer together; longer than each prompt. */
  readonly maxLength: number;
  /** Tokens that end a row; they are not part of the result. */
  readonly stopTokenIds: ReadonlySet<number>;
  /** Whether a row's answer ends with its last token, which is part of the result; asked after each token. */
  readonly endsWith?: (answer: readonly number[], row: number) => boolean;
  /** How tokens are chosen. */
  readonly sampling: Sampling;
  /** Ends generation after the token under way. */
  readonly signal?: AbortSignal;
}

/** A step of a search. */
export interface SearchStep {
  /** The number of steps done. */
  readonly done: number;
  /** The most steps that there can be. */
  readonly total: number;
  /** What the step added to the answer of each row: a token, or none where it has ended or is not settled. */
  readonly tokens: readonly (number | null)[];
}

/** A way of looking for answers: gives its steps, and returns the answer of each row. */
export type Search = (decoder: Decoder, request: GenerateTokens) => AsyncGenerator<SearchStep, number[][]>;

/** How many tokens each row may add: a short prompt has more room in the context than a long one. */
export function roomOf({ prompts, maxNewTokens, maxLength }: GenerateTokens): number[] {
  return prompts.map((prompt) => Math.min(maxNewTokens, maxLength - prompt.length));
}

/** The most tokens of prompt and answer that a row can come to. */
export function mostTokens(request: GenerateTokens): number {
  const room = roomOf(request);
  return Math.max(...request.prompts.map((prompt, row) => prompt.length + room[row]!));
}

/** The logits of each row of a prediction. */
export async function logitRows({ logits }: Prediction): Promise<Logits[]> {
  const values = toFloat32(await logits.read());
  const [batch, vocabularySize] = logits.type.shape as [number, number];
  return Array.from({ length: batch }, (_, row) => values.subarray(row * vocabularySize, (row + 1) * vocabularySize));
}

/** Handles rows one after the other. Over a large vocabulary each takes milliseconds, so the event loop runs in between. */
export async function rowByRow<R, T>(rows: readonly R[], handle: (row: R, index: number) => T): Promise<T[]> {
  const results: T[] = [];
  let resumed = performance.now();
  for (const [index, row] of rows.entries()) {
    if (performance.now() - resumed > 8) {
      await pause();
      resumed = performance.now();
    }
    results.push(handle(row, index));
  }
  return results;
}

/** The answers of some rows, to which one token per row is added at a time. */
export class Answers {
  /** The tokens of each answer, without those that ended it. */
  readonly tokens: readonly number[][];
  /** The position of each row's last token. */
  readonly positions: Int32Array<ArrayBuffer>;
  readonly #request: GenerateTokens;
  readonly #room: readonly number[];
  readonly #ended: boolean[];

  /** Starts with empty answers. */
  constructor(request: GenerateTokens) {
    this.#request = request;
    this.#room = roomOf(request);
    this.tokens = request.prompts.map(() => []);
    this.positions = Int32Array.from(request.prompts, (prompt) => prompt.length - 1);
    this.#ended = request.prompts.map(() => false);
  }

  /** The most tokens that a row can get. */
  get most(): number {
    return Math.max(...this.#room);
  }

  /** Whether all rows have ended. */
  get ended(): boolean {
    return this.#ended.every(Boolean);
  }

  /** The position of each row's next token. A row that has ended continues with the others, at a place that it has no more use for. */
  nextPositions(): Int32Array<ArrayBuffer> {
    return this.positions.map((position, row) => this.#ended[row] ? position : position + 1);
  }

  /** What a row has so far, prompt and answer. */
  textOf(row: number): number[] {
    return [...this.#request.prompts[row]!, ...this.tokens[row]!];
  }

  /** Adds a token to each row that has not ended; gives what was added. */
  add(next: ArrayLike<number>): (number | null)[] {
    const { stopTokenIds, endsWith } = this.#request;
    this.positions.set(this.nextPositions());
    return this.tokens.map((answer, row) => {
      if (this.#ended[row]) return null;
      const token = next[row]!;
      const stops = stopTokenIds.has(token);
      if (!stops) answer.push(token);
      this.#ended[row] = stops || answer.length >= this.#room[row]! || (endsWith?.(answer, row) ?? false);
      return stops ? null : token;
    });
  }
}
