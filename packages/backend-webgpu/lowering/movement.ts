/** The lowering of the movement and creation families. Packed elements travel as float32, which loses nothing. */

import {
  type Creation,
  type DType,
  fromElements,
  hostZeros,
  isIdentity,
  type Movement,
  sameShape,
  sizeOf,
} from "@tessera/core";
import { isPacked, storageOf, type Value } from "../engine/engine.ts";
import { type FamilyLowering, resultType } from "./family.ts";
import type { Workspace } from "./workspace.ts";

/** The elements repeated along axes of length one and along new leading axes. */
export function repeat(workspace: Workspace, x: Value, shape: readonly number[]): Value {
  const own = [...new Array<number>(shape.length - x.shape.length).fill(1), ...x.shape];
  const reps = shape.map((length, axis) => own[axis] === 1 ? length : 1);
  const view = workspace.view(x, own);
  return reps.every((count) => count === 1) ? view : workspace.kernel("Tile", { x: view }, { reps });
}

/** The axes in another order. */
export function transpose(workspace: Workspace, x: Value, permutation: readonly number[]): Value {
  const moved = permutation.filter((axis) => x.shape[axis] !== 1);
  const shape = permutation.map((axis) => x.shape[axis]!);
  // Moving axes of length one moves no element.
  if (moved.every((axis, i) => i === 0 || moved[i - 1]! < axis)) return workspace.view(x, shape);
  return workspace.kernel("Transpose", { x }, { perm: [...permutation] });
}

/** Moves the elements of a tensor of any dtype by a rule for those that tfjs has. */
export function moving(workspace: Workspace, x: Value, move: (x: Value) => Value): Value {
  return workspace.rounded(move(workspace.wide(x)), x.dtype);
}

/** A tensor without elements, which kernels do not take. */
export function empty(workspace: Workspace, dtype: DType, shape: readonly number[]): Value {
  return workspace.constant(hostZeros(dtype, shape));
}

/** The movement family. */
export const movement: FamilyLowering<keyof Movement> = {
  reshape: (workspace, [x], { shape }) => [workspace.view(x, shape)],
  transpose: (workspace, [x], { permutation }) => {
    if (isIdentity(permutation)) return [x];
    return [moving(workspace, x, (wide) => transpose(workspace, wide, permutation))];
  },
  broadcastTo: (workspace, [x], { shape }) => {
    if (sizeOf(shape) === 0) return [empty(workspace, x.dtype, shape)];
    return [moving(workspace, x, (wide) => repeat(workspace, wide, shape))];
  },
  slice: (workspace, [x], { starts, limits, strides }, node) => {
    const { dtype, shape } = resultType(node);
    if (sameShape(x.shape, shape)) return [x];
    if (sizeOf(shape) === 0) return [empty(workspace, dtype, shape)];
    return [moving(workspace, x, (wide) => {
      if (strides.every((stride) => stride === 1)) {
        return workspace.kernel("Slice", { x: wide }, { begin: [...starts], size: [...shape] });
      }
      const masks = { beginMask: 0, endMask: 0, ellipsisMask: 0, newAxisMask: 0, shrinkAxisMask: 0 };
      const bounds = { begin: [...starts], end: [...limits], strides: [...strides] };
      return workspace.kernel("StridedSlice", { x: wide }, { ...bounds, ...masks });
    })];
  },
  pad: (workspace, [x], { low, high, value }) => {
    if ([...low, ...high].every((count) => count === 0)) return [x];
    const paddings = low.map((count, axis) => [count, high[axis]!]);
    return [moving(workspace, x, (wide) => workspace.kernel("PadV2", { x: wide }, { paddings, constantValue: value }))];
  },
  concat: (workspace, operands, { axis }, node) => {
    const { dtype } = resultType(node);
    const joined = workspace.kernel("Concat", operands.map((x) => workspace.wide(x)), { axis });
    return [workspace.rounded(joined, dtype)];
  },
};

/** The creation family. */
export const creation: FamilyLowering<keyof Creation> = {
  full: (workspace, _, { shape, dtype, value }) => {
    const filled = workspace.kernel("Fill", {}, {
      shape: [...shape],
      value,
      dtype: isPacked(dtype) ? "float32" : storageOf(dtype),
    });
    return [workspace.rounded(filled, dtype)];
  },
  constant: (
    workspace,
    _,
    { shape, dtype, values },
  ) => [workspace.constant(fromElements(dtype, shape, Float64Array.from(values)))],
  iota: (workspace, _, { shape, dtype, axis }) => {
    const along = shape.map((length, at) => at === axis ? length : 1);
    const positions = Array.from({ length: shape[axis]! }, (_, position) => position);
    if (sizeOf(shape) === 0) return [empty(workspace, dtype, shape)];
    const wide = isPacked(dtype) ? "float32" : dtype;
    const counted = repeat(
      workspace,
      workspace.constant(fromElements(wide, along, Float64Array.from(positions))),
      shape,
    );
    return [workspace.rounded(counted, dtype)];
  },
};
