/**
 * What a drawing of a sharded tensor shows: a grid of blocks, and which devices hold each of them.
 *
 * A page has two dimensions, so for a tensor of higher rank the two axes with the most shards are drawn, in their order;
 * notes describe the rest.
 */
import { formatAxes } from "../layout/device_mesh.ts";
import { axisSize, groupIndex, type MeshShape, partsOf, type Sharding } from "../sharding/sharding.ts";
import { formatSpec, TensorLayout } from "../layout/tensor_layout.ts";

/** The mesh that a drawing needs: its axes and its devices, the last axis running fastest. */
export interface DrawableMesh extends MeshShape {
  /** The ids of the devices. */
  readonly devices: readonly string[];
}

/** An axis of the tensor as it is drawn. */
export interface GridAxis {
  /** The axis of the tensor. */
  readonly axis: number;
  /** Its length. */
  readonly length: number;
  /** The number of shards along it. */
  readonly parts: number;
  /** The mesh axes that it is sharded over, such as `model (8)`; empty when it is not sharded. */
  readonly over: string;
}

/** Blocks of a tensor and who holds them. */
export interface ShardingGrid {
  /** The axis that runs down; `null` for a tensor of rank 0 or 1. */
  readonly rows: GridAxis | null;
  /** The axis that runs right; `null` for a scalar. */
  readonly columns: GridAxis | null;
  /** By row and column, the indices in the mesh of the devices that hold the block, in order. */
  readonly holders: readonly (readonly (readonly number[])[])[];
  /** The shape and the spec. */
  readonly title: string;
  /** What a device holds, such as `each device holds [2, 3072, 256], 1/8, in 2 copies`. */
  readonly held: string;
  /** What the drawing cannot show, one sentence each. */
  readonly notes: readonly string[];
}

/**
 * Lays out the drawing of a sharded tensor.
 *
 * @throws {RangeError} when the layout does not fit the shape, or names an axis that the mesh lacks.
 */
export function shardingGrid(
  shape: readonly number[],
  layout: Sharding | TensorLayout,
  mesh: DrawableMesh,
): ShardingGrid {
  const sharding = layout instanceof TensorLayout ? layout.sharding(shape.length) : layout;
  checkDrawable(shape, sharding, mesh);
  const axes = shape.map((length, axis): GridAxis => {
    const names = sharding.dims[axis]!;
    return {
      axis,
      length,
      parts: partsOf(mesh, names),
      over: names.map((name) => `${name} (${axisSize(mesh, name)})`).join(" × "),
    };
  });
  const drawn = axes.toSorted((a, b) => b.parts - a.parts || a.axis - b.axis).slice(0, 2)
    .sort((a, b) => a.axis - b.axis);
  const columns = drawn.at(-1) ?? null;
  const rows = drawn.length === 2 ? drawn[0]! : null;
  const holders: number[][][] = Array.from(
    { length: rows?.parts ?? 1 },
    () => Array.from({ length: columns?.parts ?? 1 }, () => []),
  );
  mesh.devices.forEach((_, device) => {
    const part = ({ axis }: GridAxis) => groupIndex(mesh, sharding.dims[axis]!, device);
    holders[rows ? part(rows) : 0]![columns ? part(columns) : 0]!.push(device);
  });
  const blocks = axes.reduce((product, { parts }) => product * parts, 1);
  const block = axes.map(({ length, parts }) => Math.ceil(length / parts));
  const copies = mesh.devices.length / blocks / partsOf(mesh, sharding.partial);
  const held = "each device holds " + (blocks === 1 ? "all of it" : `[${block.join(", ")}], 1/${blocks}`) +
    (blocks === 1 || copies === 1 ? "" : `, in ${copies} copies`);
  const title = `[${shape.join(", ")}] ${formatSpec(sharding)}`;
  return { rows, columns, holders, title, held, notes: notesOf(axes, drawn, sharding) };
}

function notesOf(axes: readonly GridAxis[], drawn: readonly GridAxis[], { partial }: Sharding): string[] {
  const hidden = axes.filter((axis) => !drawn.includes(axis));
  const notes = [];
  if (hidden.length > 0) {
    const whole = hidden.filter(({ parts }) => parts === 1).map(({ axis }) => axis);
    const rest = whole.length === 0 ? "" : `, ${whole.length === 1 ? "axis" : "axes"} ${whole.join(", ")} whole`;
    notes.push(`axes ${drawn.map(({ axis }) => axis).join(" and ")} are drawn${rest}`);
    for (const { axis, parts, over } of hidden.filter(({ parts }) => parts > 1)) {
      notes.push(`the devices of a box split axis ${axis} into ${parts} over ${over}`);
    }
  }
  for (const { axis, length, parts } of axes) {
    if (length % parts !== 0) notes.push(`axis ${axis} does not divide: the last of ${parts} blocks is smaller`);
  }
  if (partial.length > 0) notes.push(`values are partial sums over ${partial.join(" × ")}`);
  return notes;
}

function checkDrawable(shape: readonly number[], sharding: Sharding, mesh: DrawableMesh): void {
  const attempt = `Cannot draw [${shape.join(", ")}] as ${formatSpec(sharding)}`;
  if (sharding.dims.length !== shape.length) {
    throw new RangeError(`${attempt}: it has ${shape.length} axes, the sharding ${sharding.dims.length}`);
  }
  for (const name of [...sharding.dims.flat(), ...sharding.partial]) {
    if (!mesh.axes.some((axis) => axis.name === name)) {
      throw new RangeError(`${attempt}: the mesh has the axes ${formatAxes(mesh.axes)} and no "${name}"`);
    }
  }
}

/** A short label of devices: `0–3, 8` or `0, 16, … 240` where all are of one kind and numbered, else their ids. */
export function deviceLabel(holders: readonly number[], { devices }: DrawableMesh): string {
  const ids = holders.map((index) => devices[index]!);
  const kind = kindOfAll(devices);
  if (kind === null) return ids.join(", ");
  const numbers = ids.map((id) => Number(id.slice(kind.length + 1)));
  const [first, second, last] = [numbers[0]!, numbers[1]!, numbers.at(-1)!];
  const step = second - first;
  if (numbers.length > 4 && step > 1 && numbers.every((number, i) => number === first + i * step)) {
    return `${first}, ${second}, … ${last}`;
  }
  const runs: number[][] = [];
  for (const number of numbers) {
    if (runs.at(-1)?.at(-1) === number - 1) runs.at(-1)!.push(number);
    else runs.push([number]);
  }
  return runs.map((run) => run.length > 2 ? `${run[0]}–${run.at(-1)}` : run.join(", ")).join(", ");
}

/** The kind that all devices have, such as `cpu` of `cpu:0` and `cpu:1`; `null` when there are several or no numbers. */
export function kindOfAll(devices: readonly string[]): string | null {
  const kinds = new Set(devices.map((id) => /^(.+):\d+$/.exec(id)?.[1]));
  const [kind] = kinds;
  return kinds.size === 1 && kind !== undefined ? kind : null;
}
