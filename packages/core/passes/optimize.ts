/** The passes in the order in which backends want them. */
import type { Graph } from "../tensor.ts";
import { cancelTransposes } from "./cancel_transposes.ts";
import { eliminateCommonSubexpressions } from "./common_subexpressions.ts";
import { eliminateDeadCode } from "./dead_code.ts";
import { foldConstants } from "./fold_constants.ts";
import { moveFactors } from "./move_factors.ts";

/** What one of the passes does can make room for another, so they take turns; later turns find little. */
const rounds = 3;

/** A graph that computes the same with fewer nodes. */
export function optimize(graph: Graph): Graph {
  let current = foldConstants(eliminateDeadCode(graph));
  for (let round = 0; round < rounds; round++) {
    current = eliminateDeadCode(cancelTransposes(current));
    current = eliminateDeadCode(moveFactors(current));
  }
  return eliminateDeadCode(eliminateCommonSubexpressions(current));
}
