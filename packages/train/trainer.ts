/** Training and evaluation over data sets: what `compile`, `fit` and `evaluate` of a model do. */
import type { WorkListener } from "@tessera/text";
import { bytesOf } from "@tessera/core";
import type { Distribution } from "@tessera/mesh";
import {
  compileProgram,
  disposeValues,
  distributionOf,
  type Program,
  putZeros,
  rowMultiple,
  type TracedProgram,
  type Variable,
  whereOf,
} from "@tessera/nn";
import type { Backend } from "@tessera/runtime";
import { checkOptions } from "@tessera/text";
import { checkTokens } from "./check.ts";
import { checkCapacity } from "./capacity.ts";
import { type Checkpointer, type CheckpointOptions, openCheckpoints } from "./checkpoints/checkpointer.ts";
import { type Batch, batches, type Dataset } from "./data/batches.ts";
import {
  compiling,
  disposePrograms,
  type EvaluateOptions,
  type Evaluation,
  Evaluator,
  inputsOf,
  numbers,
} from "./evaluator.ts";
import { compileSettingNames, type CompileSettings, fitOptionNames, type FitOptions } from "./fit_options.ts";
import type { EpochReport, Progress, StepReport, TrainingHistory } from "./history.ts";
import {
  hostScalar,
  makeAccumulators,
  traceAccumulate,
  traceApply,
  traceTrainStep,
  type TrainableModel,
  trainableVariables,
} from "./step.ts";

/** What an update gives. */
interface Update {
  readonly loss: number;
  readonly counted: number;
  readonly gradientNorm: number;
}

function nextEpoch(progress: Progress): void {
  progress.epoch++;
  progress.epochSteps = 0;
  progress.lossSum = 0;
  progress.tokenSum = 0;
}

function realTokens(batch: Batch): number {
  return batch.paddingMask.data.reduce((sum, real) => sum + real, 0);
}

/** Trains and evaluates one model. Programs are compiled when a batch shape is first seen, and kept. */
export class Trainer {
  /** How the model is trained. */
  readonly settings: CompileSettings;
  readonly #model: TrainableModel;
  readonly #backend: Backend;
  readonly #evaluator: Evaluator;
  readonly #programs = new Map<string, Promise<Program>>();
  #trained: readonly Variable[] = [];
  #distribution: Distribution | null = null;
  readonly #fitting = new Set<string>();
  #accumulators = new Map<Variable, Variable>();
  #updates = 0;
  /** Who is told of the work of the `fit` under way. */
  #listener: WorkListener | undefined;

  /**
   * Prepares to train a model; nothing is compiled yet.
   *
   * @throws {TypeError} when a setting has an unknown name, or there is no optimizer.
   * @throws {RangeError} when the number of accumulation steps is out of range.
   */
  constructor(model: TrainableModel, backend: Backend, settings: CompileSettings) {
    checkOptions(`compile "${model.name}"`, settings, compileSettingNames);
    if (typeof settings.optimizer?.update !== "function") {
      throw new TypeError(
        `Cannot compile "${model.name}": "optimizer" is ${settings.optimizer}, expected an optimizer such as adamW()`,
      );
    }
    const every = settings.gradientAccumulationSteps ?? 1;
    if (!Number.isInteger(every) || every < 1) {
      throw new RangeError(
        `Cannot compile "${model.name}": gradientAccumulationSteps must be a whole number of at least 1, found ${every}`,
      );
    }
    this.#model = model;
    this.#backend = backend;
    this.#evaluator = new Evaluator(model, backend);
    this.settings = settings;
  }

  /** The number of updates made so far. */
  get updates(): number {
    return this.#updates;
  }

