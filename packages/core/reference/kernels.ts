/** One slow, obvious kernel per primitive, on float64 elements. */
import { sizeOf, type TensorType } from "../values/dtype.ts";
import { parseEinsum } from "../ops/contraction.ts";
import type { PrimitiveName, Primitives } from "../ops/table.ts";
import type { Attrs } from "../graph/tensor.ts";

/** One operand: its type and its elements. */
export interface ReferenceArray extends TensorType {
  /** The elements, row-major. */
  readonly data: Float64Array;
}

type Kernel<A> = (operands: readonly ReferenceArray[], attrs: A, out: readonly TensorType[]) => Float64Array[];

/** Row-major strides of a shape. */
function stridesOf(shape: readonly number[]): number[] {
  const strides = new Array<number>(shape.length).fill(1);
  for (let axis = shape.length - 2; axis >= 0; axis--) strides[axis] = strides[axis + 1]! * shape[axis + 1]!;
  return strides;
}

/** Fills an array of `shape` by position. */
function build(shape: readonly number[], element: (index: readonly number[]) => number): Float64Array {
  const out = new Float64Array(sizeOf(shape));
  const index = new Array<number>(shape.length).fill(0);
  for (let i = 0; i < out.length; i++) {
    out[i] = element(index);
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      index[axis]!++;
      if (index[axis]! < shape[axis]!) break;
      index[axis] = 0;
    }
  }
  return out;
}

/** The element of an array at a position. */
function at(x: ReferenceArray, index: readonly number[]): number {
  const strides = stridesOf(x.shape);
  return x.data[index.reduce((sum, position, axis) => sum + position * strides[axis]!, 0)]!;
}

/** The element of an array at a position of a shape that it broadcasts to. */
function atBroadcast(x: ReferenceArray, index: readonly number[]): number {
  const skip = index.length - x.shape.length;
  return at(x, x.shape.map((length, axis) => length === 1 ? 0 : index[axis + skip]!));
}

function unary(f: (x: number) => number): Kernel<unknown> {
  return ([x]) => [x!.data.map(f)];
}

function binary(f: (a: number, b: number) => number): Kernel<unknown> {
  return ([a, b], _, [out]) => [build(out!.shape, (index) => f(atBroadcast(a!, index), atBroadcast(b!, index)))];
}

function reduce(start: number, f: (a: number, b: number) => number): Kernel<{ readonly axes: readonly number[] }> {
  return ([x], { axes }) => {
    const kept = x!.shape.map((length, axis) => axes.includes(axis) ? 1 : length);
    const out = new Float64Array(sizeOf(kept)).fill(start);
    const strides = stridesOf(kept);
    build(x!.shape, (index) => {
      const to = index.reduce((sum, position, axis) => sum + (axes.includes(axis) ? 0 : position * strides[axis]!), 0);
      out[to] = f(out[to]!, at(x!, index));
      return 0;
    });
    return [out];
  };
}

function replaced(index: readonly number[], axis: number, position: number): number[] {
  return index.map((own, i) => i === axis ? position : own);
}

