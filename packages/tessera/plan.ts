/** Plans of training, with memory as the ONNX backend plans it. */
import { halfSupport, memoryOfRun } from "@tessera/backend-onnx/memory";
import {
  type Hardware,
  type PlanOptions,
  planTraining as plan,
  type Suggestion,
  suggestMeshes as suggest,
  type SuggestOptions,
  type Training,
  type TrainingPlan,
} from "@tessera/models";
import type { MemoryOfRun } from "@tessera/runtime";

/** Memory of programs on some hardware, in the dtypes that it computes in. */
function memoryOn({ computesHalf }: Hardware): MemoryOfRun {
  return (graph, donate) => computesHalf ? memoryOfRun(graph, donate, halfSupport) : memoryOfRun(graph, donate);
}

/**
 * Works out what training takes on each device, before anything is loaded.
 *
 * @throws {RangeError} when a variable cannot be split as its layout says.
 */
export function planTraining(training: Training, options: Omit<PlanOptions, "memoryOf">): TrainingPlan {
  return plan(training, { ...options, memoryOf: memoryOn(options.hardware) });
}

/** Plans training for every mesh of some devices, the best first. */
export async function suggestMeshes(
  training: Training,
  devices: number,
  options: Omit<SuggestOptions, "memoryOf">,
): Promise<Suggestion[]> {
  return await suggest(training, devices, { ...options, memoryOf: memoryOn(options.hardware) });
}
