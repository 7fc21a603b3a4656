/**
 * The programs of training and evaluation, one per batch shape.
 *
 * A step is one program: forward, backward, clipping and the optimizer. With gradient accumulation it is two: one adds the
 * gradient of the *summed* loss to accumulators, the other divides by the number of tokens of all micro-batches and updates,
 * so that every token weighs the same however the batch was cut.
 */
import { type DType, full, gradients, type HostTensor, type Tensor, type TensorType } from "@tessera/core";
import { assign, putZeros, rowMultiple, type TracedProgram, traceProgram, Variable, whereOf, zeros } from "@tessera/nn";
import type { Backend } from "@tessera/runtime";
import { evaluationSums, languageModelLoss, type LossInputs, perToken } from "./losses.ts";
import type { ImageTokens } from "./data/image_layout.ts";
import type { Optimizer, StepScalars } from "./optimizer.ts";

/** The images that a model takes, at most one per row. */
export interface ModelImages extends ImageTokens {
  /** The side of an image, in pixels. */
  readonly size: number;
}

/** What a model is given of a batch, within a program that is being traced. */
export interface ForwardBatch {
  /** The tokens, int32 [batch, time]. */
  readonly tokenIds: Tensor;
  /** Which tokens are real, bool [batch, time]. */
  readonly paddingMask: Tensor;
  /** Which tokens count in the loss, float32 [batch, time]: the prompt ends where the first one stands. */
  readonly lossMask?: Tensor;
  /** The images, values from -1 to 1, float32 [batch, size, size, 3], where the batch has any. */
  readonly images?: Tensor;
}

/** A model that can be trained: variables, and hidden states and logits as functions of a batch. */
export interface TrainableModel {
  /** The name, for messages and tables. */
  readonly name: string;
  /** All variables, those of adapters included. */
  readonly variables: readonly Variable[];
  /** The number of tokens in the vocabulary. */
  readonly vocabularySize: number;
  /**
   * What else a checkpoint of its training should be of, as a record for JSON: settings that its variables do not show, such as the
   * scales of adapters; nothing when left out.
   */
  readonly identity?: Readonly<Record<string, unknown>>;
  /** The images that it takes; none when left out. */
  readonly images?: ModelImages | undefined;
  /** The final hidden states [batch, time, hidden] of tokens [batch, time]. */
  hidden(batch: ForwardBatch): Tensor;
  /** The logits [batch, some positions, vocabulary] of hidden states. */
  logits(hidden: Tensor): Tensor;
}

const scalar: TensorType = { shape: [], dtype: "float32" };
const scalarInputs = { learningRate: scalar, momentumCorrection: scalar, velocityCorrection: scalar };

/** Whether batches have images where nothing is said of them: where images stand before texts, each row has one. */
function takesImages({ images }: TrainableModel): boolean {
  return images?.place === "start";
}

function batchTypes({ images }: TrainableModel, batch: number, time: number, hasImages: boolean) {
  const type = <D extends DType>(dtype: D) => ({ shape: [batch, time], dtype });
  const types = { tokenIds: type("int32"), lossMask: type("float32"), paddingMask: type("bool") };
  if (images === undefined || !hasImages) return types;
  const { size } = images;
  return { ...types, images: { shape: [batch, size, size, 3], dtype: "float32" as const } };
}

/** What the loss reads of a model and a batch whose rows so many devices share. */
function lossInputs(
  model: TrainableModel,
  batch: ForwardBatch & Pick<LossInputs, "tokenIds" | "lossMask">,
  replicas = rowMultiple(model.variables),
): LossInputs {
  const { tokenIds, lossMask } = batch;
  const { vocabularySize } = model;
  const logits = (hidden: Tensor) => model.logits(hidden);
  return { hidden: model.hidden(batch), logits, vocabularySize, replicas, tokenIds, lossMask };
}

/** The trainable variables of a model, in order. */
export function trainableVariables(model: TrainableModel): Variable[] {
  return model.variables.filter(({ trainable }) => trainable);
}

/** The joint norm of gradients, a float32 scalar. */
function globalNorm(found: readonly Tensor[]): Tensor {
  const squares = found.map((gradient) => gradient.cast("float32").square().sum());
  return squares.reduce((total, square) => total.add(square), full([], 0)).sqrt();
}