const table: { readonly [K in PrimitiveName]: Kernel<Primitives[K]["attrs"]> } = {
  full: (_, { shape, value }) => [new Float64Array(sizeOf(shape)).fill(value)],
  constant: (_, { values }) => [Float64Array.from(values)],
  iota: (_, { shape, axis }) => [build(shape, (index) => index[axis]!)],
  neg: unary((x) => -x),
  abs: unary(Math.abs),
  sign: unary(Math.sign),
  floor: unary(Math.floor),
  exp: unary(Math.exp),
  log: unary(Math.log),
  sqrt: unary(Math.sqrt),
  rsqrt: unary((x) => 1 / Math.sqrt(x)),
  sin: unary(Math.sin),
  cos: unary(Math.cos),
  tanh: unary(Math.tanh),
  sigmoid: unary((x) => 1 / (1 + Math.exp(-x))),
  not: unary((x) => x === 0 ? 1 : 0),
  add: binary((a, b) => a + b),
  sub: binary((a, b) => a - b),
  mul: binary((a, b) => a * b),
  div: ([a, b], attrs, out) =>
    binary(out[0]!.dtype === "int32" ? (x, y) => Math.trunc(x / y) : (x, y) => x / y)([a!, b!], attrs, out),
  pow: binary((a, b) => a ** b),
  maximum: binary(Math.max),
  minimum: binary(Math.min),
  equal: binary((a, b) => a === b ? 1 : 0),
  less: binary((a, b) => a < b ? 1 : 0),
  lessEqual: binary((a, b) => a <= b ? 1 : 0),
  greater: binary((a, b) => a > b ? 1 : 0),
  greaterEqual: binary((a, b) => a >= b ? 1 : 0),
  and: binary((a, b) => a !== 0 && b !== 0 ? 1 : 0),
  or: binary((a, b) => a !== 0 || b !== 0 ? 1 : 0),
  where: ([condition, a, b], _, [out]) => [
    build(
      out!.shape,
      (index) => atBroadcast(condition!, index) !== 0 ? atBroadcast(a!, index) : atBroadcast(b!, index),
    ),
  ],
  cast: ([x], { dtype }) => {
    if (dtype === "bool") return [x!.data.map((value) => value === 0 ? 0 : 1)];
    return [dtype === "int32" || dtype === "uint8" ? x!.data.map(Math.trunc) : x!.data.slice()];
  },
  sum: reduce(0, (a, b) => a + b),
  max: reduce(-Infinity, Math.max),
  min: reduce(Infinity, Math.min),
  argMax: ([x], { axis }, [out]) => [
    build(out!.shape, (index) => {
      let best = 0;
      for (let i = 1; i < x!.shape[axis]!; i++) {
        if (at(x!, index.toSpliced(axis, 0, i)) > at(x!, index.toSpliced(axis, 0, best))) best = i;
      }
      return best;
    }),
  ],
  cumSum: ([x], { axis }, [out]) => [
    build(out!.shape, (index) => {
      let sum = 0;
      for (let i = 0; i <= index[axis]!; i++) sum += at(x!, replaced(index, axis, i));
      return sum;
    }),
  ],
  topK: ([x], { k }) => {
    const width = x!.shape.at(-1)!;
    const rows = x!.data.length / width;
    const values = new Float64Array(rows * k);
    const indices = new Float64Array(rows * k);
    for (let row = 0; row < rows; row++) {
      const own = x!.data.subarray(row * width, (row + 1) * width);
      const order = [...own.keys()].sort((i, j) => own[j]! - own[i]! || i - j).slice(0, k);
      values.set(order.map((i) => own[i]!), row * k);
      indices.set(order, row * k);
    }
    return [values, indices];
  },
  einsum: ([a, b], { spec, scale = 1 }, [out]) => {
    const sides = parseEinsum(spec);
    const lengths = new Map([...sides.a].map((letter, i) => [letter, a!.shape[i]!]));
    [...sides.b].forEach((letter, i) => lengths.set(letter, b!.shape[i]!));
    const summed = [...lengths.keys()].filter((letter) => !sides.out.includes(letter));
    const inner = summed.map((letter) => lengths.get(letter)!);
    return [
      build(out!.shape, (index) => {
        const where = new Map([...sides.out].map((letter, i) => [letter, index[i]!]));
        let sum = 0;
        build(inner, (position) => {
          summed.forEach((letter, i) => where.set(letter, position[i]!));
          sum += at(a!, [...sides.a].map((letter) => where.get(letter)!)) *
            at(b!, [...sides.b].map((letter) => where.get(letter)!));
          return 0;
        });
        return sum * scale;
      }),
    ];
  },
  reshape: ([x]) => [x!.data],
  transpose: ([x], { permutation }, [out]) => [
    build(out!.shape, (index) => {
      const from = new Array<number>(index.length);
      permutation.forEach((axis, to) => from[axis] = index[to]!);
      return at(x!, from);
    }),
  ],
  broadcastTo: ([x], _, [out]) => [build(out!.shape, (index) => atBroadcast(x!, index))],
  slice: ([x], { starts, strides }, [out]) => [
    build(out!.shape, (index) => at(x!, index.map((position, axis) => starts[axis]! + position * strides[axis]!))),
  ],
  pad: ([x], { low, value }, [out]) => [
    build(out!.shape, (index) => {
      const from = index.map((position, axis) => position - low[axis]!);
      return from.every((position, axis) => position >= 0 && position < x!.shape[axis]!) ? at(x!, from) : value;
    }),
  ],
  concat: (operands, { axis }, [out]) => [
    build(out!.shape, (index) => {
      let position = index[axis]!;
      const part = operands.find((operand) => {
        if (position < operand.shape[axis]!) return true;
        position -= operand.shape[axis]!;
        return false;
      })!;
      return at(part, replaced(index, axis, position));
    }),
  ],
  gather: ([x, indices], { axis }, [out]) => {
    const rank = indices!.shape.length;
    return [
      build(out!.shape, (index) => {
        const position = at(indices!, index.slice(axis, axis + rank));
        return at(x!, [...index.slice(0, axis), position, ...index.slice(axis + rank)]);
      }),
    ];
  },
  scatterAdd: ([base, indices, updates], { axis }) => {
    const out = base!.data.slice();
    const strides = stridesOf(base!.shape);
    const rank = indices!.shape.length;
    build(updates!.shape, (index) => {
      const to = [...index.slice(0, axis), at(indices!, index.slice(axis, axis + rank)), ...index.slice(axis + rank)];
      out[to.reduce((sum, position, i) => sum + position * strides[i]!, 0)]! += at(updates!, index);
      return 0;
    });
    return [out];
  },
  takeAlongAxis: ([x, indices], { axis }, [out]) => [
    build(out!.shape, (index) => at(x!, replaced(index, axis, at(indices!, index)))),
  ],
  addAlongAxis: ([base, indices, updates], { axis }) => {
    const out = base!.data.slice();
    const strides = stridesOf(base!.shape);
    build(updates!.shape, (index) => {
      const to = replaced(index, axis, at(indices!, index));
      out[to.reduce((sum, position, i) => sum + position * strides[i]!, 0)]! += at(updates!, index);
      return 0;
    });
    return [out];
  },
  updateSlice: ([base, update, starts], { axis }) => [
    build(base!.shape, (index) => {
      const position = index[axis]! - starts!.data[index[0]!]!;
      return position >= 0 && position < update!.shape[axis]!
        ? at(update!, replaced(index, axis, position))
        : at(base!, index);
    }),
  ],
};

/** One kernel per primitive, for callers that treat all ops alike. */
export const kernels = table as unknown as Readonly<
  Record<
    PrimitiveName,
    (operands: readonly ReferenceArray[], attrs: Attrs, out: readonly TensorType[]) => Float64Array[]
  >
>;
