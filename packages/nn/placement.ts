/**
 * Where variables lie on a mesh.
 *
 * A key of the layout map that names a variable decides. A variable that no key names lies as the one that it follows: a
 * momentum as its weight, a low-rank factor as its kernel, a cache as the projection that fills it. A variable that follows nothing is
 * replicated.
 */
import { type HostTensor, hostZeros } from "@tessera/core";
import {
  type Block,
  type Distribution,
  distribution as current,
  partsOf,
  type Sharding,
  TensorLayout,
} from "@tessera/mesh";
import { type Backend, cutBlock, type Device, scatterFrom, scatterZeros, ShardedBuffer } from "@tessera/runtime";
import type { Follows, Variable } from "./variable.ts";

/**
 * The layout of a variable, by its logical axes.
 *
 * @throws {TypeError} when several keys of the layout map match its path.
 * @throws {RangeError} when it cannot be sharded so, or a device would get a fraction of a quantized variable's block.
 */
export function layoutOf<Axis extends string>(
  variable: Variable,
  distribution: Distribution<Axis>,
): TensorLayout<Axis> {
  const { follows } = variable;
  if (follows === null || distribution.getTensorLayout(variable.path) !== undefined) {
    const layout = distribution.getVariableLayout(variable);
    requireWholeBlocks(variable, layout);
    return layout;
  }
  return followed(variable, follows, distribution);
}

/** Requires that sharding cuts no block of codes that shares a scale, and no byte that holds two codes. */
function requireWholeBlocks({ path, shape, order, quantization }: Variable, { dims, mesh }: TensorLayout): void {
  if (quantization === null) return;
  const { name, bits, scale } = quantization;
  shape.forEach((length, axis) => {
    const parts = partsOf(mesh, dims[axis] ?? []);
    const blocks = scale.shape[axis]!;
    const paired = bits === 4 && axis === order.at(-1);
    const whole = blocks > 1 ? blocks : paired ? length / 2 : length;
    if (whole % parts === 0) return;
    throw new RangeError(
      `Cannot shard "${path}" in ${name} axis ${axis} (${length}) over ${parts} devices: its ${whole} ` +
        `${blocks > 1 ? `blocks of ${length / blocks}, which share a scale each,` : "pairs of codes"} ` +
        `are not divisible by ${parts}; split it over fewer devices, or quantize to int8`,
    );
  });
}

function followed<Axis extends string>(
  { shape }: Variable,
  follows: Follows,
  distribution: Distribution<Axis>,
): TensorLayout<Axis> {
  const { batchAxes, mesh } = distribution;
  const divides = (length: number, names: readonly Axis[]) => length % partsOf(mesh, names) === 0;
  const leader = layoutOf(follows.variable, distribution);
  const spared = follows.spareBatchAxes ?? false;
  const dims = follows.axes.map((axis, i) => {
    if (axis === null) return [];
    if (axis === "batch") return divides(shape[i]!, batchAxes) ? batchAxes : [];
    const own = (leader.dims[axis] ?? []).filter((name) => !spared || !batchAxes.includes(name));
    return divides(shape[i]!, own) ? own : [];
  });
  return new TensorLayout(dims, mesh);
}

/**
 * How the stored array of a variable is sharded: its layout, in the order in which its axes are stored.
 *
 * @throws what `layoutOf` throws.
 */
export function storedSharding(variable: Variable, distribution: Distribution): Sharding {
  const { dims } = layoutOf(variable, distribution);
  return { dims: variable.order.map((axis) => dims[axis] ?? []), partial: [] };
}

/** The variable that decides where another one lies: the last of those that follow each other. */
function leaderOf(variable: Variable): Variable {
  return variable.follows === null ? variable : leaderOf(variable.follows.variable);
}

/** Where values lie: on a device, or sharded over the mesh of a distribution. */
export type Where = Device | Distribution;

function isDistribution(where: Where): where is Distribution {
  return "mesh" in where;
}

/** Where a variable lies, or will lie: with its leader, where that has a value, else by the current distribution, if any. */
export function whereOf(variable: Variable): Where | undefined {
  const value = leaderOf(variable).value ?? variable.value;
  if (value === null) return current() ?? undefined;
  return value instanceof ShardedBuffer ? value.distribution : value.device;
}

/** The distribution by which variables lie on a mesh, `null` where they lie on one device; the first that has a value tells. */
export function distributionOf(variables: readonly Variable[]): Distribution | null {
  for (const variable of variables) {
    const value = leaderOf(variable).value ?? variable.value;
    if (value !== null) return value instanceof ShardedBuffer ? value.distribution : null;
  }
  return null;
}

/**
 * Gives a variable a value, in its stored axis order; on the backend's first device by default.
 *
 * @throws what `storedSharding` throws.
 */
export function putValue(variable: Variable, tensor: HostTensor, backend: Backend, where?: Where): void {
  putBlocks(variable, (block) => cutBlock(tensor, block), backend, where);
}

/**
 * The same for a value that is made in blocks, each of them once; the block is the whole where the variable is not sharded.
 *
 * @throws what `storedSharding` throws.
 */
export function putBlocks(
  variable: Variable,
  blockOf: (block: Block) => HostTensor,
  backend: Backend,
  where?: Where,
): void {
  const { stored } = variable;
  const value = where !== undefined && isDistribution(where)
    ? scatterFrom(stored, backend, { distribution: where, sharding: storedSharding(variable, where) }, blockOf)
    : backend.upload(blockOf({ starts: stored.shape.map(() => 0), shape: stored.shape }), where);
  variable.value?.dispose();
  variable.value = value;
}

/**
 * Gives a variable zeros; on the backend's first device by default.
 *
 * @throws what `storedSharding` throws.
 */
export function putZeros(variable: Variable, backend: Backend, where?: Where): void {
  const { stored } = variable;
  const value = where !== undefined && isDistribution(where)
    ? scatterZeros(stored, backend, { distribution: where, sharding: storedSharding(variable, where) })
    : backend.upload(hostZeros(stored.dtype, stored.shape), where);
  variable.value?.dispose();
  variable.value = value;
}

/**
 * Moves the value of a variable, if it has one.
 *
 * @throws what `storedSharding` throws; the value then stays where it was.
 */
export async function moveValue(variable: Variable, backend: Backend, where?: Where): Promise<void> {
  if (variable.value !== null) putValue(variable, await variable.value.read(), backend, where);
}

/** The number that the batch size should be a multiple of, so that every device with a shard of the batch has the same number of rows. */
export function rowMultiple(variables: readonly Variable[]): number {
  return distributionOf(variables)?.numModelReplicas ?? 1;
}
