/** Putting a model on a mesh: its layouts are checked before anything moves. */
import { CapacityError } from "@tessera/text";
import type { Tensor } from "@tessera/core";
import type { Distribution } from "@tessera/mesh";
import { distributionOf, excessOf, layoutOf, moveValue, traceProgram } from "@tessera/nn";
import type { TracedProgram, Variable } from "@tessera/nn";
import { type Backend, formatExcess } from "@tessera/runtime";

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
 * Checks that every key of a layout map matches a variable or an activation of a model, and that every variable can be sharded so.
 *
 * @throws {TypeError} when a key matches nothing, naming the nearest path, or several keys match one path.
 * @throws {RangeError} when a dimension does not divide over its mesh axes.
 */
export function checkDistribution(model: Distributable, distribution: Distribution): void {
  const { activations } = traceTwoTokens(model, distribution.numModelReplicas);
  distribution.check(model.variables, { activations: activations.map(({ path }) => path) });
  for (const variable of model.variables) layoutOf(variable, distribution);
}

/**
 * Checks that the devices of a backend can take the weights of a model, and what it makes of two tokens.
 *
 * @throws {RangeError} that names the weight that is too large, with its size and the limit.
 */
export async function checkWeights(
  model: Distributable & { readonly name: string },
  backend: Backend,
  distribution: Distribution | null,
): Promise<void> {
  if (backend.excess === undefined) return;
  const excess = await excessOf(traceTwoTokens(model, distribution?.numModelReplicas ?? 1), backend, distribution);
  if (excess === null) return;
  throw new CapacityError(
    `Cannot load "${model.name}" on ${backend.name}: ${
      formatExcess(excess)
    }; use "quantize", or another backend, such as cpu`,
  );
}

/** A program that reads the weights that texts go through, on two tokens a row. */
function traceTwoTokens(model: Distributable, rows: number): TracedProgram {
  const shape = [rows, 2];
  const inputs = { tokenIds: { shape, dtype: "int32" }, paddingMask: { shape, dtype: "bool" } } as const;
  return traceProgram("activations", inputs, (batch) => ({ logits: model.logits(model.hidden(batch)) }));
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
