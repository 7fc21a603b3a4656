/**
 * Where variables lie on a mesh.
 *
 * A key of the layout map that names a variable decides. A variable that no key names lies as the one that it follows: a
 * momentum as its weight, a low-rank factor as its kernel, a cache as the projection that fills it. What follows nothing is
 * copied to every device.
 */
import { type Distribution, type Sharding, TensorLayout } from "@tessera/mesh";
import type { Follows, Variable } from "./variable.ts";

/**
 * The layout of a variable, by its logical axes.
 *
 * @throws {TypeError} when several keys of the layout map match its path.
 * @throws {RangeError} when it cannot be split so.
 */
export function layoutOf<Axis extends string>(
  variable: Variable,
  distribution: Distribution<Axis>,
): TensorLayout<Axis> {
  const { follows } = variable;
  if (follows === null || distribution.getTensorLayout(variable.path) !== undefined) {
    return distribution.getVariableLayout(variable);
  }
  return followed(follows, distribution);
}

function followed<Axis extends string>(follows: Follows, distribution: Distribution<Axis>): TensorLayout<Axis> {
  const { batchAxes, mesh } = distribution;
  const leader = layoutOf(follows.variable, distribution);
  const spared = follows.spareBatchAxes ?? false;
  const dims = follows.axes.map((axis) => {
    if (axis === null) return [];
    if (axis === "batch") return batchAxes;
    return (leader.dims[axis] ?? []).filter((name) => !spared || !batchAxes.includes(name));
  });
  return new TensorLayout(dims, mesh);
}

/**
 * How the stored array of a variable is split: its layout, in the order in which its axes are stored.
 *
 * @throws what `layoutOf` throws.
 */
export function storedSharding(variable: Variable, distribution: Distribution): Sharding {
  const { dims } = layoutOf(variable, distribution);
  return { dims: variable.order.map((axis) => dims[axis] ?? []), partial: [] };
}
