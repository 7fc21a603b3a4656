/**
 * The lowering of quantized weights: kernels that multiply codes where there is one, and slices that are dequantized one at a time
 * where there is none.
 *
 * Which one is the fastest depends on the number of rows: see `docs/decisions/0020-quantized-weights.md` and 0034.
 */

import { type Composites, parseEinsum, type QuantizationBits, sizeOf, type TensorType } from "@tessera/core";
import type { OnnxValue } from "../model/description.ts";
import { lowerEinsum } from "./contraction.ts";
import { type Matrix, pieces, planes, planesOfRows, scaled, slice } from "./quantized_matrix.ts";
import { timesRounded } from "./quantized_products.ts";
import type { Writer } from "./writer.ts";

function product(lengths: readonly number[]): number {
  return lengths.reduce((total, length) => total * length, 1);
}

/** Tells whether the elements of each scale are neighbors in memory. */
function areRuns(shape: readonly number[], scales: readonly number[]): boolean {
  const from = scales.findIndex((count, axis) => count !== shape[axis]);
  return from < 0 || scales.slice(from + 1).every((count) => count === 1);
}

/** Tensors of one shape with their last axes interleaved: the first element of each, then the second of each, … */
function interleave(writer: Writer, parts: readonly OnnxValue[]): OnnxValue {
  const [first] = parts;
  if (parts.length === 1) return first!;
  const { dtype, shape } = first!;
  const columns = parts.map((part) => writer.reshape(part, [...shape, 1]));
  const stacked = writer.node("Concat", columns, { dtype, shape: [...shape, parts.length] }, {
    attributes: { axis: shape.length },
  });
  return writer.reshape(stacked, [...shape.slice(0, -1), shape.at(-1)! * parts.length]);
}

/** The dequantized elements, float32. */
export function dequantize(
  writer: Writer,
  codes: OnnxValue,
  scales: OnnxValue,
  bits: QuantizationBits,
  shape: readonly number[],
): OnnxValue {
  const runs = sizeOf(scales.shape);
  if (areRuns(shape, scales.shape) && runs > 0) {
    const flat = writer.reshape(scales, [runs]);
    const parts = planes(writer, writer.reshape(codes, [runs, sizeOf(codes.shape) / runs]), bits);
    return writer.reshape(interleave(writer, parts.map((part) => scaled(writer, part, flat, bits))), shape);
  }
  const middle = writer.constant("float32", [], [2 ** (bits - 1)]);
  const bytes = interleave(writer, planes(writer, codes, bits));
  const numbers = writer.node("Sub", [writer.cast(bytes, "float32"), middle], { dtype: "float32", shape });
  // An axis in blocks is two axes, of which the scales have the outer one.
  const blocks = shape.map((length, axis) => [scales.shape[axis]!, length / scales.shape[axis]!] as const);
  const columns = writer.reshape(scales, blocks.flatMap(([count]) => [count, 1]));
  const cut = writer.reshape(numbers, blocks.flat());
  return writer.reshape(writer.node("Mul", [cut, columns], cut), shape);
}

/** Lowers an einsum of a tensor and a quantized weight. */
export function lowerQuantizedEinsum(
  writer: Writer,
  [x, codes, scales]: readonly [OnnxValue, OnnxValue, OnnxValue],
  { spec, bits, roundInput }: Composites["quantizedEinsum"]["attrs"],
  type: TensorType,
): OnnxValue {
  const { a, b, out } = parseEinsum(spec);
  const shape = bits === 8 ? codes.shape : codes.shape.with(-1, 2 * codes.shape.at(-1)!);
  // The weight as a matrix whose columns are summed over, or whose rows are.
  const isSummed = [...b].map((letter) => !out.includes(letter));
  const cut = isSummed.indexOf(!isSummed[0]);
  const isMatrix = cut > 0 && isSummed.slice(cut).every((summed) => summed !== isSummed[0]) &&
    ![...b].some((letter) => a.includes(letter) && out.includes(letter)) && areRuns(shape, scales.shape) &&
    sizeOf(scales.shape) % product(shape.slice(0, cut)) === 0 && sizeOf(type.shape) > 0;
  if (!isMatrix) return lowerEinsum(writer, [x, dequantize(writer, codes, scales, bits, shape)], { spec }, type.shape);

  const columns = product(shape.slice(cut));
  const matrix: Matrix = { codes, scales, bits, rows: sizeOf(shape) / columns, columns };
  const summed = [...b].filter((_, axis) => isSummed[axis]).join("");
  const kept = [...b].filter((_, axis) => !isSummed[axis]).join("");
  const rest = [...a].filter((letter) => !b.includes(letter)).join("");
  const lengths = new Map([...a].map((letter, axis) => [letter, x.shape[axis]!]));
  [...b].forEach((letter, axis) => lengths.set(letter, shape[axis]!));
  const lengthsOf = (letters: string) => [...letters].map((letter) => lengths.get(letter)!);
  const ordered = writer.transpose(x, [...rest + summed].map((letter) => a.indexOf(letter)));
  const input = writer.reshape(ordered, [product(lengthsOf(rest)), product(lengthsOf(summed))]);
  const y = isSummed[0] ? timesMatrix(writer, input, matrix) : timesTransposed(writer, input, matrix, roundInput);
  const open = writer.reshape(y, lengthsOf(rest + kept));
  return writer.transpose(open, [...out].map((letter) => (rest + kept).indexOf(letter)));
}

/** x · Wᵀ, [rows of x, rows of W]. */
function timesTransposed(writer: Writer, x: OnnxValue, weight: Matrix, roundInput: boolean): OnnxValue {
  const rounded = roundInput ? timesRounded(writer, x, weight) : null;
  if (rounded !== null) return rounded;
  const parts = pieces(weight).map(({ from, to }) => {
    const type = { dtype: x.dtype, shape: [x.shape[0]!, to - from] };
    return planesOfRows(writer, weight, from, to).reduce<OnnxValue | null>((sum, plane, which, { length }) => {
      const own = length === 1 ? x : everyNth(writer, x, which, length);
      const y = writer.node("Gemm", [own, plane], type, { attributes: { transB: 1 } });
      return sum === null ? y : writer.node("Add", [sum, y], type);
    }, null)!;
  });
  if (parts.length === 1) return parts[0]!;
  const shape = [x.shape[0]!, weight.rows];
  return writer.node("Concat", parts, { dtype: x.dtype, shape }, { attributes: { axis: 1 } });
}

/** x · W, [rows of x, columns of W]. */
function timesMatrix(writer: Writer, x: OnnxValue, weight: Matrix): OnnxValue {
  const sums: OnnxValue[] = [];
  for (const { from, to } of pieces(weight)) {
    const own = to - from === weight.rows ? x : slice(writer, x, 1, from, to);
    planesOfRows(writer, weight, from, to).forEach((plane, which) => {
      const type = { dtype: x.dtype, shape: [x.shape[0]!, plane.shape[1]!] };
      const y = writer.node("Gemm", [own, plane], type);
      sums[which] = sums[which] === undefined ? y : writer.node("Add", [sums[which], y], type);
    });
  }
  return interleave(writer, sums);
}

/** Every `count`th column from `first` on. */
function everyNth(writer: Writer, x: OnnxValue, first: number, count: number): OnnxValue {
  const [rows, columns] = x.shape as [number, number];
  const groups = writer.reshape(x, [rows, columns / count, count]);
  return writer.reshape(slice(writer, groups, 2, first, first + 1), [rows, columns / count]);
}
