/** Computes at compile time what depends on no input. */
import { sizeOf } from "../dtype.ts";
import { evaluateNode } from "../reference/evaluate.ts";
import { isComposite } from "../ops/table.ts";
import { emit, type Graph, type Tensor } from "../tensor.ts";
import { rewrite } from "./rewrite.ts";

/** Results larger than this stay computed: a graph is no place for big tables. */
const maxElements = 4096;

/** A graph in which small results of constants are constants. */
export function foldConstants(graph: Graph): Graph {
  const known = (tensor: Tensor) =>
    tensor.producer !== null && (tensor.producer.op === "constant" || tensor.producer.op === "full");
  return rewrite(graph, (node, operands) => {
    if (operands.length === 0 || isComposite(node.op) || !operands.every(known)) return null;
    if ([...node.results, ...operands].some((value) => sizeOf(value.shape) > maxElements)) return null;
    const values = operands.map((operand) => evaluateNode(operand.producer!, [])[operand.index]!);
    return evaluateNode({ ...node, operands }, values).map((array, i) => {
      const { shape, dtype } = node.results[i]!;
      const first = array[0];
      const uniform = first !== undefined && array.every((value) => value === first);
      return uniform
        ? emit("full", [], { shape, dtype, value: first })[0]!
        : emit("constant", [], { shape, dtype, values: [...array] })[0]!;
    });
  });
}