/** Updates variables by gradients, scaled down together where their joint norm is too large. Returns that norm. */
function applyGradients(
  variables: readonly Variable[],
  found: readonly Tensor[],
  optimizer: Optimizer,
  scalars: StepScalars,
): Tensor {
  const norm = globalNorm(found);
  const limit = optimizer.globalClipNorm;
  const scale = limit === null ? null : full([], limit).div(norm.maximum(limit));
  variables.forEach((variable, i) => {
    const gradient = found[i]!.cast("float32");
    optimizer.update(variable, scale === null ? gradient : gradient.mul(scale), scalars);
  });
  return norm;
}

/**
 * One whole update on one batch. Outputs: the mean loss, the tokens that count, and the gradient's norm. It computes the same on
 * any mesh; `replicas` tells among how many devices the rows will be shared, where the model's values do not yet.
 */
export function traceTrainStep(
  model: TrainableModel,
  optimizer: Optimizer,
  batch: number,
  time: number,
  replicas?: number,
  hasImages: boolean = takesImages(model),
): TracedProgram {
  return traceProgram("train_step", { ...batchTypes(model, batch, time, hasImages), ...scalarInputs }, (inputs) => {
    const sums = languageModelLoss(lossInputs(model, inputs, replicas));
    const loss = perToken(sums.loss, sums.tokens);
    const variables = trainableVariables(model);
    const found = gradients(loss, variables.map((variable) => variable.raw()));
    const gradientNorm = applyGradients(variables, found, optimizer, inputs);
    return { loss, tokens: sums.tokens, gradientNorm };
  });
}

/** Accumulators of the gradients of variables, without values. */
export function accumulatorsOf(variables: readonly Variable[]): Map<Variable, Variable> {
  return new Map(
    variables.map((variable) => {
      const accumulator = new Variable(`accumulated/${variable.path}`, {
        shape: variable.shape,
        order: variable.order,
        initializer: zeros(),
        trainable: false,
        follows: { variable, axes: [...variable.shape.keys()] },
      });
      return [variable, accumulator];
    }),
  );
}

/** Accumulators of the gradients of a model's trainable variables, filled with zeros. */
export function makeAccumulators(model: TrainableModel, backend: Backend): Map<Variable, Variable> {
  const accumulators = accumulatorsOf(trainableVariables(model));
  for (const [variable, accumulator] of accumulators) putZeros(accumulator, backend, whereOf(variable));
  return accumulators;
}

/** Adds the gradient of a batch's summed loss to the accumulators. Outputs: the summed loss and the tokens that count. */
export function traceAccumulate(
  model: TrainableModel,
  accumulators: ReadonlyMap<Variable, Variable>,
  batch: number,
  time: number,
  hasImages: boolean = takesImages(model),
): TracedProgram {
  return traceProgram("accumulate", batchTypes(model, batch, time, hasImages), (inputs) => {
    const sums = languageModelLoss(lossInputs(model, inputs));
    const variables = [...accumulators.keys()];
    const found = gradients(sums.loss, variables.map((variable) => variable.raw()));
    variables.forEach((variable, i) => {
      const accumulator = accumulators.get(variable)!;
      assign(accumulator, accumulator.raw().add(found[i]!.cast("float32")));
    });
    return { loss: sums.loss, tokens: sums.tokens };
  });
}

/** Updates by the accumulated gradients over the number of tokens, and empties the accumulators. Output: the gradient's norm. */
export function traceApply(optimizer: Optimizer, accumulators: ReadonlyMap<Variable, Variable>): TracedProgram {
  return traceProgram("apply", { tokens: scalar, ...scalarInputs }, (inputs) => {
    const found = [...accumulators.values()].map((accumulator) => perToken(accumulator.raw(), inputs.tokens));
    const gradientNorm = applyGradients([...accumulators.keys()], found, optimizer, inputs);
    for (const accumulator of accumulators.values()) assign(accumulator, full(accumulator.stored.shape, 0));
    return { gradientNorm };
  });
}

/** A batch's loss without an update. Outputs: the summed loss, the tokens that count, and those predicted right. */
export function traceEvaluate(
  model: TrainableModel,
  batch: number,
  time: number,
  hasImages: boolean = takesImages(model),
): TracedProgram {
  return traceProgram("evaluate", batchTypes(model, batch, time, hasImages), (inputs) => {
    return { ...evaluationSums(lossInputs(model, inputs)) };
  });
}

/** A number as a float32 scalar on the host. */
export function hostScalar(value: number): HostTensor<"float32"> {
  return { shape: [], dtype: "float32", data: new Float32Array([value]) };
}
