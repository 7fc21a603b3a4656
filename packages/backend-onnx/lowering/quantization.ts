/**
 * The lowering of quantised weights: kernels that multiply codes where there is one, and pieces that are made floats one at a time
 * where there is none.
 *
 * Which one is the fastest depends on the number of rows: see `docs/decisions/0020-quantised-weights.md`.
 */

import { type Composites, parseEinsum, type QuantizationBits, sizeOf, type TensorType } from "@tessera/core";
import type { OnnxValue } from "../model/description.ts";
import { lowerEinsum } from "./contraction.ts";
import type { Writer } from "./writer.ts";

/** A weight as a matrix [rows, columns], with a scale per run of neighbours along a row or per row. */
interface Matrix {
  readonly codes: OnnxValue;
  readonly scales: OnnxValue;
  readonly bits: QuantizationBits;
  readonly rows: number;
  readonly columns: number;
}

/** At most this many elements of a weight are made floats at a time. */
const mostFloats = 2 ** 24;

/** With more rows than this, rounding the input and turning the result costs less than a kernel for few rows. */
const fewRows = 16;

/** The most neighbours that may share a scale in ONNX Runtime's kernel for few rows, and the fewest. */
const blockSizes = [128, 64, 32, 16];

function product(lengths: readonly number[]): number {
  return lengths.reduce((total, length) => total * length, 1);
}

/** Tells whether each scale is that of neighbours in memory. */
function areRuns(shape: readonly number[], scales: readonly number[]): boolean {
  const from = scales.findIndex((count, axis) => count !== shape[axis]);
  return from < 0 || scales.slice(from + 1).every((count) => count === 1);
}

/** The codes that bytes hold, one list per place within a byte. */
function planes(writer: Writer, bytes: OnnxValue, bits: QuantizationBits): OnnxValue[] {
  if (bits === 8) return [bytes];
  const number = (value: number) => writer.constant("uint8", [], [value]);
  const low = writer.node("BitwiseAnd", [bytes, number(15)], bytes);
  const high = writer.node("BitShift", [bytes, number(4)], bytes, { attributes: { direction: "RIGHT" } });
  return [low, high];
}

