/**
 * The graph as data, and the handle that model code holds while a function is being traced.
 *
 * A `Tensor` is a value of a graph: a type, and the node that computes it. Its methods append nodes to the trace that is
 * under way (see `trace.ts`); nothing is computed here. Operands may be plain numbers where an op takes two tensors.
 */
import { type DType, formatType, isFloat, type TensorType } from "../values/dtype.ts";
import type { Each } from "../ops/op.ts";
import type { OpName, Ops } from "../ops/table.ts";

/** The attributes of any op. */
export type Attrs = Readonly<Record<string, unknown>>;

/** One operation of a graph. */
export interface GraphNode {
  /** The name of the op. */
  readonly op: OpName;
  /** The values it reads. */
  readonly operands: readonly Tensor[];
  /** Its static attributes. */
  readonly attrs: Attrs;
  /** The values it computes. */
  readonly results: readonly Tensor[];
  /** An error made where the node was traced, whose stack points at the line that asked for it. */
  readonly origin: Error;
}

/** A pure function of tensors, as data. Nodes stand in an order in which they can run. */
export interface Graph {
  /** The graph's name, for people. */
  readonly name: string;
  /** The values that a run must supply. */
  readonly inputs: readonly Tensor[];
  /** The operations, each after those that it reads. */
  readonly nodes: readonly GraphNode[];
  /** The values that a run returns. */
  readonly outputs: readonly Tensor[];
  /** A name for each input, for people and for file formats. */
  readonly inputNames: readonly string[];
  /** A name for each output, for people and for file formats. */
  readonly outputNames: readonly string[];
}

/** A trace in progress: where `apply` appends, and how it infers types. */
export interface Trace {
  /** The nodes so far. */
  readonly nodes: GraphNode[];
  /** The result types of an op. */
  readonly infer: (op: OpName, operands: readonly TensorType[], attrs: Attrs) => readonly TensorType[];
  /** The origin of the nodes that a pass or a gradient rule appends; `null` while model code runs. */
  origin: Error | null;
}

const traces: Trace[] = [];

/** Runs `body` with `trace` as the one that ops append to. */
export function withTrace<T>(trace: Trace, body: () => T): T {
  traces.push(trace);
  try {
    return body();
  } finally {
    traces.pop();
  }
}

/** Runs `body` so that the nodes it appends have the origin of the node that they stand for. */
export function withOrigin<T>(origin: Error, body: () => T): T {
  const trace = traces.at(-1)!;
  const before = trace.origin;
  trace.origin = origin;
  try {
    return body();
  } finally {
    trace.origin = before;
  }
}

/**
 * The nodes of the trace under way; ops append to this list.
 *
 * @throws {TypeError} when nothing is being traced.
 */
export function currentNodes(): readonly GraphNode[] {
  const trace = traces.at(-1);
  if (trace === undefined) throw new TypeError("Cannot differentiate here: nothing is being traced");
  return trace.nodes;
}

/** The value that an op returns to its caller: the tensor when there is one result, else the list of them. */
export type Returned<K extends OpName> = Ops[K]["results"] extends readonly [TensorType] ? Tensor
  : Each<Ops[K]["results"], Tensor>;

/**
 * Appends a node to the trace under way and returns its results as a list.
 *
 * @throws {TypeError} when the operands do not fit the op, or when nothing is being traced.
 */
export function emit(op: OpName, operands: readonly Tensor[], attrs: Attrs): readonly Tensor[] {
  const trace = traces.at(-1);
  if (trace === undefined) {
    throw new TypeError(`Cannot apply "${op}": nothing is being traced; call it inside the function given to trace()`);
  }
  const types = trace.infer(op, operands.map((operand) => operand.type), attrs);
  const results: Tensor[] = [];
  const node: GraphNode = {
    op,
    operands,
    attrs,
    results,
    origin: trace.origin ?? new Error(`"${op}" was traced here`),
  };
  types.forEach((type, index) => results.push(new Tensor(type, node, index)));
  trace.nodes.push(node);
  return results;
}

/** Appends a node to the trace under way and returns its result, or its results when it has several. */
export function apply<K extends OpName>(
  op: K,
  operands: Each<Ops[K]["operands"], Tensor>,
  attrs: Ops[K]["attrs"],
): Returned<K> {
  const results = emit(op, operands as readonly Tensor[], attrs as Attrs);
  return (results.length === 1 ? results[0] : results) as Returned<K>;
}

/**
 * A value of a graph. Methods append one op, and throw where its operands do not fit: a `TypeError` for shapes and dtypes,
 * a `RangeError` for axes and positions that do not exist.
 */
