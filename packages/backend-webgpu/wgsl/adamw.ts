/** AdamW in one pass over memory: a weight, its momentum and its velocity are updated in place. */

import type { AdamWAttrs } from "@tessera/core";
import type { Value } from "../engine/engine.ts";
import { literal, type UpdateProgram } from "./program.ts";

/** What an update reads and changes. */
export interface AdamWValues {
  /** The weight, its momentum and its velocity, of the same shape. */
  readonly state: readonly [weight: Value, momentum: Value, velocity: Value];
  /** The gradient, and the three scalars of the step. */
  readonly step: readonly [gradient: Value, learningRate: Value, momentumCorrection: Value, velocityCorrection: Value];
}

/** The program of an update; one serves weights of all sizes. */
export function adamWProgram({ state, step }: AdamWValues, attrs: AdamWAttrs): UpdateProgram {
  const { beta1, beta2, epsilon, weightDecay } = attrs;
  const name = (names: readonly string[], values: readonly Value[]) =>
    names.map((name, i) => ({ name, value: values[i]! }));
  return {
    name: "adamW",
    changed: name(["weight", "momentum", "velocity"], state),
    inputs: name(["gradient", "learningRate", "momentumCorrection", "velocityCorrection"], step),
    code: `fn update(i : u32) {
  let g = gradient[i];
  let m = ${literal(beta1)} * momentum[i] + ${literal(1 - beta1)} * g;
  let v = ${literal(beta2)} * velocity[i] + ${literal(1 - beta2)} * g * g;
  let direction = m * momentumCorrection[0] / (sqrt(v * velocityCorrection[0]) + ${literal(epsilon)});
  weight[i] = weight[i] * (1.0 - learningRate[0] * ${literal(weightDecay)}) - learningRate[0] * direction;
  momentum[i] = m;
  velocity[i] = v;
}`,
  };
}