/** Codes around their middle times scales, float32: `codes` [runs, ..], `scales` [runs]. */
function scaled(writer: Writer, codes: OnnxValue, scales: OnnxValue, bits: QuantizationBits): OnnxValue {
  const middle = writer.expand(writer.constant("uint8", [], [2 ** (bits - 1)]), scales.shape);
  return writer.node("DequantizeLinear", [codes, scales, middle], { dtype: "float32", shape: codes.shape }, {
    attributes: { axis: 0 },
  });
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

/** The elements that codes and scales stand for, float32. */
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

/** Lowers an einsum of a tensor and a quantised weight. */
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
  const perRow = sizeOf(weight.scales.shape) === weight.rows;
  if (roundInput && (weight.bits === 4 || x.shape[0]! <= fewRows)) {
    const blocked = timesBlocks(writer, x, weight, perRow);
    if (blocked !== null) return blocked;
  }
  if (roundInput && weight.bits === 8 && perRow) return timesIntegers(writer, x, weight);
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

/** Ranges of rows that are small enough to be made floats at once. */
function pieces({ rows, columns }: Matrix): { readonly from: number; readonly to: number }[] {
  const step = Math.max(1, Math.floor(mostFloats / columns));
  return Array.from({ length: Math.ceil(rows / step) }, (_, i) => ({
    from: i * step,
    to: Math.min(rows, (i + 1) * step),
  }));
}

/** Some rows of a weight as floats: with 4 bits, its even columns and its odd ones. */
function planesOfRows(writer: Writer, { codes, scales, bits, rows, columns }: Matrix, from: number, to: number) {
  const perRow = sizeOf(scales.shape) / rows;
  const bytes = columns * bits / 8;
  const cut = (x: OnnxValue, width: number) => {
    const flat = writer.reshape(x, [rows, width]);
    return to - from === rows ? flat : slice(writer, flat, 0, from, to);
  };
  const runs = (to - from) * perRow;
  const own = writer.reshape(cut(scales, perRow), [runs]);
  return planes(writer, writer.reshape(cut(codes, bytes), [runs, bytes / perRow]), bits).map((plane) =>
    writer.reshape(scaled(writer, plane, own, bits), [to - from, bytes])
  );
}

/** A part of an axis. */
function slice(writer: Writer, x: OnnxValue, axis: number, from: number, to: number): OnnxValue {
  const type = { dtype: x.dtype, shape: x.shape.with(axis, to - from) };
  return writer.node("Slice", [x, writer.list([from]), writer.list([to]), writer.list([axis])], type);
}

/** Every `count`th column from `first` on. */
function everyNth(writer: Writer, x: OnnxValue, first: number, count: number): OnnxValue {
  const [rows, columns] = x.shape as [number, number];
  const groups = writer.reshape(x, [rows, columns / count, count]);
  return writer.reshape(slice(writer, groups, 2, first, first + 1), [rows, columns / count]);
}

/** x · Wᵀ by the kernel for constants in blocks, which rounds x block by block; `null` when it cannot be used. */
function timesBlocks(writer: Writer, x: OnnxValue, weight: Matrix, perRow: boolean): OnnxValue | null {
  const { codes, scales, bits, rows, columns } = weight;
  const own = rows * columns / sizeOf(scales.shape);
  const block = bits === 4 ? blockSizes.find((size) => size === own) : blockSizes.find((size) => columns % size === 0);
  if (block === undefined || columns % block !== 0 || (bits === 8 && !perRow)) return null;
  const count = columns / block;
  const packed = writer.resident(codes, [rows, count, block * bits / 8]);
  const factors = bits === 4 ? writer.resident(scales, [rows, count]) : writer.ones([rows, count]);
  if (packed === null || factors === null) return null;
  const type = { dtype: x.dtype, shape: [x.shape[0]!, rows] };
  const y = writer.node("MatMulNBits", [x, packed, factors], type, {
    attributes: { K: columns, N: rows, bits, block_size: block, accuracy_level: 4 },
    domain: "com.microsoft",
  });
  return bits === 4 ? y : writer.node("Mul", [y, writer.reshape(scales, [rows])], type);
}

/** x · Wᵀ in integers: each row of x is rounded by its largest magnitude; the weight, as it lies, is the first factor. */
function timesIntegers(writer: Writer, x: OnnxValue, { codes, scales, rows, columns }: Matrix): OnnxValue {
  const count = x.shape[0]!;
  const column = { dtype: x.dtype, shape: [count, 1] };
  const number = (value: number) => writer.constant("float32", [], [value]);
  const peak = writer.node("ReduceMax", [writer.node("Abs", [x], x), writer.list([1])], column);
  // Rows of zeros have no magnitude to divide by.
  const unit = writer.node("Mul", [writer.node("Max", [peak, number(1e-30)], column), number(1 / 127)], column);
  const units = writer.reshape(unit, [count]);
  const zeros = writer.expand(writer.constant("int8", [], [0]), [count]);
  const rounded = writer.node("QuantizeLinear", [x, units, zeros], { dtype: "int8", shape: x.shape }, {
    attributes: { axis: 0 },
  });
  const weight = writer.reshape(codes, [rows, columns]);
  const turned = writer.node(
    "MatMulIntegerToFloat",
    [weight, writer.transpose(rounded, [1, 0]), number(1), units, writer.constant("uint8", [], [128])],
    { dtype: x.dtype, shape: [rows, count] },
    { domain: "com.microsoft" },
  );
  const whole = writer.node("Mul", [turned, writer.reshape(scales, [rows, 1])], turned);
  return writer.transpose(whole, [1, 0]);
}
