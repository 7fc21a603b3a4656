/** Plans of training, with memory as the ONNX backend plans it. */
import {
  type PlanOptions,
  planTraining as plan,
  type Suggestion,
  suggestMeshes as suggest,
  type SuggestOptions,
  type Training,
  type TrainingPlan,
} from "@tessera/models";
import { memoryOn } from "./native.ts";

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
