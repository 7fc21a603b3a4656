/**
 * How tensors are sharded over a mesh: the vocabulary that the compiler, the layouts and the runtime share.
 *
 * A sharding names mesh axes only; lengths come from a `MeshShape`. Devices are numbered row-major over the mesh, the last
 * axis fastest.
 */
import { formatType, type TensorType } from "@tessera/core";

/** The mesh as the compiler sees it: named axes and their sizes, in order. */
export interface MeshShape {
  /** The axes, outermost first. */
  readonly axes: readonly { readonly name: string; readonly size: number }[];
}

/** How a tensor is sharded. */
export interface Sharding {
  /** Per tensor axis the mesh axes that it is sharded over, outermost first. */
  readonly dims: readonly (readonly string[])[];
  /** The mesh axes over which the values are partial sums: the tensor is the sum of the devices' values. */
  readonly partial: readonly string[];
}

/** The sharding of a replicated tensor. */
export function replicated(rank: number): Sharding {
  return { dims: Array.from({ length: rank }, () => []), partial: [] };
}

/** Tells whether a tensor is replicated. */
export function isReplicated({ dims, partial }: Sharding): boolean {
  return partial.length === 0 && dims.every((axes) => axes.length === 0);
}

/** Tells whether two lists of mesh axes are the same, in order. */
export function sameAxes(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((name, i) => name === b[i]);
}

/** Tells whether two shardings are the same; the order of partial axes means nothing. */
export function sameSharding(a: Sharding, b: Sharding): boolean {
  return a.dims.length === b.dims.length && a.dims.every((axes, i) => sameAxes(axes, b.dims[i]!)) &&
    sameAxes(a.partial.toSorted(), b.partial.toSorted());
}

/** A sharding as text: per axis the mesh axes or `-`, such as `[batch, -, model+data] partial(model)`. */
export function formatSharding({ dims, partial }: Sharding): string {
  const axes = dims.map((names) => names.length === 0 ? "-" : names.join("+")).join(", ");
  return `[${axes}]${partial.length === 0 ? "" : ` partial(${partial.join(", ")})`}`;
}

/**
 * The size of a mesh axis.
 *
 * @throws {RangeError} when the mesh has no such axis.
 */
export function axisSize(mesh: MeshShape, name: string): number {
  const found = mesh.axes.find((axis) => axis.name === name);
  if (found === undefined) {
    const names = mesh.axes.map((axis) => `"${axis.name}"`).join(", ");
    throw new RangeError(`Cannot shard over mesh axis "${name}": the mesh has axes ${names}`);
  }
  return found.size;
}

/**
 * The number of shards that some mesh axes make together.
 *
 * @throws {RangeError} when the mesh lacks one of them.
 */
export function partsOf(mesh: MeshShape, names: readonly string[]): number {
  return names.reduce((product, name) => product * axisSize(mesh, name), 1);
}

/** The number of devices of a mesh. */
export function deviceCount(mesh: MeshShape): number {
  return mesh.axes.reduce((product, { size }) => product * size, 1);
}

/**
 * Checks that a tensor can be sharded as a sharding says; `what` names the tensor in errors, in quotes where it is a path.
 *
 * @throws {RangeError} when the rank differs, an axis is unknown or used twice, or a length does not divide.
 */
export function checkSharding(what: string, type: TensorType, sharding: Sharding, mesh: MeshShape): void {
  const { dims, partial } = sharding;
  if (dims.length !== type.shape.length) {
    throw new RangeError(
      `Cannot shard ${what} as ${formatSharding(sharding)}: that names ${dims.length} axes, ${
        formatType(type)
      } has ${type.shape.length}`,
    );
  }
  const used = [...dims.flat(), ...partial];
  const twice = used.find((name, i) => used.indexOf(name) !== i);
  if (twice !== undefined) {
    throw new RangeError(`Cannot shard ${what} as ${formatSharding(sharding)}: mesh axis "${twice}" is used twice`);
  }
  partial.forEach((name) => axisSize(mesh, name));
  dims.forEach((names, axis) => {
    const parts = partsOf(mesh, names);
    const length = type.shape[axis]!;
    if (length % parts !== 0) {
      const over = names.map((name) => `"${name}"`).join(" and ");
      throw new RangeError(
        `Cannot shard ${what} axis ${axis} (${length}) over mesh axis ${over} (${parts}): ` +
          `${length} is not divisible by ${parts}`,
      );
    }
  });
}

/**
 * The type of the part of a tensor that each device holds.
 *
 * @throws {RangeError} when the tensor cannot be sharded so; see `checkSharding`.
 */
export function localType(type: TensorType, sharding: Sharding, mesh: MeshShape, what = formatType(type)): TensorType {
  checkSharding(what, type, sharding, mesh);
  return { dtype: type.dtype, shape: type.shape.map((length, axis) => length / partsOf(mesh, sharding.dims[axis]!)) };
}

/** The type of the whole tensor of which each device holds a part. */
export function wholeType(local: TensorType, { dims }: Sharding, mesh: MeshShape): TensorType {
  return { dtype: local.dtype, shape: local.shape.map((length, axis) => length * partsOf(mesh, dims[axis]!)) };
}

/** The position of a device along each mesh axis. */
export function coordinatesOf(mesh: MeshShape, device: number): ReadonlyMap<string, number> {
  const found = new Map<string, number>();
  let rest = device;
  for (const { name, size } of mesh.axes.toReversed()) {
    found.set(name, rest % size);
    rest = Math.floor(rest / size);
  }
  return found;
}

/** The position of a device within its group along some mesh axes taken together, the first one outermost. */
export function groupIndex(mesh: MeshShape, names: readonly string[], device: number): number {
  const at = coordinatesOf(mesh, device);
  return names.reduce((index, name) => index * axisSize(mesh, name) + at.get(name)!, 0);
}

/** The devices that differ from one only along some mesh axes, in the order of `groupIndex`. */
export function groupOf(mesh: MeshShape, names: readonly string[], device: number): number[] {
  const own = coordinatesOf(mesh, device);
  const members = Array.from({ length: deviceCount(mesh) }, (_, i) => i).filter((other) => {
    const at = coordinatesOf(mesh, other);
    return mesh.axes.every(({ name }) => names.includes(name) || at.get(name) === own.get(name));
  });
  return members.sort((a, b) => groupIndex(mesh, names, a) - groupIndex(mesh, names, b));
}

/** Where the block of a device starts in the whole tensor, and its shape. */
export interface Block {
  /** The position of the first element along each axis. */
  readonly starts: readonly number[];
  /** The length along each axis. */
  readonly shape: readonly number[];
}

/**
 * The block of a tensor that a device holds.
 *
 * @throws {RangeError} when the tensor cannot be sharded so; see `checkSharding`.
 */
export function blockOf(type: TensorType, sharding: Sharding, mesh: MeshShape, device: number): Block {
  const { shape } = localType(type, sharding, mesh);
  return { shape, starts: shape.map((length, axis) => length * groupIndex(mesh, sharding.dims[axis]!, device)) };
}

/** A sharding without the mesh axes of size one, which split nothing. */
export function withoutTrivialAxes({ dims, partial }: Sharding, mesh: MeshShape): Sharding {
  const splits = (name: string) => axisSize(mesh, name) > 1;
  return { dims: dims.map((names) => names.filter(splits)), partial: partial.filter(splits) };
}