  /**
   * Trains on a data set.
   *
   * @throws {TypeError} when an option has an unknown name.
   * @throws {RangeError} when the number of epochs or of steps is out of range, when the data has tokens that the model lacks, or
   * when a batch is larger than the devices can take, with one that fits.
   * @throws {Error} when nothing is trainable, when a variable has no value, when there is a checkpoint that the training cannot
   * resume from, or when the loss is not a number, naming the update.
   */
  async fit(dataset: Dataset, options: FitOptions = {}): Promise<TrainingHistory> {
    checkOptions(`train "${this.#model.name}"`, options, fitOptionNames);
    const { epochs = 1, seed, signal, checkpoint, onProgress } = options;
    this.#listener = onProgress;
    for (const [name, value] of [["epochs", epochs], ["maxSteps", options.maxSteps ?? 1]] as const) {
      if (Number.isInteger(value) && value >= 1) continue;
      throw new RangeError(
        `Cannot train "${this.#model.name}": ${name} must be a whole number of at least 1, found ${value}`,
      );
    }
    await checkTokens(this.#model, dataset);
    await this.#checkFits(dataset);
    await this.#prepare();
    const every = this.settings.gradientAccumulationSteps ?? 1;
    const perEpoch = Math.ceil(dataset.statistics.batches / every);
    const steps = Math.min(options.maxSteps ?? Infinity, perEpoch * epochs);
    const checkpoints = checkpoint === undefined ? null : await this.#openCheckpoints(checkpoint, dataset, seed, steps);
    const progress = this.#begin(checkpoints?.resumed ?? null);
    const { history } = progress;
    const done = () => signal?.aborted === true || history.steps.length >= steps;
    for (; progress.epoch < epochs && (!done() || progress.epochSteps > 0); nextEpoch(progress)) {
      const { epoch, epochSteps } = progress;
      const order = { epoch, skip: epochSteps * every, ...(seed === undefined ? {} : { seed }) };
      for (const group of done() ? [] : groups(batches(dataset, order), every)) {
        const start = performance.now();
        const update = this.#updates;
        const { loss, counted, gradientNorm } = await this.#step(group, checkpoints);
        if (!Number.isFinite(loss)) {
          throw new Error(
            `Cannot continue training "${this.#model.name}": the loss of update ${update} is ${loss}; lower the learning rate ` +
              `(${this.settings.optimizer.learningRate(update)}) or set globalClipNorm`,
          );
        }
        progress.updates = this.#updates;
        progress.epochSteps++;
        progress.lossSum += loss * counted;
        progress.tokenSum += counted;
        const tokens = group.reduce((sum, batch) => sum + realTokens(batch), 0);
        const report: StepReport = {
          step: history.steps.length + 1,
          steps,
          epoch,
          loss,
          tokens,
          tokensPerSecond: tokens / ((performance.now() - start) / 1000),
          learningRate: this.settings.optimizer.learningRate(update),
          gradientNorm,
        };
        history.steps.push(report);
        onProgress?.({ phase: "train", done: report.step, total: steps, unit: "steps" });
        await options.onStep?.(report);
        await checkpoints?.saveWhenDue(progress);
        if (done()) break;
      }
      // Before the report of an epoch that is cut short, which it will have again when it is over.
      if (done()) await checkpoints?.save(progress);
      const validation = options.validation === undefined || signal?.aborted
        ? {}
        : { validation: await this.evaluate(options.validation, onProgress === undefined ? {} : { onProgress }) };
      const report: EpochReport = { epoch, loss: progress.lossSum / Math.max(progress.tokenSum, 1), ...validation };
      history.epochs.push(report);
      await options.onEpoch?.(report);
    }
    await checkpoints?.save(progress);
    return history;
  }

  /** The loss and accuracy over a data set, without training. */
  async evaluate(dataset: Dataset, options: EvaluateOptions = {}): Promise<Evaluation> {
    return await this.#evaluator.evaluate(dataset, options);
  }

  /** The size of the optimizer's variables, in bytes, once training has begun. */
  get optimizerBytes(): number {
    return this.settings.optimizer.variables.reduce((sum, { stored }) => sum + bytesOf(stored), 0);
  }

  /** Frees the programs, the slots and the accumulators. */
  dispose(): void {
    this.dropPrograms();
    disposeValues([...this.settings.optimizer.variables, ...this.#accumulators.values()]);
  }

  /** Frees the programs, because the model's layers changed; the next call compiles new ones. */
  dropPrograms(): void {
    disposePrograms(this.#programs);
    this.#evaluator.dispose();
  }

  /**
   * Makes the optimizer's variables and the accumulators now; `fit` makes them otherwise.
   *
   * @throws {Error} when nothing is trainable, or when a variable has no value.
   */
  async build(): Promise<void> {
    await this.#prepare();
  }

  /** Makes slots, and drops programs that were compiled for other trainable variables or for where they lay before. */
  async #prepare(): Promise<void> {
    const variables = trainableVariables(this.#model);
    if (variables.length === 0) {
      throw new Error(
        `Cannot train "${this.#model.name}": none of its variables is trainable; enable LoRA or unfreeze some`,
      );
    }
    const same = variables.length === this.#trained.length &&
      variables.every((variable, i) => variable === this.#trained[i]);
    const distribution = distributionOf(variables);
    if (same && distribution !== this.#distribution) this.dropPrograms();
    this.#distribution = distribution;
    if (!same) {
      this.dropPrograms();
      disposeValues(this.#accumulators.values());
      this.#accumulators = new Map();
      this.#trained = variables;
    }
    await this.settings.optimizer.build(variables, this.#backend);
    if ((this.settings.gradientAccumulationSteps ?? 1) > 1 && this.#accumulators.size === 0) {
      this.#accumulators = makeAccumulators(this.#model, this.#backend);
    }
  }

  /** Refuses batches that the devices cannot take, before any of them is trained on. */
  async #checkFits({ examples, statistics: { shapes } }: Dataset): Promise<void> {
    const { batch, time } = shapes.reduce((most, shape) =>
      shape.batch * shape.time > most.batch * most.time ? shape : most
    );
    const hasImages = examples[0]!.image !== undefined;
    const key = `${batch}x${time} ${hasImages} ${trainableVariables(this.#model).length}`;
    if (this.#fitting.has(key)) return;
    await checkCapacity({
      model: this.#model,
      optimizer: this.settings.optimizer,
      backend: this.#backend,
      distribution: distributionOf(this.#model.variables),
      batchSize: batch,
      length: time,
      hasImages,
    });
    this.#fitting.add(key);
  }

  async #openCheckpoints(
    options: CheckpointOptions,
    dataset: Dataset,
    seed: number | undefined,
    steps: number,
  ): Promise<Checkpointer> {
    const { optimizer, gradientAccumulationSteps = 1 } = this.settings;
    return await openCheckpoints(options, {
      model: this.#model,
      dataset,
      optimizer,
      gradientAccumulationSteps,
      seed,
      steps,
      variables: [...this.#trained, ...optimizer.variables],
      backend: this.#backend,
    });
  }

  /** How far training has come at its beginning, or where it resumes. */
  #begin(resumed: Progress | null): Progress {
    if (resumed === null) {
      const history = { steps: [], epochs: [] };
      return { updates: this.#updates, epoch: 0, epochSteps: 0, lossSum: 0, tokenSum: 0, history };
    }
    this.#updates = resumed.updates;
    // A step that failed may have left part of its gradients.
    for (const accumulator of this.#accumulators.values()) putZeros(accumulator, this.#backend, whereOf(accumulator));
    return resumed;
  }

  #program(key: string, trace: () => TracedProgram): Promise<Program> {
    const known = this.#programs.get(key) ?? compiling(() => compileProgram(trace(), this.#backend), this.#listener);
    this.#programs.set(key, known);
    return known;
  }

  #inputs(batch: Batch) {
    return inputsOf(batch, rowMultiple(this.#model.variables));
  }

  #scalars() {
    const scalars = this.settings.optimizer.scalars(this.#updates++);
    return Object.fromEntries(Object.entries(scalars).map(([name, value]) => [name, hostScalar(value)]));
  }

  /** One update. Throws what goes wrong on the backend, with what is saved of the training. */
  async #step(group: readonly Batch[], checkpoints: Checkpointer | null): Promise<Update> {
    try {
      return (this.settings.gradientAccumulationSteps ?? 1) === 1
        ? await this.#update(group[0]!)
        : await this.#accumulate(group);
    } catch (error) {
      throw checkpoints === null ? error : checkpoints.explain(error);
    }
  }

  async #update(batch: Batch): Promise<Update> {
    const inputs = this.#inputs(batch);
    const [rows, time] = inputs.tokenIds.shape as [number, number];
    const hasImages = batch.images !== undefined;
    const program = await this.#program(
      `train ${rows}x${time} ${hasImages}`,
      () => traceTrainStep(this.#model, this.settings.optimizer, rows, time, undefined, hasImages),
    );
    const found = await numbers(await program.run({ ...inputs, ...this.#scalars() }));
    return { loss: found.loss!, counted: found.tokens!, gradientNorm: found.gradientNorm! };
  }

  async #accumulate(group: readonly Batch[]): Promise<Update> {
    let [loss, tokens] = [0, 0];
    for (const batch of group) {
      const inputs = this.#inputs(batch);
      const [rows, time] = inputs.tokenIds.shape as [number, number];
      const hasImages = batch.images !== undefined;
      const program = await this.#program(
        `accumulate ${rows}x${time} ${hasImages}`,
        () => traceAccumulate(this.#model, this.#accumulators, rows, time, hasImages),
      );
      const sums = await numbers(await program.run(inputs));
      loss += sums.loss!;
      tokens += sums.tokens!;
    }
    const program = await this.#program("apply", () => traceApply(this.settings.optimizer, this.#accumulators));
    const { gradientNorm } = await numbers(await program.run({ tokens: hostScalar(tokens), ...this.#scalars() }));
    return { loss: loss / Math.max(tokens, 1), counted: tokens, gradientNorm: gradientNorm! };
  }
}

/** Consecutive items in groups of `size`; the last group may be smaller. */
function* groups<T>(items: Iterable<T>, size: number): Generator<T[]> {
  let group: T[] = [];
  for (const item of items) {
    group.push(item);
    if (group.length === size) {
      yield group;
      group = [];
    }
  }
  if (group.length > 0) yield group;
}
