/** Ops that read or write at positions that are only known when the program runs. Positions are int32. */
import { formatType, type TensorType } from "../values/dtype.ts";
import { apply } from "../graph/tensor.ts";
import { axisNames, requireDType, requireSameDType, requireShape } from "./infer.ts";
import type { OpTable } from "./op.ts";

/** The signatures of the indexing family. */
export interface Indexing {
  /** y[.., i.., ..] = x[.., indices[i..], ..]: an embedding lookup when `axis` is 0. */
  gather: {
    operands: [x: TensorType, indices: TensorType];
    attrs: { readonly axis: number };
    results: [y: TensorType];
  };
  /** The base with updates added at positions along `axis`; repeated positions accumulate. */
  scatterAdd: {
    operands: [base: TensorType, indices: TensorType, updates: TensorType];
    attrs: { readonly axis: number };
    results: [y: TensorType];
  };
  /** y[a, i, b] = x[a, indices[a, i, b], b]. */
  takeAlongAxis: {
    operands: [x: TensorType, indices: TensorType];
    attrs: { readonly axis: number };
    results: [y: TensorType];
  };
  /** The base with updates[a, i, b] added at [a, indices[a, i, b], b]. */
  addAlongAxis: {
    operands: [base: TensorType, indices: TensorType, updates: TensorType];
    attrs: { readonly axis: number };
    results: [y: TensorType];
  };
  /** The base with, for each row r of axis 0, update[r] written from position starts[r] on along `axis`. */
  updateSlice: {
    operands: [base: TensorType, update: TensorType, starts: TensorType];
    attrs: { readonly axis: number };
    results: [y: TensorType];
  };
}

function requireAxis(op: string, x: TensorType, axis: number): void {
  if (!Number.isInteger(axis) || axis < 0 || axis >= x.shape.length) {
    throw new RangeError(`Cannot ${op} ${formatType(x)} along axis ${axis}: it has ${x.shape.length} axes`);
  }
}

/** Requires operands whose axes agree except along `axis`. */
function requireAligned(op: string, x: TensorType, other: TensorType, axis: number): void {
  const fits = other.shape.length === x.shape.length && other.shape.every((n, i) => i === axis || n === x.shape[i]);
  if (!fits) {
    throw new TypeError(
      `Cannot ${op} ${formatType(x)} with ${formatType(other)} along axis ${axis}: all other axes must agree`,
    );
  }
}

/** The shape of `x` with one axis replaced by the axes of `indices`. */
function gatheredShape(x: TensorType, indices: TensorType, axis: number): number[] {
  return [...x.shape.slice(0, axis), ...indices.shape, ...x.shape.slice(axis + 1)];
}

/** Factor names of a gather: those of `x`, of the indices, and of the result. */
function gatherNames(x: TensorType, indices: TensorType, axis: number): [x: string, indices: string, result: string] {
  const own = axisNames(x.shape.length);
  const at = axisNames(indices.shape.length, "i_");
  const result = [...own.slice(0, axis), ...at, ...own.slice(axis + 1)];
  return [own.join(" "), at.join(" "), result.join(" ")];
}

/** Factor names of an op in which one axis has a length of its own in each operand. */
function alignedNames(rank: number, axis: number): { whole: string; part: string } {
  const names = axisNames(rank);
  return {
    whole: names.map((name, i) => i === axis ? "!" + name : name).join(" "),
    part: names.map((name, i) => i === axis ? "!" + name + "p" : name).join(" "),
  };
}

/** The indexing family. */
export const indexing: OpTable<Indexing> = {
  // A sharded vocabulary needs more than the factors say: each device looks up the positions that it holds and gives
  // zeros for the others. The sum over devices is the result.
  gather: {
    infer: ([x, indices], { axis }) => {
      requireAxis("gather", x, axis);
      requireDType("gather", "the indices", indices, "int32");
      return [{ shape: gatheredShape(x, indices, axis), dtype: x.dtype }];
    },
    factors: ([x, indices], { axis }) => {
      const [own, at, result] = gatherNames(x, indices, axis);
      return `${own}, ${at} -> ${result}`;
    },
    vjp: ([ct], [x, indices], { axis }) => {
      const zeros = apply("full", [], { shape: x.shape, dtype: x.dtype, value: 0 });
      return [apply("scatterAdd", [zeros, indices, ct], { axis }), null];
    },
  },
  // Where the updates are sharded, each device adds its shard; the base must count on one device only.
  scatterAdd: {
    infer: ([base, indices, updates], { axis }) => {
      requireAxis("scatterAdd", base, axis);
      requireDType("scatterAdd", "the indices", indices, "int32");
      requireSameDType("scatterAdd", base, updates);
      requireShape("scatterAdd", "the updates", updates, gatheredShape(base, indices, axis));
      return [base];
    },
    factors: ([base, indices], { axis }) => {
      const [own, at, updates] = gatherNames(base, indices, axis);
      const whole = own.split(" ").map((name, i) => i === axis ? "!" + name : name).join(" ");
      return `${whole}, ${at}, ${updates} -> ${whole}`;
    },
    vjp: ([ct], [, indices], { axis }) => [ct, null, ct.gather(indices, axis)],
  },
  takeAlongAxis: {
    infer: ([x, indices], { axis }) => {
      requireAxis("takeAlongAxis", x, axis);
      requireDType("takeAlongAxis", "the indices", indices, "int32");
      requireAligned("takeAlongAxis", x, indices, axis);
      return [{ shape: indices.shape, dtype: x.dtype }];
    },
    factors: ([x], { axis }) => {
      const { whole, part } = alignedNames(x.shape.length, axis);
      return `${whole}, ${part} -> ${part}`;
    },
    vjp: ([ct], [x, indices], { axis }) => {
      const zeros = apply("full", [], { shape: x.shape, dtype: x.dtype, value: 0 });
      return [apply("addAlongAxis", [zeros, indices, ct], { axis }), null];
    },
  },
  addAlongAxis: {
    infer: ([base, indices, updates], { axis }) => {
      requireAxis("addAlongAxis", base, axis);
      requireDType("addAlongAxis", "the indices", indices, "int32");
      requireSameDType("addAlongAxis", base, updates);
      requireAligned("addAlongAxis", base, indices, axis);
      requireShape("addAlongAxis", "the updates", updates, indices.shape);
      return [base];
    },
    factors: ([base], { axis }) => {
      const { whole, part } = alignedNames(base.shape.length, axis);
      return `${whole}, ${part}, ${part} -> ${whole}`;
    },
    vjp: ([ct], [, indices], { axis }) => [ct, null, apply("takeAlongAxis", [ct, indices], { axis })],
  },
  // No gradient: caches are for generation.
  updateSlice: {
    infer: ([base, update, starts], { axis }) => {
      requireAxis("updateSlice", base, axis);
      if (axis === 0) {
        throw new RangeError(`Cannot updateSlice ${formatType(base)} along axis 0: that is the axis of rows`);
      }
      requireSameDType("updateSlice", base, update);
      requireDType("updateSlice", "the starts", starts, "int32");
      requireShape("updateSlice", "the starts", starts, [base.shape[0]!]);
      requireAligned("updateSlice", base, update, axis);
      if (update.shape[axis]! > base.shape[axis]!) {
        throw new RangeError(
          `Cannot updateSlice ${formatType(base)}: ${formatType(update)} is longer along axis ${axis}`,
        );
      }
      return [base];
    },
    factors: ([base], { axis }) => {
      const { whole, part } = alignedNames(base.shape.length, axis);
      return `${whole}, ${part}, a -> ${whole}`;
    },
    vjp: null,
  },
};
