/** Whether training fits the devices of a backend, asked before anything is loaded. */
import type { Distribution } from "@tessera/mesh";
import type { Backend } from "@tessera/runtime";
import { checkTraining } from "@tessera/train";
import { trainable } from "../task/forward.ts";
import type { Training } from "./plan.ts";

/** What is to run it. */
export interface FitTarget {
  /** What runs it. */
  readonly backend: Backend;
  /** How it lies on a mesh; `null` for one device. */
  readonly distribution: Distribution | null;
}

/**
 * Checks that the tensors of a training step are no larger than the devices of a backend can take, before weights are loaded.
 *
 * @throws {RangeError} that names the tensor, with its size and the limit, and proposes what does fit.
 */
export async function checkTrainingFits({ backbone, ...training }: Training, target: FitTarget): Promise<void> {
  await checkTraining({ ...training, ...target, model: trainable(backbone) });
}
