/**
 * Reorders the collectives of a local graph so that devices hold and send less.
 *
 * Gradients are scattered as soon as they are computed: until then each device holds all of them, afterwards only its shard. A weight
 * is gathered as it is stored, and transposed or cast to a wider dtype afterwards: a transpose that is part of a product costs
 * nothing, and a narrow dtype sends fewer bytes.
 */
import { bytesPerElement, emit, type Graph, type GraphNode, rewrite, type Tensor } from "@tessera/core";

/** A graph in which each reduce-scatter runs right after its operand is computed. */
export function scatterEarly(graph: Graph): Graph {
  const after = new Map<GraphNode, GraphNode[]>();
  for (const node of graph.nodes) {
    const producer = node.op === "reduceScatter" ? node.operands[0]!.producer : null;
    if (producer === null) continue;
    const list = after.get(producer);
    if (list === undefined) after.set(producer, [node]);
    else list.push(node);
  }
  const moved = new Set([...after.values()].flat());
  const withFollowers = (node: GraphNode): GraphNode[] => [node, ...(after.get(node) ?? []).flatMap(withFollowers)];
  return { ...graph, nodes: graph.nodes.filter((node) => !moved.has(node)).flatMap(withFollowers) };
}

/** A graph in which inputs are gathered as stored, before ops that only change their axis order or dtype. */
export function gatherStored(graph: Graph): Graph {
  const inputs = new Set(graph.inputs);
  return rewrite(graph, ({ op, attrs }, operands) => {
    if (op !== "allGather" || !isForm(operands[0]!, inputs)) return null;
    return [gathered(operands[0]!, attrs.axis as number, attrs)];
  });
}

/** Whether a value is an input in another axis order or a wider dtype. */
function isForm(tensor: Tensor, inputs: ReadonlySet<Tensor>): boolean {
  const node = tensor.producer;
  if (node === null) return false;
  const [from] = node.operands;
  const isWider = node.op === "cast" && bytesPerElement(from!.dtype) <= bytesPerElement(tensor.dtype);
  return (node.op === "transpose" || isWider) && (inputs.has(from!) || isForm(from!, inputs));
}

function gathered(tensor: Tensor, axis: number, attrs: GraphNode["attrs"]): Tensor {
  const node = tensor.producer;
  if (node === null) return emit("allGather", [tensor], { ...attrs, axis })[0]!;
  const permutation = node.attrs.permutation as readonly number[] | undefined;
  return emit(node.op, [gathered(node.operands[0]!, permutation?.[axis] ?? axis, attrs)], node.attrs)[0]!;
}
