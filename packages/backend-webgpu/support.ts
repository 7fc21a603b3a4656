/** What tfjs computes in. */

import type { DType, DTypeSupport, OpName } from "@tessera/core";

/** tfjs computes in float32, int32 and booleans; elements of other dtypes are only moved, packed in integers. */
export const tfjsSupport: DTypeSupport = {
  computes: new Set<DType>(["float32", "int32", "bool"]),
  moves: new Set<OpName>(["reshape", "transpose", "slice", "concat", "gather", "takeAlongAxis", "updateSlice"]),
};
