/**
 * Text generation over a preallocated key/value cache.
 *
 * Two programs: *prefill* reads the whole prompts at once, padded to a bucket, and *decode* reads one token per row and is
 * run again and again, so that every step costs the same. Prompts of unequal lengths share a batch: padding is on the right, and
 * each row writes to the cache from its own length on.
 */
import { hostTensor, iota, type Tensor, toFloat32 } from "@tessera/core";
import { compileProgram, type Program, type TracedProgram, traceProgram } from "@tessera/nn";
import type { Backend, Buffer } from "@tessera/runtime";
import type { Backbone, CacheLayer } from "./backbone.ts";
import { allocateCache, disposeCache, shownPositions } from "./cache.ts";
import { sampleToken, type Sampling } from "./sampling.ts";

/** What to generate, as tokens. */
export interface GenerateTokens {
  /** The prompts, each with at least one token. */
  readonly prompts: readonly (readonly number[])[];
  /** The most tokens to add to a prompt. */
  readonly maxNewTokens: number;
  /** The most tokens of prompt and answer together; longer than each prompt. */
  readonly maxLength: number;
  /** Tokens that end a row; they are not part of the result. */
  readonly stopTokenIds: ReadonlySet<number>;
  /** How tokens are chosen. */
  readonly sampling: Sampling;
  /** Ends generation after the token under way. */
  readonly signal?: AbortSignal;
  /** Called after each step with the number of steps done and the most that there can be. */
  readonly onStep?: (done: number, total: number) => void;
}

/** Lengths are rounded up to a multiple of this, so that few programs serve prompts of all lengths. */
const bucket = 32;

/** The most shapes of batches whose caches and programs are kept. */
const mostSessions = 4;

function roundUp(length: number): number {
  return Math.ceil(length / bucket) * bucket;
}

/** Adds what rows `at`, of each row's hidden states [batch, time, hidden], predict: logits and the likeliest token. */
function predict(backbone: Backbone, hidden: Tensor, at: Tensor): { logits: Tensor; token: Tensor } {
  const [batch, time, width] = hidden.shape as [number, number, number];
  const rows = iota([batch], 0).mul(time).add(at);
  const logits = backbone.logits(hidden.reshape([batch * time, width]).gather(rows)).cast("float32");
  return { logits, token: logits.argMax(-1) };
}

/** Reads prompts [batch, time] of the given lengths into an empty cache, and predicts the token after each. */
function tracePrefill(
  backbone: Backbone,
  cache: readonly CacheLayer[],
  batch: number,
  time: number,
  length: number,
): TracedProgram {
  const types = {
    tokenIds: { shape: [batch, time], dtype: "int32" },
    lengths: { shape: [batch], dtype: "int32" },
  } as const;
  return traceProgram("prefill", types, ({ tokenIds, lengths }) => {
    const keyPositions = shownPositions(iota([batch, length], 1).less(lengths.reshape([batch, 1])));
    const starts = lengths.mul(0);
    const positions = iota([batch, time], 1);
    const hidden = backbone.hidden({ tokenIds, positions, keyPositions, cache: { layers: cache, starts } });
    return predict(backbone, hidden, lengths.sub(1));
  });
}

/** Reads one token per row at the given positions, and predicts the next. */
function traceDecode(backbone: Backbone, cache: readonly CacheLayer[], batch: number, length: number): TracedProgram {
  const types = {
    tokenIds: { shape: [batch], dtype: "int32" },
    positions: { shape: [batch], dtype: "int32" },
  } as const;
  return traceProgram("decode", types, ({ tokenIds, positions }) => {
    const at = positions.reshape([batch, 1]);
    const keyPositions = shownPositions(iota([batch, length], 1).lessEqual(at));
    const hidden = backbone.hidden({
      tokenIds: tokenIds.reshape([batch, 1]),
      positions: at,
      keyPositions,
      cache: { layers: cache, starts: positions },
    });
    return predict(backbone, hidden, positions.mul(0));
  });
}

interface Session {
  readonly cache: CacheLayer[];
  readonly prefill: Program;
  readonly decode: Program;
}

function disposeSession({ cache, prefill, decode }: Session): void {
  prefill.dispose();
  decode.dispose();
  disposeCache(cache);
}

