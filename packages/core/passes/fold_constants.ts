/** Constant folding: values that depend on no input are computed at compile time. */
import { sizeOf } from "../values/dtype.ts";
import { evaluateNode, roundElements } from "../reference/evaluate.ts";
import { isCollective, isComposite } from "../ops/table.ts";
import { emit, type Graph, type Tensor } from "../graph/tensor.ts";
import { rewrite } from "./rewrite.ts";

/** Results with more elements than this are still computed at run time: a graph is no place for big tables. */
const maxElements = 4096;

/** A graph in which small results of constants are constants, rounded as if they had been computed at run time. */
export function foldConstants(graph: Graph): Graph {
  // Only creation ops have no operands.
  const isKnown = (tensor: Tensor) => tensor.producer?.operands.length === 0;
  const isSmall = (tensor: Tensor) => sizeOf(tensor.shape) <= maxElements;
  return rewrite(graph, (node, operands) => {
    if (operands.length === 0 || isComposite(node.op) || isCollective(node.op) || !operands.every(isKnown)) return null;
    if (!operands.every(isSmall) || !node.results.every(isSmall)) return null;
    const values = operands.map(({ producer, index, dtype }) =>
      roundElements(dtype, evaluateNode(producer!, [])[index]!)
    );
    return evaluateNode({ ...node, operands }, values).map((exact, i) => {
      const { shape, dtype } = node.results[i]!;
      const array = roundElements(dtype, exact);
      const first = array[0];
      const uniform = first !== undefined && array.every((value) => Object.is(value, first));
      return uniform
        ? emit("full", [], { shape, dtype, value: first })[0]!
        : emit("constant", [], { shape, dtype, values: [...array] })[0]!;
    });
  });
}
