/** Scoring texts: the logits of every token, or its loss, which is computed without ever holding all logits. */
import { concat, crossEntropy, type HostTensor, hostTensor, type Tensor, type TensorType } from "@tessera/core";
import { traceProgram } from "@tessera/nn";
import type { Backend } from "@tessera/runtime";
import { checkOptions } from "@tessera/text";
import type { Backbone } from "../architecture/backbone.ts";
import { checkTokens, imagesOfRows } from "../generation/check_inputs.ts";
import { ProgramStore } from "../generation/program_store.ts";
import { scoreInputNames } from "./option_names.ts";

/** What is computed for each token. */
export type ScoreMode = "logits" | "loss";

/** Texts to score. */
export interface ScoreInputs {
  /** The tokens, [batch, time]; rows may be padded on the right. */
  readonly tokenIds: HostTensor<"int32"> | readonly (readonly number[])[];
  /** Where there are tokens and no padding, [batch, time]; everywhere unless given. */
  readonly paddingMask?: HostTensor<"bool">;
  /** The images that the rows begin with, values from -1 to 1, [images, size, size, 3], for a model that takes any. */
  readonly images?: HostTensor<"float32">;
  /** How many tokens of each row are its prompt, which a model that takes images reads as a prefix; all unless given. */
  readonly promptLengths?: readonly number[];
}

/** Texts that are scored, within a program that is being traced. */
export interface ScoredBatch {
  /** The tokens, int32 [batch, time]. */
  readonly tokenIds: Tensor;
  /** Where there are tokens and no padding, bool [batch, time]. */
  readonly paddingMask: Tensor;
  /** The images, float32 [images, size, size, 3]. */
  readonly images?: Tensor;
  /** The end of each row's prefix, int32 [batch]. */
  readonly prefix?: Tensor;
}

/** What scoring needs of a model, within a program that is being traced. */
export interface Scored {
  /** The final hidden states of tokens, [batch, time, hidden]. */
  hidden(inputs: ScoredBatch): Tensor;
  /** The logits of hidden states, [batch, time, vocabulary]. */
  logits(hidden: Tensor): Tensor;
}

/**
 * Texts that a model is to score, as it takes them.
 *
 * @throws {TypeError} when an input has an unknown name.
 * @throws {RangeError} when a row is longer than the context, or a token is not in the vocabulary.
 * @throws what `imagesOfRows` throws.
 */
export function checkedTexts(
  inputs: ScoreInputs,
  lm: { readonly name: string; readonly backbone: Backbone; readonly contextLength: number },
): ScoreInputs & { readonly tokenIds: HostTensor<"int32"> } {
  checkOptions(`score with "${lm.name}"`, inputs, scoreInputNames);
  const tokenIds = "data" in inputs.tokenIds ? inputs.tokenIds : tokenTensor(inputs.tokenIds);
  const [batch, time] = tokenIds.shape as [number, number];
  if (time > lm.contextLength) {
    throw new RangeError(`Cannot score ${time} tokens with "${lm.name}": its context holds ${lm.contextLength}`);
  }
  checkTokens(tokenIds.data, lm);
  const rows = Array.from({ length: batch }, (_, row) => tokenIds.data.subarray(row * time, (row + 1) * time));
  const images = imagesOfRows(inputs.images, rows, lm);
  return { ...inputs, tokenIds, ...(images === undefined ? {} : { images }) };
}

/** How many positions' logits exist at once while losses are computed. */
const chunk = 128;

/** Scores texts with one model; programs are kept for the last shapes. */
export class Scorer {
  readonly #model: Scored;
  readonly #programs: ProgramStore;

  /** Prepares to score; nothing is compiled yet. */
  constructor(model: Scored, backend: Backend) {
    this.#model = model;
    this.#programs = new ProgramStore(backend);
  }

  /** The logits, float32 [batch, time, vocabulary], or the losses, float32 [batch, time], of tokens that fit the model. */
  async score(
    texts: ScoreInputs & { readonly tokenIds: HostTensor<"int32"> },
    mode: ScoreMode,
  ): Promise<HostTensor<"float32">> {
    const { tokenIds, images } = texts;
    const { shape } = tokenIds;
    const [batch, time] = shape as [number, number];
    const prefix = hostTensor("int32", [batch], Int32Array.from(texts.promptLengths ?? new Array(batch).fill(time)));
    const inputs = {
      tokenIds,
      paddingMask: texts.paddingMask ?? hostTensor("bool", shape, new Uint8Array(tokenIds.data.length).fill(1)),
      prefix,
      ...(images === undefined ? {} : { images }),
    };
    const trace = () => ({ traced: this.#trace(inputs, mode), variables: [] });
    const key = `${mode} ${shape.join("x")} ${images?.shape[0] ?? 0}`;
    const { scores } = await this.#programs.run(key, trace, [], inputs);
    try {
      return await scores!.read() as HostTensor<"float32">;
    } finally {
      scores!.dispose();
    }
  }

  /** Frees programs. */
  dispose(): void {
    this.#programs.dispose();
  }

  #trace(types: { readonly [K in keyof ScoredBatch]: TensorType }, mode: ScoreMode) {
    return traceProgram("score", types as { readonly [K in keyof ScoredBatch]-?: TensorType }, (inputs) => {
      const hidden = this.#model.hidden(inputs);
      if (mode === "logits") return { scores: this.#model.logits(hidden).cast("float32") };
      return { scores: this.#losses(hidden, inputs).mul(inputs.paddingMask.cast("float32")) };
    });
  }

  /** The loss of each token [batch, time] given those before it; nothing comes before the first, whose loss is 0. */
  #losses(hidden: Tensor, { tokenIds }: { readonly tokenIds: Tensor }): Tensor {
    const time = tokenIds.shape[1]!;
    const parts = [tokenIds.sliceAxis(1, 0, 1).cast("float32").mul(0)];
    for (let start = 0; start < time - 1; start += chunk) {
      const end = Math.min(start + chunk, time - 1);
      const logits = this.#model.logits(hidden.sliceAxis(1, start, end)).cast("float32");
      // The tokens of images may lie beyond the vocabulary; nothing predicts them, and their loss is 0.
      const labels = tokenIds.sliceAxis(1, start + 1, end + 1);
      const known = labels.less(logits.shape.at(-1)!);
      const losses = crossEntropy(logits, labels.mul(known.cast("int32")));
      parts.push(losses.mul(known.cast("float32")));
    }
    return concat(parts, 1);
  }
}

/**
 * Rows of tokens of one length as a tensor.
 *
 * @throws {RangeError} when there are none, or when lengths differ.
 */
export function tokenTensor(rows: readonly (readonly number[])[]): HostTensor<"int32"> {
  const time = rows[0]?.length ?? 0;
  if (time === 0 || rows.some((row) => row.length !== time)) {
    throw new RangeError(
      `Cannot score rows of ${rows.map((row) => row.length).join(", ") || "no"} tokens: ` +
        "give at least one token, and pad rows to one length, with a padding mask",
    );
  }
  return hostTensor("int32", [rows.length, time], Int32Array.from(rows.flat()));
}