/** Generates with one model; caches and programs are kept for the last few shapes of batches. */
export class Generator {
  readonly #backbone: Backbone;
  readonly #backend: Backend;
  readonly #sessions = new Map<string, Session>();
  /** The end of the calls before this one. */
  #turn: Promise<unknown> = Promise.resolve();

  /** Prepares to generate; nothing is compiled yet. */
  constructor(backbone: Backbone, backend: Backend) {
    this.#backbone = backbone;
    this.#backend = backend;
  }

  /** The tokens that follow each prompt, up to a stop token. Calls take turns, because those of one shape share a cache. */
  generate(request: GenerateTokens): Promise<number[][]> {
    const result = this.#turn.then(() => this.#generate(request));
    this.#turn = result.catch(() => {});
    return result;
  }

  async #generate(request: GenerateTokens): Promise<number[][]> {
    const { prompts, stopTokenIds, sampling, signal } = request;
    const batch = prompts.length;
    const lengths = Int32Array.from(prompts, (prompt) => prompt.length);
    const longest = Math.max(...lengths);
    // A short prompt has more room in the context than a long one.
    const room = lengths.map((length) => Math.min(request.maxNewTokens, request.maxLength - length));
    const steps = Math.max(...room);
    const width = roundUp(Math.max(...lengths.map((length, row) => length + room[row]!)));
    const { prefill, decode } = await this.#session(batch, roundUp(longest), width);
    const results: number[][] = prompts.map(() => []);
    const finished = prompts.map(() => false);
    const padded = new Int32Array(batch * roundUp(longest));
    prompts.forEach((prompt, row) => padded.set(prompt, row * roundUp(longest)));
    let outputs = await prefill.run({
      tokenIds: hostTensor("int32", [batch, roundUp(longest)], padded),
      lengths: hostTensor("int32", [batch], lengths),
    });
    for (let step = 0; step < steps; step++) {
      const next = await this.#choose(outputs, sampling, prompts, results);
      next.forEach((token, row) => {
        if (finished[row]) return;
        if (stopTokenIds.has(token)) finished[row] = true;
        else results[row]!.push(token);
        if (step + 1 >= room[row]!) finished[row] = true;
      });
      request.onStep?.(step + 1, steps);
      if (signal?.aborted || finished.every(Boolean)) break;
      outputs = await decode.run({
        tokenIds: hostTensor("int32", [batch], next),
        // A row that has finished goes on with the others, at a place that it has no more use for.
        positions: hostTensor("int32", [batch], lengths.map((length) => Math.min(length + step, width - 1))),
      });
    }
    return results;
  }

  /** Frees caches and programs. */
  dispose(): void {
    for (const session of this.#sessions.values()) disposeSession(session);
    this.#sessions.clear();
  }

  async #choose(
    outputs: Readonly<Record<string, Buffer>>,
    sampling: Sampling,
    prompts: GenerateTokens["prompts"],
    results: readonly number[][],
  ): Promise<Int32Array<ArrayBuffer>> {
    const { logits, token } = outputs as { logits: Buffer; token: Buffer };
    try {
      if (sampling.temperature === 0) return Int32Array.from((await token.read()).data);
      const values = toFloat32(await logits.read());
      const width = this.#backbone.vocabularySize;
      return Int32Array.from(
        prompts,
        (_, row) => sampleToken(values.subarray(row * width, (row + 1) * width), sampling, row, results[row]!.length),
      );
    } finally {
      logits.dispose();
      token.dispose();
    }
  }

  async #session(batch: number, time: number, length: number): Promise<Session> {
    const key = `${batch} ${time} ${length}`;
    const known = this.#sessions.get(key);
    if (known !== undefined) {
      // Moved to the end: the first is the one that has not been used for longest.
      this.#sessions.delete(key);
      this.#sessions.set(key, known);
      return known;
    }
    const [oldest] = this.#sessions;
    if (oldest !== undefined && this.#sessions.size >= mostSessions) {
      this.#sessions.delete(oldest[0]);
      disposeSession(oldest[1]);
    }
    const cache = allocateCache(this.#backbone, batch, length, this.#backend);
    const [prefill, decode] = await Promise.all([
      compileProgram(tracePrefill(this.#backbone, cache, batch, time, length), this.#backend),
      compileProgram(traceDecode(this.#backbone, cache, batch, length), this.#backend),
    ]);
    const session = { cache, prefill, decode };
    this.#sessions.set(key, session);
    return session;
  }
}
