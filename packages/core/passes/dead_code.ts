/** Dead-code elimination: drops the nodes that no output needs. */
import type { Graph, GraphNode, Tensor } from "../graph/tensor.ts";

/** A graph without the nodes on which no output depends. Inputs stay, used or not: they are the program's interface. */
export function eliminateDeadCode(graph: Graph): Graph {
  const live = new Set<Tensor>(graph.outputs);
  const nodes: GraphNode[] = [];
  for (const node of graph.nodes.toReversed()) {
    if (!node.results.some((result) => live.has(result))) continue;
    node.operands.forEach((operand) => live.add(operand));
    nodes.push(node);
  }
  return { ...graph, nodes: nodes.reverse() };
}
