/** The lowering of the movement and creation families. */

import { sizeOf } from "@tessera/core";
import { type FamilyLowering, resultType } from "./family.ts";

/** The movement family. */
export const movement: FamilyLowering<"reshape" | "transpose" | "broadcastTo" | "slice" | "pad" | "concat"> = {
  reshape: (writer, [x], { shape }) => [writer.reshape(x, shape)],
  transpose: (writer, [x], { permutation }) => [writer.transpose(x, permutation)],
  broadcastTo: (writer, [x], { shape }) => [writer.expand(x, shape)],
  slice: (writer, [x], { starts, limits, strides }, node) => {
    const cut = x.shape.flatMap((length, axis) =>
      starts[axis] === 0 && limits[axis] === length && strides[axis] === 1 ? [] : [axis]
    );
    if (cut.length === 0) return [x];
    const along = (list: readonly number[]) => writer.list(cut.map((axis) => list[axis]!));
    return [
      writer.node("Slice", [x, along(starts), along(limits), writer.list(cut), along(strides)], resultType(node)),
    ];
  },
  pad: (writer, [x], { low, high, value }, node) => {
    if ([...low, ...high].every((count) => count === 0)) return [x];
    return [
      writer.node("Pad", [x, writer.list([...low, ...high]), writer.constant(x.dtype, [], [value])], resultType(node)),
    ];
  },
  concat: (writer, operands, { axis }, node) => [
    writer.node("Concat", operands, resultType(node), { attributes: { axis } }),
  ],
};

/** The creation family. */
export const creation: FamilyLowering<"full" | "constant" | "iota"> = {
  full: (writer, _, { shape, dtype, value }) => [writer.expand(writer.constant(dtype, [], [value]), shape)],
  constant: (writer, _, { shape, dtype, values }) => [writer.constant(dtype, shape, values)],
  iota: (writer, _, { shape, dtype, axis }) => {
    if (sizeOf(shape) === 0) return [writer.constant(dtype, shape, [])];
    const along = shape.map((length, at) => at === axis ? length : 1);
    const values = Array.from({ length: shape[axis]! }, (_, position) => position);
    return [writer.expand(writer.constant(dtype, along, values), shape)];
  },
};
