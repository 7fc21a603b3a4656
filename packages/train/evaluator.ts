/** Evaluation over data sets, and how batches enter programs. */
import type { WorkListener } from "@tessera/text";
import { type DType, type HostTensor, hostZeros, toFloat32 } from "@tessera/core";
import { compileProgram, type Program, rowMultiple } from "@tessera/nn";
import type { Backend, DeviceBuffer } from "@tessera/runtime";
import { checkOptions, type OptionNames } from "@tessera/text";
import { checkTokens } from "./check.ts";
import { type Batch, batches, type Dataset } from "./data/batches.ts";
import { traceEvaluate, type TrainableModel } from "./step.ts";

/** Losses and accuracy over a data set. */
export interface Evaluation {
  /** The mean loss over the tokens that count. */
  readonly loss: number;
  /** The share of the tokens that count whose likeliest prediction is right. */
  readonly accuracy: number;
  /** The number of tokens that count. */
  readonly tokens: number;
}

/** How a data set is evaluated. */
export interface EvaluateOptions {
  /** Told of each program that is compiled and each batch that is done. */
  readonly onProgress?: WorkListener;
  /** Ends it before the next batch: the call throws the signal's reason. */
  readonly signal?: AbortSignal;
}

/** The names of `EvaluateOptions`. */
export const evaluateOptionNames: OptionNames<EvaluateOptions> = { onProgress: true, signal: true };

/** The inputs of a program that a batch gives, filled up with empty rows, which count for nothing, to a multiple of `rows`. */
export function inputsOf(
  { tokenIds, lossMask, paddingMask, images }: Batch,
  rows: number,
): Pick<Batch, "tokenIds" | "lossMask" | "paddingMask" | "images"> {
  return {
    tokenIds: filled(tokenIds, rows),
    lossMask: filled(lossMask, rows),
    paddingMask: filled(paddingMask, rows),
    ...(images === undefined ? {} : { images: filled(images, rows) }),
  };
}

function filled<D extends DType>(tensor: HostTensor<D>, rows: number): HostTensor<D> {
  const [batch, ...rest] = tensor.shape as [number, ...number[]];
  const missing = (rows - batch % rows) % rows;
  if (missing === 0) return tensor;
  const whole = hostZeros(tensor.dtype, [batch + missing, ...rest]);
  whole.data.set(tensor.data);
  return whole;
}

/** Reads scalar outputs and frees them. */
export async function numbers(outputs: Readonly<Record<string, DeviceBuffer>>): Promise<Record<string, number>> {
  const read = await Promise.all(
    Object.entries(outputs).map(async ([name, buffer]) => {
      const value = toFloat32(await buffer.read())[0]!;
      buffer.dispose();
      return [name, value] as const;
    }),
  );
  return Object.fromEntries(read);
}

/** Frees programs, those too that are still being compiled. */
export function disposePrograms(programs: Map<string, Promise<Program>>): void {
  // A program that failed to compile has told its caller so already.
  for (const program of programs.values()) void program.then((compiled) => compiled.dispose(), () => {});
  programs.clear();
}

/** Compiles a program, of which a listener is told before and after. */
export async function compiling(make: () => Promise<Program>, onProgress: WorkListener | undefined): Promise<Program> {
  const tell = (done: number) => onProgress?.({ phase: "compile", done, total: 1, unit: "programs" });
  tell(0);
  const program = await make();
  tell(1);
  return program;
}

/** Evaluates one model. Programs are compiled when a batch shape is first seen, and kept. */
export class Evaluator {
  readonly #model: TrainableModel;
  readonly #backend: Backend;
  readonly #programs = new Map<string, Promise<Program>>();

  /** Prepares to evaluate a model; nothing is compiled yet. */
  constructor(model: TrainableModel, backend: Backend) {
    this.#model = model;
    this.#backend = backend;
  }

  /**
   * The loss and accuracy over a data set.
   *
   * @throws {TypeError} when an option has an unknown name.
   * @throws {RangeError} when the data has tokens that the model lacks.
   */
  async evaluate(dataset: Dataset, options: EvaluateOptions = {}): Promise<Evaluation> {
    checkOptions(`evaluate "${this.#model.name}"`, options, evaluateOptionNames);
    const { onProgress, signal } = options;
    signal?.throwIfAborted();
    await checkTokens(this.#model, dataset);
    let [loss, tokens, correct, done] = [0, 0, 0, 0];
    for (const batch of batches(dataset)) {
      signal?.throwIfAborted();
      const inputs = inputsOf(batch, rowMultiple(this.#model.variables));
      const [rows, time] = inputs.tokenIds.shape as [number, number];
      const program = await this.#program([rows, time], inputs.images !== undefined, onProgress);
      const sums = await numbers(await program.run(inputs));
      loss += sums.loss!;
      tokens += sums.tokens!;
      correct += sums.correct!;
      onProgress?.({ phase: "evaluate", done: ++done, total: dataset.statistics.batches, unit: "batches" });
    }
    const count = Math.max(tokens, 1);
    return { loss: loss / count, accuracy: correct / count, tokens };
  }

  /** Frees the programs; the next call compiles new ones. */
  dispose(): void {
    disposePrograms(this.#programs);
  }

  #program(
    [rows, time]: readonly [number, number],
    hasImages: boolean,
    onProgress: WorkListener | undefined,
  ): Promise<Program> {
    const key = `${rows}x${time} ${hasImages}`;
    const make = () => compileProgram(traceEvaluate(this.#model, rows, time, hasImages), this.#backend);
    const known = this.#programs.get(key) ?? compiling(make, onProgress);
    this.#programs.set(key, known);
    return known;
  }
}
