/** Replaces composites by their definitions, where a backend has no kernel of its own for them. */
import { type CompositeName, isComposite, opOf } from "../ops/table.ts";
import type { Graph } from "../graph/tensor.ts";
import { rewrite } from "./rewrite.ts";

/** A graph in which every composite left is one that `keeps` accepts; by default none is left. */
export function decompose(graph: Graph, keeps: (op: CompositeName) => boolean = () => false): Graph {
  const expands = (op: Parameters<typeof isComposite>[0]) => isComposite(op) && !keeps(op);
  let current = graph;
  // A definition may use other composites, so repeat until none is left.
  while (current.nodes.some((node) => expands(node.op))) {
    current = rewrite(
      current,
      (node, operands) => expands(node.op) ? opOf(node.op).decompose!(operands, node.attrs) : null,
    );
  }
  return current;
}
