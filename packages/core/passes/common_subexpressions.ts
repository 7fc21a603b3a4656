/** Common-subexpression elimination: equal nodes are computed once. */
import { attrsKey } from "../graph/attrs.ts";
import { emit, type Graph, type Tensor } from "../graph/tensor.ts";
import { rewrite } from "./rewrite.ts";

/** A graph in which no two nodes have the same op, operands and attributes. */
export function eliminateCommonSubexpressions(graph: Graph): Graph {
  const ids = new Map<Tensor, number>();
  const idOf = (tensor: Tensor) => {
    const id = ids.get(tensor) ?? ids.size;
    ids.set(tensor, id);
    return id;
  };
  const seen = new Map<string, readonly Tensor[]>();
  return rewrite(graph, (node, operands) => {
    const key = `${node.op}(${operands.map(idOf).join(",")})${attrsKey(node.attrs)}`;
    const before = seen.get(key);
    if (before !== undefined) return before;
    const same = operands.every((operand, i) => operand === node.operands[i]);
    if (same) {
      seen.set(key, node.results);
      return null;
    }
    const results = emit(node.op, operands, node.attrs);
    seen.set(key, results);
    return results;
  });
}
