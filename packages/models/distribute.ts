/** Putting a model on a mesh: its layouts are checked before anything moves. */
import type { Tensor } from "@tessera/core";
import type { Distribution } from "@tessera/mesh";
import { distributionOf, layoutOf, moveValue, traceProgram, type Variable } from "@tessera/nn";
import type { Backend } from "@tessera/runtime";

/** What is put on a mesh. */
export interface Distributable {
  /** All variables, those of adapters included. */
  readonly variables: readonly Variable[];
  /** The final hidden states of a batch, within a program that is being traced. */
  hidden(batch: { readonly tokenIds: Tensor; readonly paddingMask: Tensor }): Tensor;
  /** The logits of hidden states, within a program that is being traced. */
  logits(hidden: Tensor): Tensor;
}

/**
 * Checks that every key of a layout map matches a variable or an activation of a model, and that every variable can be split so.
 *
 * @throws {TypeError} when a key matches nothing, naming the nearest path, or several keys match one path.
 * @throws {RangeError} when a dimension does not divide over its mesh axes.
 */
export function checkDistribution(model: Distributable, distribution: Distribution): void {
  const shape = [distribution.numModelReplicas, 2];
  const inputs = { tokenIds: { shape, dtype: "int32" }, paddingMask: { shape, dtype: "bool" } } as const;
  const { activations } = traceProgram("activations", inputs, (batch) => ({
    logits: model.logits(model.hidden(batch)),
  }));
  distribution.check(model.variables, { activations: activations.map(({ path }) => path) });
  for (const variable of model.variables) layoutOf(variable, distribution);
}

/**
 * Moves the values of a model to where a distribution wants them, one tensor at a time; `null` stands for one device. Returns
 * whether there was anything to move.
 *
 * @throws what `checkDistribution` throws, before anything moves.
 */
export async function distribute(
  model: Distributable,
  backend: Backend,
  distribution: Distribution | null,
): Promise<boolean> {
  if (distributionOf(model.variables) === distribution) return false;
  if (distribution !== null) checkDistribution(model, distribution);
  for (const variable of model.variables) await moveValue(variable, backend, distribution ?? backend.devices[0]!);
  return true;
}
