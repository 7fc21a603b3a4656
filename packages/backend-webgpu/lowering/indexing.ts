/** The lowering of the indexing family. What tfjs has no kernel for is said with positions in the flattened tensor. */

import { hostTensor, type Indexing, inversePermutation, sizeOf } from "@tessera/core";
import type { Value } from "../engine/engine.ts";
import { type FamilyLowering, resultType } from "./family.ts";
import { empty, moving, transpose } from "./movement.ts";
import type { Workspace } from "./workspace.ts";

/** [0, 1, 2, ..] times a step, as int32. */
function counting(workspace: Workspace, count: number, step: number, shape: readonly number[]): Value {
  return workspace.constant(hostTensor("int32", shape, Int32Array.from({ length: count }, (_, i) => i * step)));
}

/**
 * Where in the flattened `x` the elements stand that positions along an axis choose: [a, indices[a, i, b], b] is at
 * (a · length + indices[a, i, b]) · inner + b.
 */
function flatPositions(workspace: Workspace, x: Value, indices: Value, axis: number): Value {
  const outer = sizeOf(x.shape.slice(0, axis));
  const inner = sizeOf(x.shape.slice(axis + 1));
  const own = workspace.view(indices, [outer, indices.shape[axis]!, inner]);
  const terms = [
    counting(workspace, outer, x.shape[axis]! * inner, [outer, 1, 1]),
    counting(workspace, inner, 1, [1, 1, inner]),
  ];
  const step = workspace.constant(hostTensor("int32", [], Int32Array.of(inner)));
  const start = workspace.kernel("Multiply", { a: own, b: step });
  const sum = terms.reduce((a, b) => workspace.kernel("Add", { a, b }), start);
  return workspace.view(sum, [sizeOf(indices.shape)]);
}

/** The base with updates added at positions of axis 0. */
function addRows(workspace: Workspace, base: Value, indices: Value, updates: Value): Value {
  const rows = workspace.kernel("UnsortedSegmentSum", { x: updates, segmentIds: indices }, {
    numSegments: base.shape[0]!,
  });
  return workspace.kernel("Add", { a: base, b: rows });
}

/** The indexing family. */
export const indexing: FamilyLowering<keyof Indexing> = {
  gather: (workspace, [x, indices], { axis }, node) => {
    const { dtype, shape } = resultType(node);
    if (sizeOf(shape) === 0) return [empty(workspace, dtype, shape)];
    return [
      moving(workspace, x, (wide) => workspace.kernel("GatherV2", { x: wide, indices }, { axis, batchDims: 0 })),
    ];
  },
  scatterAdd: (workspace, [base, indices, updates], { axis }) => {
    if (sizeOf(updates.shape) === 0) return [base];
    const others = base.shape.flatMap((_, i) => i === axis ? [] : [i]);
    const front = [axis, ...others];
    const depth = indices.shape.length;
    // The axes of the indices take the place of `axis` in the updates.
    const updatesFront = [
      ...indices.shape.map((_, i) => axis + i),
      ...updates.shape.flatMap((_, i) => i < axis || i >= axis + depth ? [i] : []),
    ];
    const count = sizeOf(indices.shape);
    const inner = sizeOf(others.map((i) => base.shape[i]!));
    const target = transpose(workspace, base, front);
    const added = addRows(
      workspace,
      workspace.view(target, [base.shape[axis]!, inner]),
      workspace.view(indices, [count]),
      workspace.view(transpose(workspace, updates, updatesFront), [count, inner]),
    );
    return [transpose(workspace, workspace.view(added, target.shape), inversePermutation(front))];
  },
  takeAlongAxis: (workspace, [x, indices], { axis }) => {
    if (sizeOf(indices.shape) === 0) return [empty(workspace, x.dtype, indices.shape)];
    const at = flatPositions(workspace, x, indices, axis);
    return [moving(workspace, x, (wide) => {
      const flat = workspace.view(wide, [sizeOf(x.shape)]);
      const taken = workspace.kernel("GatherV2", { x: flat, indices: at }, { axis: 0, batchDims: 0 });
      return workspace.view(taken, indices.shape);
    })];
  },
  addAlongAxis: (workspace, [base, indices, updates], { axis }) => {
    if (sizeOf(updates.shape) === 0) return [base];
    const flat = addRows(
      workspace,
      workspace.view(base, [sizeOf(base.shape)]),
      flatPositions(workspace, base, indices, axis),
      workspace.view(updates, [sizeOf(updates.shape)]),
    );
    return [workspace.view(flat, base.shape)];
  },
  updateSlice: (workspace, [base, update, starts], { axis }) => {
    if (sizeOf(update.shape) === 0) return [base];
    // The position of every element of the update along the axis, [rows, .., length, ..].
    const along = counting(
      workspace,
      update.shape[axis]!,
      1,
      base.shape.map((_, i) => i === axis ? update.shape[i]! : 1),
    );
    const rows = workspace.view(starts, base.shape.map((_, i) => i === 0 ? starts.shape[0]! : 1));
    const positions = workspace.kernel("Add", { a: along, b: rows });
    const reps = update.shape.map((length, i) => i === 0 || i === axis ? 1 : length);
    const at = flatPositions(workspace, base, workspace.kernel("Tile", { x: positions }, { reps }), axis);
    return [moving(workspace, base, (wide) => {
      const flat = workspace.kernel("TensorScatterUpdate", {
        tensor: workspace.view(wide, [sizeOf(base.shape)]),
        indices: workspace.view(at, [sizeOf(update.shape), 1]),
        updates: workspace.view(workspace.wide(update), [sizeOf(update.shape)]),
      });
      return workspace.view(flat, base.shape);
    })];
  },
};
