/** Ops that move elements without changing them. */
import { formatType, sameShape, sizeOf, type TensorType } from "../values/dtype.ts";
import { apply, type Tensor } from "../graph/tensor.ts";
import { axisNames, requireSameDType } from "./infer.ts";
import type { OpTable } from "./op.ts";
import { unbroadcast } from "./elementwise.ts";

/** The signatures of the movement family. */
export interface Movement {
  /** The elements, row-major, in another shape. */
  reshape: { operands: [x: TensorType]; attrs: { readonly shape: readonly number[] }; results: [y: TensorType] };
  /** The axes in another order: result axis i is axis `permutation[i]`. */
  transpose: {
    operands: [x: TensorType];
    attrs: { readonly permutation: readonly number[] };
    results: [y: TensorType];
  };
  /** The elements repeated along axes of length one and along new leading axes. */
  broadcastTo: { operands: [x: TensorType]; attrs: { readonly shape: readonly number[] }; results: [y: TensorType] };
  /** Every `strides`-th element from `starts` up to, not including, `limits`. */
  slice: {
    operands: [x: TensorType];
    attrs: {
      readonly starts: readonly number[];
      readonly limits: readonly number[];
      readonly strides: readonly number[];
    };
    results: [y: TensorType];
  };
  /** The elements with `low` before and `high` after them along each axis, filled with `value`. */
  pad: {
    operands: [x: TensorType];
    attrs: { readonly low: readonly number[]; readonly high: readonly number[]; readonly value: number };
    results: [y: TensorType];
  };
  /** The operands concatenated along `axis`. */
  concat: { operands: readonly TensorType[]; attrs: { readonly axis: number }; results: [y: TensorType] };
}

/** The axis order that undoes a permutation. */
export function inversePermutation(permutation: readonly number[]): number[] {
  const inverse = new Array<number>(permutation.length);
  permutation.forEach((from, to) => inverse[from] = to);
  return inverse;
}

/** Tells whether a permutation leaves every axis where it is. */
export function isIdentity(permutation: readonly number[]): boolean {
  return permutation.every((from, to) => from === to);
}

/**
 * Joins tensors along an axis.
 *
 * @throws {TypeError} when there are none, or when their other axes or dtypes differ.
 */
export function concat(tensors: readonly Tensor[], axis: number): Tensor {
  const first = tensors[0];
  if (first === undefined) throw new TypeError("Cannot concat no tensors: give at least one");
  if (tensors.length === 1) return first;
  return apply("concat", tensors, { axis: axis < 0 ? axis + first.rank : axis });
}

/**
 * The factor string of a reshape. Both sides are walked from the left; the shorter of the two current axes is a factor of
 * the longer one when it divides it, so `[12, 5]` to `[3, 4, 5]` is `(a b) c -> a b c`. Axes without such a boundary
 * between them must not be sharded.
 */
function reshapeFactors(from: readonly number[], to: readonly number[]): string {
  const left = from.map((): string[] => []);
  const right = to.map((): string[] => []);
  let names = 0;
  const name = () => axisNames(names + 1)[names++]!;
  let [i, j] = [0, 0];
  // What remains of the two current axes.
  let [x, y] = [from[0] ?? 1, to[0] ?? 1];
  while (i < from.length && j < to.length) {
    if (x === 1) x = from[++i] ?? 1;
    else if (y === 1) y = to[++j] ?? 1;
    else if (x === y || (x > 0 && y > 0 && (x % y === 0 || y % x === 0))) {
      const shared = name();
      left[i]!.push(shared);
      right[j]!.push(shared);
      const length = Math.min(x, y);
      [x, y] = length === 0 ? [1, 1] : [x / length, y / length];
    } else {
      left[i]!.push("!" + name());
      right[j]!.push("!" + name());
      // Continue until the products agree again.
      while (x !== y && (i + 1 < from.length || j + 1 < to.length)) {
        if (j + 1 >= to.length || (x < y && i + 1 < from.length)) {
          x *= from[++i]!;
          left[i]!.push("!" + name());
        } else {
          y *= to[++j]!;
          right[j]!.push("!" + name());
        }
      }
      [x, y] = [1, 1];
    }
  }
  const side = (axes: readonly string[][]) =>
    axes.map((parts) => parts.length === 0 ? "1" : parts.length === 1 ? parts[0] : `(${parts.join(" ")})`).join(" ");
  return `${side(left)} -> ${side(right)}`;
}