export class Tensor {
  /** The shape and element type. */
  readonly type: TensorType;
  /** The node that computes the value; `null` for an input of the graph. */
  readonly producer: GraphNode | null;
  /** Which of the producer's results this is. */
  readonly index: number;

  /** Makes a value; model code gets values from `trace` and from ops instead. */
  constructor(type: TensorType, producer: GraphNode | null, index: number) {
    this.type = type;
    this.producer = producer;
    this.index = index;
  }

  /** The length of each axis. */
  get shape(): readonly number[] {
    return this.type.shape;
  }

  /** The element type. */
  get dtype(): DType {
    return this.type.dtype;
  }

  /** The number of axes. */
  get rank(): number {
    return this.type.shape.length;
  }

  /** The sum of two tensors. */
  add(other: Tensor | number): Tensor {
    return apply("add", [this, operand(other, this)], {});
  }
  /** The difference of two tensors. */
  sub(other: Tensor | number): Tensor {
    return apply("sub", [this, operand(other, this)], {});
  }
  /** The product of two tensors, element by element. */
  mul(other: Tensor | number): Tensor {
    return apply("mul", [this, operand(other, this)], {});
  }
  /** The quotient of two tensors; integers are divided toward zero. */
  div(other: Tensor | number): Tensor {
    return apply("div", [this, operand(other, this)], {});
  }
  /** This tensor to a power. */
  pow(other: Tensor | number): Tensor {
    return apply("pow", [this, operand(other, this)], {});
  }
  /** The larger of two tensors, element by element. */
  maximum(other: Tensor | number): Tensor {
    return apply("maximum", [this, operand(other, this)], {});
  }
  /** The smaller of two tensors, element by element. */
  minimum(other: Tensor | number): Tensor {
    return apply("minimum", [this, operand(other, this)], {});
  }
  /** Whether the elements are equal. */
  equal(other: Tensor | number): Tensor {
    return apply("equal", [this, operand(other, this)], {});
  }
  /** Whether the elements are less than the other's. */
  less(other: Tensor | number): Tensor {
    return apply("less", [this, operand(other, this)], {});
  }
  /** Whether the elements are at most the other's. */
  lessEqual(other: Tensor | number): Tensor {
    return apply("lessEqual", [this, operand(other, this)], {});
  }
  /** Whether the elements are greater than the other's. */
  greater(other: Tensor | number): Tensor {
    return apply("greater", [this, operand(other, this)], {});
  }
  /** Whether the elements are at least the other's. */
  greaterEqual(other: Tensor | number): Tensor {
    return apply("greaterEqual", [this, operand(other, this)], {});
  }
  /** Whether both are true. */
  and(other: Tensor): Tensor {
    return apply("and", [this, other], {});
  }
  /** Whether either is true. */
  or(other: Tensor): Tensor {
    return apply("or", [this, other], {});
  }
  /** Whether the elements are false. */
  not(): Tensor {
    return apply("not", [this], {});
  }
  /** The negated elements. */
  neg(): Tensor {
    return apply("neg", [this], {});
  }
  /** The absolute values. */
  abs(): Tensor {
    return apply("abs", [this], {});
  }
  /** The signs: -1, 0 or 1. */
  sign(): Tensor {
    return apply("sign", [this], {});
  }
  /** The elements rounded down. */
  floor(): Tensor {
    return apply("floor", [this], {});
  }
  /** e to the power of the elements. */
  exp(): Tensor {
    return apply("exp", [this], {});
  }
  /** The natural logarithms. */
  log(): Tensor {
    return apply("log", [this], {});
  }
  /** The square roots. */
  sqrt(): Tensor {
    return apply("sqrt", [this], {});
  }
  /** One over the square roots. */
  rsqrt(): Tensor {
    return apply("rsqrt", [this], {});
  }
  /** The sines. */
  sin(): Tensor {
    return apply("sin", [this], {});
  }
  /** The cosines. */
  cos(): Tensor {
    return apply("cos", [this], {});
  }
  /** The hyperbolic tangents. */
  tanh(): Tensor {
    return apply("tanh", [this], {});
  }
  /** The logistic function, 1 / (1 + exp(-x)). */
  sigmoid(): Tensor {
    return apply("sigmoid", [this], {});
  }
  /** The squares. */
  square(): Tensor {
    return this.mul(this);
  }
  /** The elements in another dtype; the same tensor when it has that dtype already. */
  cast(dtype: DType): Tensor {
    return dtype === this.dtype ? this : apply("cast", [this], { dtype });
  }
  /** The sum over some axes, or over all of them. */
  sum(axes?: number | readonly number[], options?: { readonly keepDims?: boolean }): Tensor {
    return apply("sum", [this], reductionAttrs(this, axes, options));
  }
  /** The largest element over some axes, or over all of them. */
  max(axes?: number | readonly number[], options?: { readonly keepDims?: boolean }): Tensor {
    return apply("max", [this], reductionAttrs(this, axes, options));
  }
  /** The smallest element over some axes, or over all of them. */
  min(axes?: number | readonly number[], options?: { readonly keepDims?: boolean }): Tensor {
    return apply("min", [this], reductionAttrs(this, axes, options));
  }
  /**
   * The mean over some axes, or over all of them.
   *
   * @throws {TypeError} when the elements are not floating-point numbers.
   */
  mean(axes?: number | readonly number[], options?: { readonly keepDims?: boolean }): Tensor {
    if (!isFloat(this.dtype)) {
      throw new TypeError(`Cannot mean ${formatType(this.type)}: it needs a floating-point tensor; cast it first`);
    }
    const attrs = reductionAttrs(this, axes, options);
    const count = attrs.axes.reduce((product, axis) => product * this.shape[axis]!, 1);
    return apply("sum", [this], attrs).mul(1 / count);
  }
  /** The position of the largest element along an axis, int32; the first one when several are equal. */
  argMax(axis: number): Tensor {
    return apply("argMax", [this], { axis: normalizeAxis("argMax", this, axis) });
  }
  /** The elements in another shape; one length may be -1 and is inferred. */
  reshape(shape: readonly number[]): Tensor {
    return apply("reshape", [this], { shape: inferShape(this, shape) });
  }
  /** The axes in another order; result axis `i` is axis `permutation[i]`. */
  transpose(permutation: readonly number[]): Tensor {
    return apply("transpose", [this], { permutation });
  }
  /** The elements repeated along axes of length one, and along new leading axes. */
  broadcastTo(shape: readonly number[]): Tensor {
    return apply("broadcastTo", [this], { shape });
  }
  /** The elements from `starts` up to, not including, `limits`, one of each per axis. */
  slice(starts: readonly number[], limits: readonly number[]): Tensor {
    return apply("slice", [this], { starts, limits, strides: starts.map(() => 1) });
  }
  /** The slice of one axis from `start` up to, not including, `limit`. */
  sliceAxis(axis: number, start: number, limit: number): Tensor {
    const at = normalizeAxis("slice", this, axis);
    return this.slice(this.shape.map((_, i) => i === at ? start : 0), this.shape.map((n, i) => i === at ? limit : n));
  }
  /** The entries along an axis at the given int32 positions; the axis is replaced by the axes of `indices`. */
  gather(indices: Tensor, axis = 0): Tensor {
    return apply("gather", [this, indices], { axis: normalizeAxis("gather", this, axis) });
  }
  /** The type as text, such as `float32[2,3]`. */
  toString(): string {
    return formatType(this.type);
  }
}

