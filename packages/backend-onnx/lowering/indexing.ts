/** The lowering of the indexing family. Positions stay int32 where ONNX Runtime's kernels take them so. */

import { type Rule, sizeOf } from "@tessera/core";
import type { OnnxValue } from "../model/description.ts";
import { type FamilyLowering, resultType } from "./family.ts";
import type { Writer } from "./writer.ts";

/**
 * Adds updates at positions along axis 0; along another axis, that axis is moved to the front and back.
 *
 * `ScatterND` would need one position per row only, but its threads add without a lock: where a position occurs twice, an
 * update is lost now and then. `ScatterElements` adds in order.
 */
const scatterAdd: Rule<"scatterAdd", Writer, OnnxValue> = (writer, [base, indices, updates], { axis }) => {
  const rank = base.shape.length;
  const front = [axis, ...Array.from({ length: rank }, (_, i) => i).filter((i) => i !== axis)];
  const back = front.map((_, i) => front.indexOf(i));
  const depth = indices.shape.length;
  // The axes of the indices take the place of `axis` in the updates.
  const updatesFront = [
    ...Array.from({ length: depth }, (_, i) => axis + i),
    ...Array.from({ length: updates.shape.length }, (_, i) => i).filter((i) => i < axis || i >= axis + depth),
  ];
  const target = writer.transpose(base, front);
  const count = sizeOf(indices.shape);
  const width = target.shape.slice(1);
  const flat = writer.reshape(writer.transpose(updates, updatesFront), [count, ...width]);
  const positions = writer.expand(writer.reshape(indices, [count, ...width.map(() => 1)]), flat.shape);
  const added = writer.node("ScatterElements", [target, positions, flat], target, {
    attributes: { axis: 0, reduction: "add" },
  });
  return [writer.transpose(added, back)];
};

/** The indexing family. */
export const indexing: FamilyLowering<"gather" | "scatterAdd" | "takeAlongAxis" | "addAlongAxis" | "updateSlice"> = {
  gather: (writer, [x, indices], { axis }, node) => [
    writer.node("Gather", [x, indices], resultType(node), { attributes: { axis } }),
  ],
  scatterAdd,
  takeAlongAxis: (writer, [x, indices], { axis }, node) => [
    writer.node("GatherElements", [x, indices], resultType(node), { attributes: { axis } }),
  ],
  addAlongAxis: (writer, operands, { axis }, node) => [
    writer.node("ScatterElements", operands, resultType(node), { attributes: { axis, reduction: "add" } }),
  ],
  updateSlice: (writer, [base, update, starts], { axis }, node) => [
    writer.node("TensorScatter", [base, update, writer.cast(starts, "int64")], resultType(node), {
      attributes: { axis },
    }),
  ],
};
