/** Quantized weights as matrices, and their rows as floats. */

import { type QuantizationBits, sizeOf } from "@tessera/core";
import type { OnnxValue } from "../model/description.ts";
import type { Writer } from "./writer.ts";

/** A quantized weight as a matrix [rows, columns], with a scale per block along a row or per row. */
export interface Matrix {
  /** The codes, uint8. */
  readonly codes: OnnxValue;
  /** The scales, float32. */
  readonly scales: OnnxValue;
  /** The bits of a code. */
  readonly bits: QuantizationBits;
  /** The number of rows. */
  readonly rows: number;
  /** The number of elements in a row. */
  readonly columns: number;
}

/** At most this many elements of a weight are dequantized at a time. */
export const mostFloats = 2 ** 24;

/** The codes that bytes hold, one list per place within a byte. */
export function planes(writer: Writer, bytes: OnnxValue, bits: QuantizationBits): OnnxValue[] {
  if (bits === 8) return [bytes];
  const number = (value: number) => writer.constant("uint8", [], [value]);
  const low = writer.node("BitwiseAnd", [bytes, number(15)], bytes);
  const high = writer.node("BitShift", [bytes, number(4)], bytes, { attributes: { direction: "RIGHT" } });
  return [low, high];
}

/** Codes less their zero point, times scales, float32: `codes` [blocks, ..], `scales` [blocks]. */
export function scaled(writer: Writer, codes: OnnxValue, scales: OnnxValue, bits: QuantizationBits): OnnxValue {
  const middle = writer.expand(writer.constant("uint8", [], [2 ** (bits - 1)]), scales.shape);
  return writer.node("DequantizeLinear", [codes, scales, middle], { dtype: "float32", shape: codes.shape }, {
    attributes: { axis: 0 },
  });
}

/** Ranges of rows that are small enough to be dequantized at once. */
export function pieces({ rows, columns }: Matrix, most = mostFloats): { readonly from: number; readonly to: number }[] {
  const step = Math.max(1, Math.floor(most / columns));
  return Array.from({ length: Math.ceil(rows / step) }, (_, i) => ({
    from: i * step,
    to: Math.min(rows, (i + 1) * step),
  }));
}

/** Some rows of a weight, dequantized: with 4 bits, its even columns and its odd ones. */
export function planesOfRows(writer: Writer, { codes, scales, bits, rows, columns }: Matrix, from: number, to: number) {
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
export function slice(writer: Writer, x: OnnxValue, axis: number, from: number, to: number): OnnxValue {
  const type = { dtype: x.dtype, shape: x.shape.with(axis, to - from) };
  return writer.node("Slice", [x, writer.list([from]), writer.list([to]), writer.list([axis])], type);
}
