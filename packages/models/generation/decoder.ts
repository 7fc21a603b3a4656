/**
 * Reading tokens into key/value caches.
 *
 * Two programs do the work: *prefill* reads whole prompts into an empty cache, padded to a bucket of their own length, and
 * *decode* reads one token per row and is run again and again. Prompts of unequal lengths share a batch: padding is on the
 * right, and each row writes to the cache from its own length on. A cache is as long as its longest row has needed so far,
 * in powers of two, so that early tokens do not attend over room that late ones may need; a third program, *transfer*,
 * moves a cache into a longer one, and rows to other rows.
 *
 * An architecture may turn all keys of a long text otherwise than those of a short one (LongRoPE). A row that outgrows the short
 * is then read again from its start.
 */
import { type HostTensor, hostTensor, hostZeros } from "@tessera/core";
import { putZeros, whereOf } from "@tessera/nn";
import type { Backend } from "@tessera/runtime";
import type { Backbone } from "../architecture/backbone.ts";
import {
  type CacheShape,
  cacheSlots,
  disposePrediction,
  type Prediction,
  shapeKey,
  traceDecode,
  tracePrefill,
  traceTransfer,
} from "./decoder_programs.ts";
import { cacheBucket, promptBucket } from "./length_buckets.ts";
import { ProgramStore, type Value } from "./program_store.ts";

/** What a cache is made for. */
export interface CacheRequest {
  /** The number of rows. */
  readonly batch: number;
  /** The most tokens that a row will hold. */
  readonly mostTokens: number;
  /** Whether to keep the hidden state of each token, so that later ones are compared to it; false unless given. */
  readonly comparesHidden?: boolean;
}

/** What a row of a cache was made from. */
interface ReadText {
  /** Its tokens. */
  readonly tokens: number[];
  /** Whether it was read as a text beyond the length to which keys and values are of use to longer ones. */
  readonly isLong: boolean;
}

/** Caches begin at this length where more may be needed. */
const firstLength = 256;

/** Reads tokens with one model. */
export class Decoder {
  /** The architecture. */
  readonly backbone: Backbone;
  /** What the model runs on. */
  readonly backend: Backend;
  /** The programs, which all rows share. */
  readonly programs: ProgramStore;

  /** Prepares to read; nothing is compiled yet. */
  constructor(backbone: Backbone, backend: Backend) {
    this.backbone = backbone;
    this.backend = backend;
    this.programs = new ProgramStore(backend);
  }

  /** Makes rows with an empty cache. */
  open(request: CacheRequest): Rows {
    return new Rows(this, request);
  }

  /** Frees the programs; rows continue with new ones. */
  dispose(): void {
    this.programs.dispose();
  }
}

/** Rows of tokens that are being read: a cache, which grows with them and lives as long as they. */
export class Rows {
  readonly #decoder: Decoder;
  readonly #mostLength: number;
  #shape: CacheShape;
  #values: Value[] = [];
  /** One per row; none where no text is ever read again. */
  #texts: readonly ReadText[] = [];

  /** Prepares an empty cache; `Decoder.open` does. */
  constructor(decoder: Decoder, { batch, mostTokens, comparesHidden = false }: CacheRequest) {
    this.#decoder = decoder;
    this.#mostLength = cacheBucket(mostTokens);
    this.#shape = { batch, length: 0, comparesHidden };
  }

  /** The number of rows. */
  get batch(): number {
    return this.#shape.batch;
  }

  /** How many tokens of each row the cache has room for. */
  get length(): number {
    return this.#shape.length;
  }

