/** Products with quantized weights in integers: the kernels of ONNX Runtime for few rows and for many. */

import { type QuantizationBits, sizeOf } from "@tessera/core";
import type { OnnxValue } from "../model/description.ts";
import { type Matrix, mostFloats, pieces, planesOfRows, slice } from "./quantized_matrix.ts";
import type { Writer } from "./writer.ts";

/**
 * With more rows than this, by bits, rounding the input and turning the result costs less than a kernel for few rows; with 4 bits the
 * weight is converted to 8 on the way.
 */
const fewRows: Readonly<Record<QuantizationBits, number>> = { 8: 16, 4: 64 };

/** The most neighbors that may share a scale in ONNX Runtime's kernel for few rows, and the fewest. */
const blockSizes = [128, 64, 32, 16];

/** x · Wᵀ with x rounded to 8 bits on the way, [rows of x, rows of W]; `null` where no kernel takes such a weight. */
export function timesRounded(writer: Writer, x: OnnxValue, weight: Matrix): OnnxValue | null {
  const perRow = sizeOf(weight.scales.shape) === weight.rows;
  const isFew = x.shape[0]! <= fewRows[weight.bits];
  const blocked = isFew ? timesBlocks(writer, x, weight, perRow) : null;
  if (blocked !== null) return blocked;
  if (weight.bits === 8) return perRow ? timesIntegers(writer, x, weight) : null;
  return isFew ? null : timesWidened(writer, x, weight);
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
  const { rounded, units } = roundRows(writer, x);
  const turned = integerProduct(writer, writer.reshape(codes, [rows, columns]), {
    rounded: writer.transpose(rounded, [1, 0]),
    units,
  });
  const whole = writer.node("Mul", [turned, writer.reshape(scales, [rows, 1])], turned);
  return writer.transpose(whole, [1, 0]);
}

/**
 * How many elements are converted at a time: a quarter of a weight, within bounds. Small slices stay in the processor's caches, and many
 * take long to compile.
 */
function mostAtOnce({ rows, columns }: Matrix): number {
  return Math.min(mostFloats, Math.max(2 ** 22, rows * columns / 4));
}

/**
 * The same for a weight with 4 bits and several scales in a row: its rows are rounded to 8 bits by the largest of them, a piece at a
 * time, which adds a hundredth to the squared error that 4 bits have. Even columns come before odd ones, on both sides.
 */
function timesWidened(writer: Writer, x: OnnxValue, weight: Matrix): OnnxValue {
  const { columns } = weight;
  const { rounded, units } = roundRows(writer, x);
  const count = x.shape[0]!;
  const pairs = writer.transpose(writer.reshape(rounded, [count, columns / 2, 2]), [2, 1, 0]);
  const right = { rounded: writer.reshape(pairs, [columns, count]), units };
  const parts = pieces(weight, mostAtOnce(weight)).map(({ from, to }) => {
    const { codes, steps } = widenedRows(writer, weight, from, to);
    const turned = integerProduct(writer, codes, right);
    return writer.node("Mul", [turned, writer.reshape(steps, [to - from, 1])], turned);
  });
  const turned = parts.length === 1
    ? parts[0]!
    : writer.node("Concat", parts, { dtype: x.dtype, shape: [weight.rows, count] }, { attributes: { axis: 0 } });
  return writer.transpose(turned, [1, 0]);
}

/** Some rows of a weight with 4 bits in 8, uint8 around 128, even columns before odd ones; and the step of each row. */
function widenedRows(writer: Writer, weight: Matrix, from: number, to: number) {
  const count = to - from;
  const perRow = sizeOf(weight.scales.shape) / weight.rows;
  const all = writer.reshape(weight.scales, [weight.rows, perRow]);
  const own = count === weight.rows ? all : slice(writer, all, 0, from, to);
  // The codes of 4 bits reach from -8 to 7, on either side of zero.
  const steps = unitsOf(writer, own, 8 / 127);
  const middle = writer.expand(writer.constant("uint8", [], [128]), [count]);
  const planes = planesOfRows(writer, weight, from, to).map((plane) =>
    writer.node("QuantizeLinear", [plane, steps, middle], { dtype: "uint8", shape: plane.shape }, {
      attributes: { axis: 0 },
    })
  );
  const shape = [count, weight.columns];
  return { codes: writer.node("Concat", planes, { dtype: "uint8", shape }, { attributes: { axis: 1 } }), steps };
}

/** The largest magnitude in each row times a factor; rows of zeros get one that can be divided by. */
function unitsOf(writer: Writer, x: OnnxValue, factor: number): OnnxValue {
  const column = { dtype: x.dtype, shape: [x.shape[0]!, 1] };
  const number = (value: number) => writer.constant("float32", [], [value]);
  const peak = writer.node("ReduceMax", [writer.node("Abs", [x], x), writer.list([1])], column);
  const unit = writer.node("Mul", [writer.node("Max", [peak, number(1e-30)], column), number(factor)], column);
  return writer.reshape(unit, [x.shape[0]!]);
}

/** Numbers in 8 bits, with a step per row. */
interface Rounded {
  readonly rounded: OnnxValue;
  readonly units: OnnxValue;
}

/** Rows rounded by their largest magnitudes. */
function roundRows(writer: Writer, x: OnnxValue): Rounded {
  const units = unitsOf(writer, x, 1 / 127);
  const zeros = writer.expand(writer.constant("int8", [], [0]), units.shape);
  const rounded = writer.node("QuantizeLinear", [x, units, zeros], { dtype: "int8", shape: x.shape }, {
    attributes: { axis: 0 },
  });
  return { rounded, units };
}

/** codes · x, float32: codes around 128 in steps of one, [rows, columns], times the columns of x. */
function integerProduct(writer: Writer, codes: OnnxValue, x: Rounded): OnnxValue {
  return writer.node(
    "MatMulIntegerToFloat",
    [codes, x.rounded, writer.constant("float32", [], [1]), x.units, writer.constant("uint8", [], [128])],
    { dtype: "float32", shape: [codes.shape[0]!, x.rounded.shape[1]!] },
    { domain: "com.microsoft" },
  );
}
