/** Makes a graph compute only in dtypes that a backend computes in, by casts around what it cannot do. */
import { type DType, isFloat } from "../values/dtype.ts";
import type { OpName } from "../ops/table.ts";
import { emit, type Graph } from "../graph/tensor.ts";
import { rewrite } from "./rewrite.ts";

/** The dtypes that a backend supports. */
export interface DTypeSupport {
  /** The dtypes that it computes in. */
  readonly computes: ReadonlySet<DType>;
  /** The ops that it can run on other dtypes too, because they only move elements. */
  readonly moves: ReadonlySet<OpName>;
}

/** Composites with an operand that is uint8 by definition, which needs no cast. */
const takesCodes: ReadonlySet<OpName> = new Set<OpName>(["dequantize", "quantizedEinsum"]);

/**
 * A graph whose nodes touch an unsupported dtype only to cast it or to move it. Such a node computes in float32 and rounds its
 * result, which is what hardware without wider accumulators would give at best; for uint8 it computes in int32.
 */
export function legalize(graph: Graph, { computes, moves }: DTypeSupport): Graph {
  const legal = (dtype: DType): DType => {
    if (computes.has(dtype)) return dtype;
    return isFloat(dtype) ? "float32" : dtype === "uint8" ? "int32" : dtype;
  };
  return rewrite(graph, (node, operands) => {
    if (node.op === "cast" || moves.has(node.op)) return null;
    const { dtype } = node.results[0]!;
    if (operands.length === 0) {
      if (legal(dtype) === dtype) return null;
      const [wide] = emit(node.op, [], { ...node.attrs, dtype: legal(dtype) });
      return [wide!.cast(dtype)];
    }
    const widened = operands.map((operand) =>
      operand.dtype === "uint8" && takesCodes.has(node.op) ? operand : operand.cast(legal(operand.dtype))
    );
    if (widened.every((operand, i) => operand === operands[i])) return null;
    const results = emit(node.op, widened, node.attrs);
    return results.map((result, i) => result.cast(node.results[i]!.dtype));
  });
}
