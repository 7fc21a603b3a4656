/** The passes in the order in which backends want them. */
import type { Graph } from "../tensor.ts";
import { cancelTransposes } from "./cancel_transposes.ts";
import { eliminateCommonSubexpressions } from "./common_subexpressions.ts";
import { eliminateDeadCode } from "./dead_code.ts";
import { foldConstants } from "./fold_constants.ts";

/** A graph that computes the same with fewer nodes. */
export function optimize(graph: Graph): Graph {
  const folded = foldConstants(eliminateDeadCode(graph));
  // Folding a transpose into the einsum before it can free one after it, so two rounds.
  const cancelled = eliminateDeadCode(cancelTransposes(eliminateDeadCode(cancelTransposes(folded))));
  return eliminateDeadCode(eliminateCommonSubexpressions(cancelled));
}
