/**
 * The reference evaluator: every primitive in the slowest, most obvious way, in float64.
 *
 * It is the oracle of gradient checks, of backends and of sharding rules, and it folds constants. Nothing a user runs
 * depends on its speed.
 */
import {
  bfloat16Bits,
  bfloat16Value,
  type DType,
  float16Bits,
  float16Value,
  formatType,
  hostArray,
  type HostTensor,
  sameType,
  sizeOf,
} from "../values/dtype.ts";
import { isCollective, isComposite, type PrimitiveName } from "../ops/table.ts";
import { decompose } from "../passes/decompose.ts";
import type { Graph, GraphNode, Tensor } from "../graph/tensor.ts";
import { kernels } from "./kernels.ts";

/** Elements of one value, row-major, whatever its dtype. */
export type Elements = Float64Array;

/**
 * The results of one primitive node on given operands, without rounding to the dtype.
 *
 * @throws {TypeError} when the node is a composite, or a collective.
 */
export function evaluateNode(node: GraphNode, operands: readonly Elements[]): readonly Elements[] {
  if (isComposite(node.op)) throw new TypeError(`Cannot evaluate "${node.op}" by itself: decompose the graph first`);
  if (isCollective(node.op)) throw new TypeError(`Cannot evaluate "${node.op}": it takes the devices of a mesh`);
  const arrays = operands.map((data, i) => ({ shape: node.operands[i]!.shape, dtype: node.operands[i]!.dtype, data }));
  const out = node.results.map((result) => result.type);
  return kernels[node.op as PrimitiveName](arrays, node.attrs, out);
}

function checkCount(graph: Graph, inputs: readonly unknown[]): void {
  if (inputs.length !== graph.inputs.length) {
    throw new TypeError(
      `Cannot evaluate "${graph.name}": it has ${graph.inputs.length} inputs, found ${inputs.length}`,
    );
  }
}

/**
 * The outputs of a graph in float64, without rounding: what gradient checks compare.
 *
 * @throws {TypeError} when the number of inputs is wrong.
 */
export function evaluateExactly(graph: Graph, inputs: readonly Elements[]): Elements[] {
  checkCount(graph, inputs);
  const flat = decompose(graph);
  const values = new Map<Tensor, Elements>(flat.inputs.map((input, i) => [input, inputs[i]!]));
  for (const node of flat.nodes) {
    const results = evaluateNode(node, node.operands.map((operand) => values.get(operand)!));
    node.results.forEach((result, i) => values.set(result, results[i]!));
  }
  return flat.outputs.map((output) => values.get(output)!);
}

const round: { readonly [D in DType]: (value: number) => number } = {
  float32: Math.fround,
  bfloat16: (value) => bfloat16Value(bfloat16Bits(value)),
  float16: (value) => float16Value(float16Bits(value)),
  int32: (value) => value | 0,
  uint8: (value) => value & 255,
  bool: (value) => value === 0 ? 0 : 1,
};

/** Numbers rounded to the ones that a dtype has. */
export function roundElements(dtype: DType, elements: Elements): Elements {
  return elements.map(round[dtype]);
}

/** The elements of a host tensor as numbers. */
export function toElements(tensor: HostTensor): Elements {
  if (tensor.dtype === "bfloat16") return Float64Array.from(tensor.data, bfloat16Value);
  if (tensor.dtype === "float16") return Float64Array.from(tensor.data, float16Value);
  return Float64Array.from(tensor.data);
}

/** Numbers as a host tensor, rounded to its dtype. */
export function fromElements(dtype: DType, shape: readonly number[], elements: Elements): HostTensor {
  const bits = dtype === "bfloat16" ? bfloat16Bits : dtype === "float16" ? float16Bits : round[dtype];
  const data = hostArray(dtype, sizeOf(shape));
  for (let i = 0; i < data.length; i++) data[i] = bits(elements[i]!);
  return { dtype, shape, data };
}

/**
 * The outputs of a graph, each value rounded to its dtype.
 *
 * @throws {TypeError} when the number of inputs is wrong, or when one has the wrong type.
 */
export function evaluate(graph: Graph, inputs: readonly HostTensor[]): HostTensor[] {
  checkCount(graph, inputs);
  graph.inputs.forEach(({ type }, i) => {
    if (!sameType(inputs[i]!, type)) {
      throw new TypeError(
        `Cannot evaluate "${graph.name}": input "${graph.inputNames[i]}" must be ${formatType(type)}, found ${
          formatType(inputs[i]!)
        }`,
      );
    }
  });
  const flat = decompose(graph);
  const values = new Map<Tensor, Elements>(flat.inputs.map((input, i) => [input, toElements(inputs[i]!)]));
  for (const node of flat.nodes) {
    const results = evaluateNode(node, node.operands.map((operand) => values.get(operand)!));
    node.results.forEach((result, i) => values.set(result, roundElements(result.dtype, results[i]!)));
  }
  return flat.outputs.map((output) => fromElements(output.dtype, output.shape, values.get(output)!));
}
