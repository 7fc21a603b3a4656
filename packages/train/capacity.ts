/** Whether the devices have the capacity for a training, asked before weights are loaded or anything is compiled. */
import { CapacityError } from "@tessera/text";
import { sameShape } from "@tessera/core";
import type { Distribution } from "@tessera/mesh";
import { excessOf } from "@tessera/nn";
import { type Backend, type Excess, formatExcess } from "@tessera/runtime";
import type { Optimizer } from "./optimizer.ts";
import { traceTrainStep, type TrainableModel, trainableVariables } from "./step.ts";

/** What is to be trained, on what. */
export interface TrainingDemand {
  /** The model; its variables may be without values. */
  readonly model: TrainableModel;
  /** What turns gradients into updates. */
  readonly optimizer: Optimizer;
  /** What runs it. */
  readonly backend: Backend;
  /** How it lies on a mesh; `null` for one device. */
  readonly distribution: Distribution | null;
  /** The rows of a batch. */
  readonly batchSize: number;
  /** The tokens of a row. */
  readonly length: number;
  /** Whether each row has an image; as the model's images stand unless given. */
  readonly hasImages?: boolean;
}

/** The fewest tokens of a row that are proposed. */
const shortest = 16;

/** The first tensor of a step that a device cannot take, with a batch of some rows and tokens; `null` when it fits. */
async function excessWith(training: TrainingDemand, batchSize: number, length: number): Promise<Excess | null> {
  const { model, optimizer, backend, distribution, hasImages } = training;
  const replicas = distribution?.numModelReplicas ?? 1;
  const rows = Math.ceil(batchSize / replicas) * replicas;
  const step = traceTrainStep(model, optimizer, rows, length, replicas, hasImages);
  return await excessOf(step, backend, distribution);
}

/**
 * Checks that the tensors of a training step are no larger than the devices can take. Nothing is loaded, compiled or run.
 *
 * @throws {CapacityError} that names the tensor, with its size and the limit, and proposes what does fit: a smaller batch, shorter
 * texts, adapters in place of whole tables, or another backend.
 */
export async function checkCapacity(training: TrainingDemand): Promise<void> {
  const { model, backend, batchSize, length } = training;
  if (backend.excess === undefined) return;
  const excess = await excessWith(training, batchSize, length);
  if (excess === null) return;
  throw new CapacityError(
    `Cannot train "${model.name}" on ${backend.name} with batches of ${batchSize} × ${length} tokens: ${
      formatExcess(excess)
    }; ${await proposal(training, excess)}`,
  );
}

/** What to do in place of a training that does not fit. */
async function proposal(training: TrainingDemand, { type }: Excess): Promise<string> {
  const { model, batchSize, length, distribution } = training;
  const table = trainableVariables(model).find(({ stored }) => sameShape(stored.shape, type.shape));
  if (table !== undefined) {
    return `train adapters (LoRA) or freeze "${table.path}", since the gradient of a whole array has its size, or use another backend`;
  }
  const least = distribution?.numModelReplicas ?? 1;
  const batch = await largest(least, batchSize - 1, async (rows) => await excessWith(training, rows, length) === null);
  if (batch !== null) return `a batch of ${batch} fits, and gradient accumulation makes up for it`;
  for (let time = Math.floor(length / 2); time >= shortest; time = Math.floor(time / 2)) {
    if (await excessWith(training, least, time) === null) return `a batch of ${least} × ${time} tokens fits`;
  }
  return "no batch of it fits; use another backend, such as cpu";
}

/** The largest number from `low` to `high` that passes, when all below one that passes do; `null` when none does. */
async function largest(low: number, high: number, passes: (value: number) => Promise<boolean>): Promise<number | null> {
  let [found, from, to] = [null as number | null, low, high];
  while (from <= to) {
    const middle = (from + to) >> 1;
    if (await passes(middle)) {
      found = middle;
      from = middle + 1;
    } else to = middle - 1;
  }
  return found;
}
