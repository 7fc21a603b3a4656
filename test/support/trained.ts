/** What training came to, so that two trainings can be compared: on a mesh and on one device, on a GPU and on the CPU. */
import assert from "node:assert/strict";
import { assertAllClose } from "@tessera/core/testing";
import { toFloat32 } from "@tessera/core";
import { adamW, type CausalLM, type Optimizer, type StepReport } from "tessera";

/** What a training came to. */
export interface Trained {
  /** The loss of each step. */
  readonly losses: readonly number[];
  /** The elements of the trained variables, by path. */
  readonly weights: ReadonlyMap<string, Float32Array>;
}

/**
 * Makes an AdamW whose runs can be compared weight by weight. Adam divides a gradient by the root of the mean of its squares, so
 * where a gradient is nearly zero its rounding errors alone would move a weight by a whole learning rate. An epsilon well
 * above these errors makes an update differ by no more than `learningRate / epsilon` times what the gradients differ by.
 */
export function comparableAdamW(learningRate: number): Optimizer {
  return adamW({ learningRate, epsilon: 1e-4, globalClipNorm: 1 });
}

/** Reads what a training came to from its steps and its model. */
export async function trainedOf(lm: CausalLM, steps: readonly StepReport[]): Promise<Trained> {
  const trained = lm.variables.filter(({ trainable }) => trainable);
  const read = trained.map(async ({ path, value }) => [path, toFloat32(await value!.read())] as const);
  return { losses: steps.map(({ loss }) => loss), weights: new Map(await Promise.all(read)) };
}

/**
 * Asserts that a training came to what another one did, which must have lowered its loss by half a percent: each loss up to a share of
 * it, each weight up to a number.
 */
export function assertTrainedAlike(
  found: Trained,
  expected: Trained,
  most: { readonly losses: number; readonly weights: number },
): void {
  assert(expected.losses.at(-1)! < 0.995 * expected.losses[0]!, `It learned nothing: ${expected.losses}`);
  assertAllClose(found.losses, expected.losses, { absolute: 0, relative: most.losses });
  assert(expected.weights.size > 0, "No variable is trainable");
  assert.deepEqual([...found.weights.keys()], [...expected.weights.keys()]);
  for (const [path, weights] of expected.weights) {
    try {
      assertAllClose(found.weights.get(path)!, weights, { absolute: most.weights, relative: 0 });
    } catch (cause) {
      throw new Error(`The weights of "${path}" differ: ${(cause as Error).message}`, { cause });
    }
  }
}
