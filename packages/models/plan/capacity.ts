/** Whether the devices of a backend have the capacity for a training, asked before anything is loaded. */
import type { Distribution } from "@tessera/mesh";
import type { Backend } from "@tessera/runtime";
import { checkCapacity } from "@tessera/train";
import { trainable } from "../task/forward.ts";
import type { Training } from "./plan.ts";

/** What is to run it. */
export interface CapacityTarget {
  /** What runs it. */
  readonly backend: Backend;
  /** How it lies on a mesh; `null` for one device. */
  readonly distribution: Distribution | null;
}

/**
 * Checks that the tensors of a training step are no larger than the devices of a backend can take, before weights are loaded.
 *
 * @throws {CapacityError} that names the tensor, with its size and the limit, and proposes what does fit.
 */
export async function checkTrainingCapacity(
  { backbone, ...training }: Training,
  target: CapacityTarget,
): Promise<void> {
  await checkCapacity({ ...training, ...target, model: trainable(backbone) });
}
