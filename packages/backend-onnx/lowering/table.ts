/** Which ONNX nodes compute each of our ops: the one place where the two vocabularies meet. */

import type { Lowering } from "@tessera/core";
import type { OnnxValue } from "../model/description.ts";
import { composites } from "./composites.ts";
import { contraction } from "./contraction.ts";
import { elementwise } from "./elementwise.ts";
import { indexing } from "./indexing.ts";
import { creation, movement } from "./movement.ts";
import { reductions } from "./reduction.ts";
import type { Writer } from "./writer.ts";

/** One rule per op; a composite without a good kernel is decomposed. */
export const onnxLowering: Lowering<Writer, OnnxValue> = {
  ...creation,
  ...elementwise,
  ...reductions,
  ...contraction,
  ...movement,
  ...indexing,
  ...composites,
};