/** A tensor as it is, or a number as a scalar of the other operand's dtype. */
export function operand(value: Tensor | number, like: Tensor): Tensor {
  return typeof value === "number" ? apply("full", [], { shape: [], dtype: like.dtype, value }) : value;
}

/**
 * An axis counted from the front, whether it was given from the front or, negative, from the back.
 *
 * @throws {RangeError} when the tensor has no such axis.
 */
export function normalizeAxis(op: string, tensor: { readonly type: TensorType }, axis: number): number {
  const rank = tensor.type.shape.length;
  const at = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(at) || at < 0 || at >= rank) {
    throw new RangeError(`Cannot ${op} ${formatType(tensor.type)} along axis ${axis}: it has ${rank} axes`);
  }
  return at;
}

function reductionAttrs(
  tensor: Tensor,
  axes: number | readonly number[] | undefined,
  options: { readonly keepDims?: boolean } | undefined,
): { axes: readonly number[]; keepDims: boolean } {
  const list = axes === undefined ? tensor.shape.map((_, i) => i) : typeof axes === "number" ? [axes] : axes;
  const normal = list.map((axis) => normalizeAxis("reduce", tensor, axis)).sort((a, b) => a - b);
  return { axes: normal, keepDims: options?.keepDims ?? false };
}

function inferShape(tensor: Tensor, shape: readonly number[]): readonly number[] {
  const at = shape.indexOf(-1);
  if (at < 0) return shape;
  const size = tensor.shape.reduce((product, n) => product * n, 1);
  const known = shape.reduce((product, n, i) => i === at ? product : product * n, 1);
  if (!Number.isInteger(size / known)) {
    throw new TypeError(
      `Cannot reshape ${formatType(tensor.type)} to [${
        shape.join(",")
      }]: ${size} elements are not a multiple of ${known}`,
    );
  }
  return shape.map((n, i) => i === at ? size / known : n);
}

/** Tells whether a tensor has gradients. */
export function isDifferentiable(tensor: Tensor): boolean {
  return isFloat(tensor.dtype);
}