  /** Reads prompts, one per row, into the empty cache, with the images that their first tokens stand for. */
  async prefill(prompts: readonly (readonly number[])[], images?: HostTensor<"float32">): Promise<Prediction> {
    const { batch } = this.#shape;
    const longest = Math.max(...prompts.map((prompt) => prompt.length));
    const time = promptBucket(longest);
    const length = Math.max(cacheBucket(longest + 1), Math.min(firstLength, this.#mostLength));
    this.#shape = { ...this.#shape, length };
    this.#values = this.#allocate(this.#shape);
    const tokenIds = hostZeros("int32", [batch, time]);
    prompts.forEach((prompt, row) => tokenIds.data.set(prompt, row * time));
    const lengths = hostTensor("int32", [batch], Int32Array.from(prompts, (prompt) => prompt.length));
    const { backbone, programs } = this.#decoder;
    const { rereadBeyond } = backbone;
    this.#texts = rereadBeyond === Infinity
      ? []
      : prompts.map((prompt) => ({ tokens: [...prompt], isLong: prompt.length > rereadBeyond }));
    const imageCount = images?.shape[0] ?? 0;
    const trace = () => tracePrefill(backbone, this.#shape, time, imageCount);
    const key = `prefill ${time} ${shapeKey(this.#shape)} ${imageCount}`;
    const inputs = { tokenIds, lengths, ...(images === undefined ? {} : { images }) };
    return await programs.run(key, trace, this.#values, inputs) as unknown as Prediction;
  }

  /** Reads one token per row, at the given positions. */
  async decode(tokens: Int32Array<ArrayBuffer>, positions: Int32Array<ArrayBuffer>): Promise<Prediction> {
    await this.#rereadOutgrown(tokens, positions);
    const { batch } = this.#shape;
    const needed = Math.max(...positions) + 1;
    if (needed > this.length) await this.#transfer({ ...this.#shape, length: cacheBucket(needed) });
    const { programs } = this.#decoder;
    // What the longer cache will need is compiled beside the last steps of this one.
    const longer = { ...this.#shape, length: 2 * this.length };
    if (needed > 0.75 * this.length && longer.length <= this.#mostLength) {
      programs.prepare(...this.#decodeProgram(longer));
    }
    return await programs.run(...this.#decodeProgram(this.#shape), this.#values, {
      tokenIds: hostTensor("int32", [batch], tokens),
      positions: hostTensor("int32", [batch], positions),
    }) as unknown as Prediction;
  }

  /** Makes row i continue from what row `sources[i]` has read; there may be more rows afterwards, or fewer. */
  async select(sources: readonly number[]): Promise<void> {
    if (sources.length === this.batch && sources.every((source, row) => source === row)) return;
    await this.#transfer({ ...this.#shape, batch: sources.length }, sources);
    if (this.#texts.length === 0) return;
    this.#texts = sources.map((source) => {
      const { tokens, isLong } = this.#texts[source]!;
      return { tokens: [...tokens], isLong };
    });
  }

  /** Frees the cache. */
  dispose(): void {
    for (const value of this.#values) value.dispose();
    this.#values = [];
  }

  /** Reads every row again from its start, the tokens that come next included, where one becomes a long text by them. */
  async #rereadOutgrown(next: Int32Array, positions: Int32Array): Promise<void> {
    const { rereadBeyond } = this.#decoder.backbone;
    this.#texts.forEach(({ tokens }, row) => tokens.splice(positions[row]!, Infinity, next[row]!));
    if (this.#texts.every(({ tokens, isLong }) => tokens.length > rereadBeyond === isLong)) return;
    const texts = this.#texts.map(({ tokens }) => tokens);
    this.dispose();
    disposePrediction(await this.prefill(texts));
  }

  #decodeProgram(shape: CacheShape): [key: string, trace: () => ReturnType<typeof traceDecode>] {
    const { backbone } = this.#decoder;
    return [`decode ${shapeKey(shape)}`, () => traceDecode(backbone, shape)];
  }

  /** Moves to a cache of another shape, or moves the rows of this one; rows stay in order unless it is said from where each comes. */
  async #transfer(
    target: CacheShape,
    sources: readonly number[] = Array.from({ length: target.batch }, (_, row) => row),
  ): Promise<void> {
    const { backbone, programs } = this.#decoder;
    const from = this.#shape;
    const [old, fresh] = shapeKey(from) === shapeKey(target) ? [[], this.#values] : [
      this.#values,
      this.#allocate(target),
    ];
    const rows = hostTensor("int32", [target.batch], Int32Array.from(sources));
    const values = [...old, ...fresh];
    const key = `transfer ${shapeKey(from)} to ${shapeKey(target)}`;
    await programs.run(key, () => traceTransfer(backbone, from, target), values, { rows });
    values.slice(0, old.length).forEach((value) => value.dispose());
    this.#values = values.slice(old.length);
    this.#shape = target;
  }

  #allocate(shape: CacheShape): Value[] {
    const { backbone, backend } = this.#decoder;
    const { variables } = cacheSlots(backbone, shape);
    for (const variable of variables) putZeros(variable, backend, whereOf(variable));
    return variables.map(({ value }) => value!);
  }
}
