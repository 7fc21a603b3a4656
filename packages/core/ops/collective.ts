/**
 * Collectives over the devices of a mesh, which partitioning inserts into a local graph.
 *
 * `meshAxes` names the mesh axes over which devices form groups, the first one outermost, and `size` is the number of devices
 * in a group. Operands and results are the shards of one device. An executor runs collectives between the subgraphs that it
 * gives to a backend, so no backend lowers them and no single device can evaluate them.
 */
import { formatType, type TensorType } from "../values/dtype.ts";
import type { OpTable } from "./op.ts";

/** A group of devices. */
export interface CollectiveGroup {
  /** The mesh axes along which the devices of a group differ, outermost first. */
  readonly meshAxes: readonly string[];
  /** How many devices a group has. */
  readonly size: number;
}

/** The signatures of the collective ops. */
export interface Collective {
  /** The sum, or the elementwise maximum, of the devices' operands, on each device; one call can carry several tensors. */
  allReduce: {
    operands: readonly TensorType[];
    attrs: CollectiveGroup & { readonly reduce: "sum" | "max" | "min" };
    results: readonly TensorType[];
  };
  /** The devices' operands concatenated along `axis`, on each device. */
  allGather: {
    operands: [x: TensorType];
    attrs: CollectiveGroup & { readonly axis: number };
    results: [y: TensorType];
  };
  /** This device's slice along `axis` of the sum of the devices' operands. */
  reduceScatter: {
    operands: [x: TensorType];
    attrs: CollectiveGroup & { readonly axis: number };
    results: [y: TensorType];
  };
  /** This device's slice along `splitAxis` of every device's operand, concatenated along `concatAxis`. */
  allToAll: {
    operands: [x: TensorType];
    attrs: CollectiveGroup & { readonly splitAxis: number; readonly concatAxis: number };
    results: [y: TensorType];
  };
  /** This device's slice of an operand that is replicated over a group; nothing is sent. */
  shardSlice: {
    operands: [x: TensorType];
    attrs: CollectiveGroup & { readonly axis: number };
    results: [y: TensorType];
  };
  /** The position of this device in its group, an int32 scalar; nothing is sent. */
  deviceIndex: { operands: []; attrs: CollectiveGroup; results: [y: TensorType] };
}

function requireAxis(op: string, x: TensorType, axis: number): void {
  if (!Number.isInteger(axis) || axis < 0 || axis >= x.shape.length) {
    throw new RangeError(`Cannot ${op} ${formatType(x)} along axis ${axis}: it has ${x.shape.length} axes`);
  }
}

/** The type of one of `size` equal slices along an axis. */
function part(op: string, x: TensorType, axis: number, size: number): TensorType {
  requireAxis(op, x, axis);
  if (x.shape[axis]! % size !== 0) {
    throw new RangeError(
      `Cannot ${op} ${formatType(x)} along axis ${axis} over ${size} devices: ${
        x.shape[axis]
      } is not divisible by ${size}`,
    );
  }
  return { ...x, shape: x.shape.map((length, i) => i === axis ? length / size : length) };
}

function joined(op: string, x: TensorType, axis: number, size: number): TensorType {
  requireAxis(op, x, axis);
  return { ...x, shape: x.shape.map((length, i) => i === axis ? length * size : length) };
}

/** The collective ops. They appear after differentiation and partitioning, so they have neither gradients nor factors. */
export const collectives: OpTable<Collective> = {
  allReduce: {
    infer: (operands) => {
      if (operands.length === 0) throw new TypeError("Cannot allReduce no tensors: give at least one");
      const bad = operands.find(({ dtype }) => dtype === "bool");
      if (bad !== undefined) throw new TypeError(`Cannot allReduce ${formatType(bad)}: cast it to a number first`);
      return operands;
    },
    factors: () => null,
    vjp: null,
  },
  allGather: {
    infer: ([x], { axis, size }) => [joined("allGather", x, axis, size)],
    factors: () => null,
    vjp: null,
  },
  reduceScatter: {
    infer: ([x], { axis, size }) => [part("reduceScatter", x, axis, size)],
    factors: () => null,
    vjp: null,
  },
  allToAll: {
    infer: ([x], { splitAxis, concatAxis, size }) => [
      joined("allToAll", part("allToAll", x, splitAxis, size), concatAxis, size),
    ],
    factors: () => null,
    vjp: null,
  },
  shardSlice: {
    infer: ([x], { axis, size }) => [part("shardSlice", x, axis, size)],
    factors: () => null,
    vjp: null,
  },
  deviceIndex: {
    infer: () => [{ shape: [], dtype: "int32" }],
    factors: () => null,
    vjp: null,
  },
};
