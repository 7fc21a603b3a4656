/** Ops that combine the elements along some axes. */
import { formatType, type TensorType } from "../values/dtype.ts";
import { apply, type Tensor } from "../graph/tensor.ts";
import { axisNames, requireFloat } from "./infer.ts";
import type { Op, OpTable } from "./op.ts";

interface ReductionOp {
  operands: [x: TensorType];
  attrs: { readonly axes: readonly number[]; readonly keepDims: boolean };
  results: [y: TensorType];
}

/** The signatures of the reduction family. */
export interface Reduction {
  /** The sum over `axes`. */
  sum: ReductionOp;
  /** The largest element over `axes`; its gradient is shared among ties. */
  max: ReductionOp;
  /** The smallest element over `axes`; its gradient is shared among ties. */
  min: ReductionOp;
  /** The position of the largest element along `axis`, the first of several. */
  argMax: { operands: [x: TensorType]; attrs: { readonly axis: number }; results: [y: TensorType] };
  /** The cumulative sum along `axis`, each element included. */
  cumSum: { operands: [x: TensorType]; attrs: { readonly axis: number }; results: [y: TensorType] };
  /** The k largest along the last axis, largest first, and where they are. */
  topK: {
    operands: [x: TensorType];
    attrs: { readonly k: number };
    results: [values: TensorType, indices: TensorType];
  };
}

function checkAxes(op: string, x: TensorType, axes: readonly number[]): void {
  const bad = axes.find((axis, i) => axis < 0 || axis >= x.shape.length || axes.indexOf(axis) !== i);
  if (bad !== undefined) {
    throw new RangeError(
      `Cannot ${op} ${formatType(x)} over axes [${
        axes.join(",")
      }]: axis ${bad} is repeated or is not one of its ${x.shape.length} axes`,
    );
  }
}

function requireNumbers(op: string, x: TensorType): void {
  if (x.dtype === "bool") throw new TypeError(`Cannot ${op} ${formatType(x)}: cast it to a number first`);
}

/** A reduced tensor with its reduced axes restored with length one. */
function restore(y: Tensor, x: Tensor, axes: readonly number[]): Tensor {
  return y.reshape(x.shape.map((length, axis) => axes.includes(axis) ? 1 : length));
}

/** `partial` says that a sharded axis may be reduced shard by shard and the results reduced again. */
function reduction(
  name: string,
  partial: boolean,
  derivative: (ct: Tensor, x: Tensor, y: () => Tensor) => Tensor,
): Op<ReductionOp> {
  return {
    infer: ([x], { axes, keepDims }) => {
      requireNumbers(name, x);
      checkAxes(name, x, axes);
      const shape = keepDims
        ? x.shape.map((length, axis) => axes.includes(axis) ? 1 : length)
        : x.shape.filter((_, axis) => !axes.includes(axis));
      return [{ shape, dtype: x.dtype }];
    },
    factors: ([x], { axes, keepDims }) => {
      const names = axisNames(x.shape.length);
      const result = names.flatMap((axis, i) => axes.includes(i) ? (keepDims ? ["1"] : []) : [axis]);
      const operand = names.map((axis, i) => axes.includes(i) && !partial ? "!" + axis : axis);
      return `${operand.join(" ")} -> ${result.join(" ")}`;
    },
    vjp: ([ct], [x], { axes }, [y]) => {
      const dx = derivative(restore(ct, x, axes), x, () => restore(y, x, axes));
      return [dx.broadcastTo(x.shape)];
    },
  };
}

/** The cotangent of an extreme, shared equally among the elements that attain it. */
function extreme(ct: Tensor, x: Tensor, y: () => Tensor): Tensor {
  const attained = x.equal(y()).cast(x.dtype);
  const axes = x.shape.flatMap((length, axis) => ct.shape[axis] === 1 && length !== 1 ? [axis] : []);
  return attained.mul(ct.div(attained.sum(axes, { keepDims: true })));
}

/** The reduction family. */
export const reductions: OpTable<Reduction> = {
  sum: reduction("sum", true, (ct) => ct),
  max: reduction("max", false, extreme),
  min: reduction("min", false, extreme),
  argMax: {
    infer: ([x], { axis }) => {
      requireNumbers("argMax", x);
      checkAxes("argMax", x, [axis]);
      return [{ shape: x.shape.filter((_, i) => i !== axis), dtype: "int32" }];
    },
    factors: ([x], { axis }) => {
      const names = axisNames(x.shape.length);
      const operand = names.map((name, i) => i === axis ? "!" + name : name).join(" ");
      return `${operand} -> ${names.filter((_, i) => i !== axis).join(" ")}`;
    },
    vjp: null,
  },
  cumSum: {
    infer: ([x], { axis }) => {
      requireNumbers("cumSum", x);
      checkAxes("cumSum", x, [axis]);
      return [x];
    },
    factors: ([x], { axis }) => {
      const names = axisNames(x.shape.length).map((name, i) => i === axis ? "!" + name : name).join(" ");
      return `${names} -> ${names}`;
    },
    // The sum of the cotangents from each position on: the total minus what comes before.
    vjp: ([ct], _, { axis }) => [
      ct.sum(axis, { keepDims: true }).sub(apply("cumSum", [ct], { axis })).add(ct),
    ],
  },
  topK: {
    infer: ([x], { k }) => {
      requireFloat("topK", x);
      const length = x.shape.at(-1);
      if (length === undefined || k < 1 || k > length) {
        throw new RangeError(
          `Cannot take the ${k} largest of ${formatType(x)}: its last axis has ${length ?? 0} elements`,
        );
      }
      const shape = [...x.shape.slice(0, -1), k];
      return [{ shape, dtype: x.dtype }, { shape, dtype: "int32" }];
    },
    factors: ([x]) => {
      const names = axisNames(x.shape.length - 1);
      const result = [...names, "!k"].join(" ");
      return `${[...names, "!z"].join(" ")} -> ${result}, ${result}`;
    },
    vjp: ([ct], [x], _, [, indices]) => {
      const zeros = apply("full", [], { shape: x.shape, dtype: x.dtype, value: 0 });
      return [apply("addAlongAxis", [zeros, indices, ct], { axis: x.rank - 1 })];
    },
  },
};
