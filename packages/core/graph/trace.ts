/** Tracing: running a function once on symbolic tensors to get its graph. */
import type { DType, TensorType } from "../values/dtype.ts";
import { opOf } from "../ops/table.ts";
import { apply, type Graph, type GraphNode, Tensor, type Trace, withTrace } from "./tensor.ts";

interface Inputs {
  readonly tensors: Tensor[];
  readonly names: Set<string>;
}

const stack: Inputs[] = [];

/** A fresh trace without nodes. */
export function newTrace(nodes: GraphNode[] = []): Trace {
  return { nodes, infer: (op, operands, attrs) => opOf(op).infer(operands, attrs), origin: null };
}

/**
 * Traces a function: calls it once with a symbolic tensor per input and records what it computes.
 *
 * @throws what the function throws, and what ops throw when their operands do not fit, with the caller's line on the stack.
 */
export function trace<I extends Readonly<Record<string, TensorType>>>(
  name: string,
  inputs: I,
  body: (inputs: { readonly [K in keyof I]: Tensor }) => Readonly<Record<string, Tensor>>,
): Graph {
  const recorded: Inputs = { tensors: [], names: new Set() };
  const context = newTrace();
  stack.push(recorded);
  try {
    return withTrace(context, () => {
      const symbols = Object.fromEntries(Object.entries(inputs).map(([key, type]) => [key, graphInput(key, type)]));
      const outputs = body(symbols as { readonly [K in keyof I]: Tensor });
      return {
        name,
        inputs: recorded.tensors,
        inputNames: [...recorded.names],
        nodes: context.nodes,
        outputs: Object.values(outputs),
        outputNames: Object.keys(outputs),
      };
    });
  } finally {
    stack.pop();
  }
}

/**
 * Adds an input to the graph that is being traced: how variables enter it when they are first read.
 *
 * @throws {TypeError} when nothing is being traced, or when the name is taken.
 */
export function graphInput(name: string, type: TensorType): Tensor {
  const inputs = stack.at(-1);
  if (inputs === undefined) {
    throw new TypeError(
      `Cannot add graph input "${name}": nothing is being traced; call it inside the function given to trace()`,
    );
  }
  if (inputs.names.has(name)) {
    throw new TypeError(`Cannot add graph input "${name}": the graph has an input of that name already`);
  }
  const tensor = new Tensor(type, null, 0);
  inputs.tensors.push(tensor);
  inputs.names.add(name);
  return tensor;
}

/**
 * A tensor whose elements are all `value`.
 *
 * @throws {RangeError} when the dtype is int32 and the value is not an integer.
 */
export function full(shape: readonly number[], value: number, dtype: DType = "float32"): Tensor {
  return apply("full", [], { shape, dtype, value });
}

/**
 * A small tensor of given elements, row-major.
 *
 * @throws {RangeError} when the number of values does not match the shape.
 */
export function constant(values: readonly number[], shape: readonly number[], dtype: DType = "float32"): Tensor {
  return apply("constant", [], { shape, dtype, values });
}

/**
 * A tensor whose elements are their positions along an axis.
 *
 * @throws {RangeError} when the shape has no such axis.
 */
export function iota(shape: readonly number[], axis: number, dtype: DType = "int32"): Tensor {
  return apply("iota", [], { shape, dtype, axis });
}

/**
 * The elements of `a` where the condition holds and of `b` elsewhere.
 *
 * @throws {TypeError} when the condition is not bool, the dtypes differ, or the shapes do not broadcast.
 */
export function where(condition: Tensor, a: Tensor, b: Tensor): Tensor {
  return apply("where", [condition, a, b], {});
}
