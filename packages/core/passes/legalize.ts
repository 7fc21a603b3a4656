/** Makes a graph compute only in dtypes that a backend computes in, by casts around what it cannot do. */
import { type DType, isFloat } from "../dtype.ts";
import type { OpName } from "../ops/table.ts";
import { emit, type Graph } from "../tensor.ts";
import { rewrite } from "./rewrite.ts";

/** What a backend can do, as far as dtypes go. */
export interface DTypeSupport {
  /** The dtypes that it computes in. */
  readonly computes: ReadonlySet<DType>;
  /** The ops that it can run on other dtypes too, because they only move elements. */
  readonly moves: ReadonlySet<OpName>;
}

/**
 * A graph whose nodes touch an unsupported float dtype only to cast it or to move it. Such a node computes in float32 and
 * rounds its result, which is what hardware without wider accumulators would give at best.
 */
export function legalize(graph: Graph, { computes, moves }: DTypeSupport): Graph {
  const illegal = (dtype: DType) => isFloat(dtype) && !computes.has(dtype);
  return rewrite(graph, (node, operands) => {
    if (node.op === "cast" || moves.has(node.op)) return null;
    const creates = operands.length === 0 && illegal(node.results[0]!.dtype);
    if (creates) {
      const [wide] = emit(node.op, [], { ...node.attrs, dtype: "float32" });
      return [wide!.cast(node.results[0]!.dtype)];
    }
    if (!operands.some((operand) => illegal(operand.dtype))) return null;
    const widened = operands.map((operand) => illegal(operand.dtype) ? operand.cast("float32") : operand);
    const results = emit(node.op, widened, node.attrs);
    return results.map((result, i) => result.cast(node.results[i]!.dtype));
  });
}
