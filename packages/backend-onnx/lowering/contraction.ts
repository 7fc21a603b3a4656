/** The lowering of `einsum`: one matrix product, with as few transposes as its plan needs. */

import type { Primitives, Rule } from "@tessera/core";
import { type OperandPlan, planEinsum, type ProductPlan } from "@tessera/runtime/support";
import type { OnnxValue } from "../model/description.ts";
import type { Writer } from "./writer.ts";

/** Lowers an einsum of two tensors. */
export function lowerEinsum(
  writer: Writer,
  [a, b]: readonly [OnnxValue, OnnxValue],
  { spec, scale = 1 }: Primitives["einsum"]["attrs"],
  shape: readonly number[],
): OnnxValue {
  const plan = planEinsum(spec, [a.shape, b.shape]);
  if ("product" in plan) return writer.reshape(writeProduct(writer, [a, b], plan.product, scale), shape);
  const [x, y] = plan.broadcast.operands.map(({ permutation, view }, i) => {
    const operand = i === 0 ? a : b;
    return writer.reshape(permutation === null ? operand : writer.transpose(operand, permutation), view);
  }) as [OnnxValue, OnnxValue];
  const out = x.shape.map((length, axis) => length === 1 ? y.shape[axis]! : length);
  const products = writer.node("Mul", [x, y], { dtype: a.dtype, shape: out });
  const scaled = scale === 1
    ? products
    : writer.node("Mul", [products, writer.constant(a.dtype, [], [scale])], products);
  return writer.reshape(scaled, shape);
}

function writeProduct(
  writer: Writer,
  operands: readonly [OnnxValue, OnnxValue],
  plan: ProductPlan,
  scale: number,
): OnnxValue {
  const read = (factor: OperandPlan & { readonly operand: 0 | 1 }) => {
    const operand = operands[factor.operand];
    return writer.reshape(
      factor.permutation === null ? operand : writer.transpose(operand, factor.permutation),
      factor.view,
    );
  };
  const { first, second } = plan;
  const y = writeMatMul(writer, read(first), read(second), first, second, plan.product, scale);
  if (plan.result === null) return y;
  return writer.transpose(writer.reshape(y, plan.result.shape), plan.result.permutation);
}

/** The product of two matrices or of two stacks of matrices, times a number. */
function writeMatMul(
  writer: Writer,
  x: OnnxValue,
  y: OnnxValue,
  first: OperandPlan,
  second: OperandPlan,
  shape: readonly number[],
  scale: number,
): OnnxValue {
  const type = { dtype: x.dtype, shape };
  const alpha = scale === 1 ? {} : { alpha: { float: scale } };
  if (shape.length === 2) {
    const attributes = { ...alpha, ...(first.transposed && { transA: 1 }), ...(second.transposed && { transB: 1 }) };
    return writer.node("Gemm", [x, y], type, { attributes });
  }
  const attributes = {
    ...alpha,
    ...(first.transposed && { transA: 1 }),
    ...(second.transposed && { transB: 1 }),
    ...(first.batchInside && { transBatchA: 1 }),
    ...(second.batchInside && { transBatchB: 1 }),
  };
  if (Object.keys(attributes).length === 0) return writer.node("MatMul", [x, y], type);
  return writer.node("FusedMatMul", [x, y], type, { attributes, domain: "com.microsoft" });
}

/** The contraction family. */
export const contraction: { readonly einsum: Rule<"einsum", Writer, OnnxValue> } = {
  einsum: (writer, operands, attrs, node) => [lowerEinsum(writer, operands, attrs, node.results[0]!.shape)],
};
