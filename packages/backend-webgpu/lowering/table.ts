/** Which tfjs kernels compute each of our ops: the one place where the two vocabularies meet. */

import type { Lowering } from "@tessera/core";
import type { Value } from "../engine/engine.ts";
import { composites } from "./composites.ts";
import { contraction } from "./contraction.ts";
import { elementwise } from "./elementwise.ts";
import { indexing } from "./indexing.ts";
import { creation, movement } from "./movement.ts";
import { reductions } from "./reduction.ts";
import type { Workspace } from "./workspace.ts";

/** One rule per op; a composite without a good kernel is decomposed. */
export const tfjsLowering: Lowering<Workspace, Value> = {
  ...creation,
  ...elementwise,
  ...reductions,
  ...contraction,
  ...movement,
  ...indexing,
  ...composites,
};
