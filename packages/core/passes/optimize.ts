/** The passes in the order in which backends want them. */
import type { Graph } from "../graph/tensor.ts";
import { cancelTransposes } from "./cancel_transposes.ts";
import { eliminateCommonSubexpressions } from "./common_subexpressions.ts";
import { eliminateDeadCode } from "./dead_code.ts";
import { foldConstants } from "./fold_constants.ts";
import { moveFactors } from "./move_factors.ts";

/** One pass can make another applicable, so they run in several rounds; later rounds find little. */
const turns = [cancelTransposes, eliminateDeadCode, moveFactors, eliminateDeadCode];

/** The passes of `optimize`, in order, for callers that do other work in between. */
export const optimizations: readonly ((graph: Graph) => Graph)[] = [
  eliminateDeadCode,
  foldConstants,
  ...turns,
  ...turns,
  ...turns,
  eliminateCommonSubexpressions,
  eliminateDeadCode,
];

/** A graph that computes the same with fewer nodes. */
export function optimize(graph: Graph): Graph {
  return optimizations.reduce((current, pass) => pass(current), graph);
}
