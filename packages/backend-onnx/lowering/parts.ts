/**
 * Products of matrices whose rows fall on the same few lines of the processor's first cache, computed in slices that do not.
 *
 * ONNX Runtime's kernels for AVX-512 read 12 rows of the first factor side by side, as they lie. The first cache finds a line by its
 * address modulo 4096 and keeps 8 or 12 lines for each remainder. Rows of 1024, 2048 or 4096 floats, as models have them, leave the
 * same remainder, so they evict each other while they are read again and again. Slices of an odd multiple of 512 floats do not.
 * For the gain, see `docs/decisions/0035-products-in-parts.md`.
 */

import { sizeOf } from "@tessera/core";
import type { OnnxValue } from "../model/description.ts";
import type { NodeToWrite } from "./target.ts";
import type { Writer } from "./writer.ts";

/** The distance in bytes, and its multiples, at which addresses compete for the same lines of the first cache. */
const period = 4096;

/** With fewer rows or columns, arranging the first factor takes longer than it saves. */
const [fewestRows, fewestColumns] = [64, 512];

/** The most that the products of all slices may take together, in bytes. */
const mostBytes = 2 ** 26;

/** How many slices the columns of a first factor are read in to keep its rows from competing. */
function countParts(rowBytes: number): number {
  let parts = 1;
  while (rowBytes / parts % period === 0) parts *= 2;
  return parts;
}

/** Writes a Gemm of two factors as the sum of a stack of products; `null` where it is as fast by itself. */
export function gemmInParts(writer: Writer, { inputs: [x, y], type, attributes }: NodeToWrite): OnnxValue | null {
  const { transA, transB, ...scale } = attributes;
  const [rows, columns] = type.shape as [number, number];
  const inner = x!.shape[1]!;
  const parts = countParts(4 * inner);
  const isWorthwhile = parts > 1 && rows >= fewestRows && columns >= fewestColumns;
  const stackType = { dtype: type.dtype, shape: [parts, rows, columns] };
  if (transA === 1 || type.dtype !== "float32" || !isWorthwhile || 4 * sizeOf(stackType.shape) > mostBytes) return null;
  const width = inner / parts;
  const first = writer.transpose(writer.reshape(x!, [rows, parts, width]), [1, 0, 2]);
  const second = writer.reshape(y!, transB === 1 ? [columns, parts, width] : [parts, width, columns]);
  const stack = writer.node("FusedMatMul", [first, second], stackType, {
    attributes: transB === 1 ? { ...scale, transB, transBatchB: 1 } : scale,
    domain: "com.microsoft",
  });
  // A product with ones adds at the speed of memory; ReduceSum over the first axis takes three to seven times as long.
  const ones = writer.constant(type.dtype, [1, parts], Array.from({ length: parts }, () => 1));
  const size = rows * columns;
  const sum = writer.node("MatMul", [ones, writer.reshape(stack, [parts, size])], {
    dtype: type.dtype,
    shape: [1, size],
  });
  return writer.reshape(sum, type.shape);
}