/** The movement family. */
export const movement: OpTable<Movement> = {
  reshape: {
    infer: ([x], { shape }) => {
      if (sizeOf(shape) !== sizeOf(x.shape) || shape.some((n) => !Number.isInteger(n) || n < 0)) {
        throw new TypeError(
          `Cannot reshape ${formatType(x)} to [${shape.join(",")}]: it has ${sizeOf(x.shape)} elements, not ${
            sizeOf(shape)
          }`,
        );
      }
      return [{ shape, dtype: x.dtype }];
    },
    factors: ([x], { shape }) => reshapeFactors(x.shape, shape),
    vjp: ([ct], [x]) => [ct.reshape(x.shape)],
  },
  transpose: {
    infer: ([x], { permutation }) => {
      const sorted = [...permutation].sort((a, b) => a - b);
      if (!sameShape(sorted, x.shape.map((_, axis) => axis))) {
        throw new TypeError(
          `Cannot transpose ${formatType(x)} by [${
            permutation.join(",")
          }]: it must name each of the ${x.shape.length} axes once`,
        );
      }
      return [{ shape: permutation.map((axis) => x.shape[axis]!), dtype: x.dtype }];
    },
    factors: ([x], { permutation }) => {
      const names = axisNames(x.shape.length);
      return `${names.join(" ")} -> ${permutation.map((axis) => names[axis]!).join(" ")}`;
    },
    vjp: ([ct], _, { permutation }) => [ct.transpose(inversePermutation(permutation))],
  },
  broadcastTo: {
    infer: ([x], { shape }) => {
      const skip = shape.length - x.shape.length;
      if (skip < 0 || x.shape.some((length, axis) => length !== 1 && length !== shape[axis + skip])) {
        throw new TypeError(
          `Cannot broadcast ${formatType(x)} to [${shape.join(",")}]: every axis must have length 1 or the new length`,
        );
      }
      return [{ shape, dtype: x.dtype }];
    },
    factors: ([x], { shape }) => {
      const names = axisNames(shape.length);
      const skip = shape.length - x.shape.length;
      const operand = x.shape.map((n, axis) => n === 1 && shape[axis + skip] !== 1 ? "1" : names[axis + skip]!);
      return `${operand.join(" ")} -> ${names.join(" ")}`;
    },
    vjp: ([ct], [x]) => [unbroadcast(ct, x.shape)],
  },
  slice: {
    infer: ([x], { starts, limits, strides }) => {
      const ok = starts.length === x.shape.length && limits.length === starts.length &&
        strides.length === starts.length &&
        x.shape.every((n, i) => starts[i]! >= 0 && starts[i]! <= limits[i]! && limits[i]! <= n && strides[i]! >= 1);
      if (!ok) {
        throw new RangeError(
          `Cannot slice ${formatType(x)} from [${starts.join(",")}] to [${limits.join(",")}] by [${
            strides.join(",")
          }]: ` +
            "every start and limit must lie within its axis",
        );
      }
      return [{ shape: starts.map((start, i) => Math.ceil((limits[i]! - start) / strides[i]!)), dtype: x.dtype }];
    },
    factors: ([x], { starts, limits, strides }) => {
      const whole = (axis: number) => starts[axis] === 0 && limits[axis] === x.shape[axis] && strides[axis] === 1;
      const names = axisNames(x.shape.length);
      const from = names.map((name, axis) => whole(axis) ? name : "!" + name);
      const to = names.map((name, axis) => whole(axis) ? name : "!" + name + "o");
      return `${from.join(" ")} -> ${to.join(" ")}`;
    },
    vjp: ([ct], [x], { starts, limits, strides }) => {
      if (strides.some((stride) => stride !== 1)) {
        throw new TypeError(
          `Cannot differentiate a slice by strides [${strides.join(",")}]: only strides of 1 have a gradient`,
        );
      }
      return [apply("pad", [ct], { low: starts, high: x.shape.map((n, axis) => n - limits[axis]!), value: 0 })];
    },
  },
  pad: {
    infer: ([x], { low, high }) => {
      if (low.length !== x.shape.length || high.length !== x.shape.length || [...low, ...high].some((n) => n < 0)) {
        throw new RangeError(
          `Cannot pad ${formatType(x)} by [${low.join(",")}] and [${
            high.join(",")
          }]: give one count of at least 0 per axis`,
        );
      }
      return [{ shape: x.shape.map((length, axis) => low[axis]! + length + high[axis]!), dtype: x.dtype }];
    },
    factors: ([x], { low, high }) => {
      const whole = (axis: number) => low[axis] === 0 && high[axis] === 0;
      const names = axisNames(x.shape.length);
      const from = names.map((name, axis) => whole(axis) ? name : "!" + name);
      const to = names.map((name, axis) => whole(axis) ? name : "!" + name + "o");
      return `${from.join(" ")} -> ${to.join(" ")}`;
    },
    vjp: ([ct], [x], { low }) => [ct.slice(low, x.shape.map((length, axis) => low[axis]! + length))],
  },
  concat: {
    infer: (operands, { axis }) => {
      const first = operands[0];
      if (first === undefined) throw new TypeError("Cannot concat no tensors: give at least one");
      let total = 0;
      for (const other of operands) {
        requireSameDType("concat", first, other);
        const fits = other.shape.length === first.shape.length && axis >= 0 && axis < first.shape.length &&
          other.shape.every((n, i) => i === axis || n === first.shape[i]);
        if (!fits) {
          throw new TypeError(
            `Cannot concat ${operands.map(formatType).join(" and ")} along axis ${axis}: all other axes must agree`,
          );
        }
        total += other.shape[axis]!;
      }
      return [{ shape: first.shape.map((n, i) => i === axis ? total : n), dtype: first.dtype }];
    },
    factors: (operands, { axis }) => {
      const names = axisNames(operands[0]!.shape.length);
      const side = (suffix: string) => names.map((name, i) => i === axis ? "!" + name + suffix : name).join(" ");
      return `${operands.map((_, i) => side(`${i}`)).join(", ")} -> ${side("o")}`;
    },
    vjp: ([ct], operands, { axis }) => {
      let start = 0;
      return operands.map((operand) => {
        const part = ct.sliceAxis(axis, start, start + operand.shape[axis]!);
        start += operand.shape[axis]!;
        return part;
      });
    },
  },
};
