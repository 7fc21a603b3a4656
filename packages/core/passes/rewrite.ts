/** The walk that every pass is built on: retrace a graph node by node, with a chance to replace each node. */
import { emit, type Graph, type GraphNode, type Tensor, withOrigin, withTrace } from "../graph/tensor.ts";
import { newTrace } from "../graph/trace.ts";

/** Decides what replaces a node: its new results, or `null` to keep it. Operands are already rewritten. */
export type RewriteRule = (node: GraphNode, operands: readonly Tensor[]) => readonly Tensor[] | null;

/** A graph with each node replaced as a rule says. Inputs stay the same values. */
export function rewrite(graph: Graph, rule: RewriteRule): Graph {
  const nodes: GraphNode[] = [];
  const replaced = new Map<Tensor, Tensor>();
  const now = (tensor: Tensor) => replaced.get(tensor) ?? tensor;
  withTrace(newTrace(nodes), () => {
    for (const node of graph.nodes) {
      const operands = node.operands.map(now);
      const results = withOrigin(node.origin, () => rule(node, operands) ?? keep(node, operands, nodes));
      node.results.forEach((result, i) => replaced.set(result, results[i]!));
    }
  });
  return { ...graph, nodes, outputs: graph.outputs.map(now) };
}

/** The node itself while none of its operands changed, else the same op on the new ones. */
function keep(node: GraphNode, operands: readonly Tensor[], nodes: GraphNode[]): readonly Tensor[] {
  if (operands.every((operand, i) => operand === node.operands[i])) {
    nodes.push(node);
    return node.results;
  }
  return emit(node.op, operands, node.attrs);
}
