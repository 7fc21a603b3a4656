/** The cost of a graph, counted from its types. */
import { sizeOf } from "../values/dtype.ts";
import { parseEinsum } from "../ops/contraction.ts";
import type { Primitives } from "../ops/table.ts";
import type { Graph, GraphNode } from "../graph/tensor.ts";
import { decompose } from "./decompose.ts";

/**
 * The floating-point operations of a graph's matrix products, a multiplication and an addition counting as two. Nothing
 * else counts, and composites count as what they are made of. A product that appears twice counts twice, so optimize
 * the graph first to count what runs.
 */
export function countOperations(graph: Graph): number {
  return decompose(graph).nodes.reduce((total, node) => total + (node.op === "einsum" ? einsumOperations(node) : 0), 0);
}

/** Two operations for each combination of places along all axes. */
function einsumOperations({ operands, results, attrs }: GraphNode): number {
  const { a, out } = parseEinsum((attrs as Primitives["einsum"]["attrs"]).spec);
  const shape = operands[0]!.shape;
  const summed = [...a].reduce((product, letter, axis) => out.includes(letter) ? product : product * shape[axis]!, 1);
  return summed === 1 ? 0 : 2 * sizeOf(results[0]!.shape) * summed;
}
