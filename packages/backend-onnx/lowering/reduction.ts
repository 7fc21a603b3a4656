/** The lowering of the reduction family. */

import type { Rule } from "@tessera/core";
import type { OnnxValue } from "../model/description.ts";
import { type FamilyLowering, resultType } from "./family.ts";
import type { Writer } from "./writer.ts";

function reduction(op: string): Rule<"sum", Writer, OnnxValue> {
  return (writer, [x], { axes, keepDims }, node) => {
    // ONNX reads an empty list of axes as all of them.
    if (axes.length === 0) return [x];
    return [writer.node(op, [x, writer.list(axes)], resultType(node), { attributes: { keepdims: keepDims ? 1 : 0 } })];
  };
}

/** The reduction family. */
export const reductions: FamilyLowering<"sum" | "max" | "min" | "argMax" | "cumSum" | "topK"> = {
  sum: reduction("ReduceSum"),
  max: reduction("ReduceMax"),
  min: reduction("ReduceMin"),
  argMax: (writer, [x], { axis }, node) => {
    const { shape } = resultType(node);
    const found = writer.node("ArgMax", [x], { dtype: "int64", shape }, { attributes: { axis, keepdims: 0 } });
    return [writer.cast(found, "int32")];
  },
  cumSum: (writer, [x], { axis }, node) => [
    writer.node("CumSum", [x, writer.constant("int64", [], [axis])], resultType(node)),
  ],
  topK: (writer, [x], { k }, node) => {
    const { dtype, shape } = resultType(node);
    const [values, indices] = writer.nodes("TopK", [x, writer.list([k])], [{ dtype, shape }, {
      dtype: "int64",
      shape,
    }]);
    return [values!, writer.cast(indices!, "int32")];
  },
};
