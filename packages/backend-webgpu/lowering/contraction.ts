/** The lowering of `einsum`: one batched matrix product, with as few transposes as its plan needs. */

import type { Contraction } from "@tessera/core";
import { type Primitives, sizeOf } from "@tessera/core";
import { type OperandPlan, planEinsum, type ProductPlan } from "@tessera/runtime/support";
import type { Value } from "../engine/engine.ts";
import { type FamilyLowering, resultType } from "./family.ts";
import { empty, transpose } from "./movement.ts";
import type { Workspace } from "./workspace.ts";

/** One factor as a stack of matrices, [batch, rows, columns], or of their transposes. */
function stack(workspace: Workspace, operand: Value, { permutation, view, batchInside }: OperandPlan): Value {
  const x = permutation === null ? operand : transpose(workspace, operand, permutation);
  const [a, b, c] = view as [number, number, number];
  if (view.length === 2) return workspace.view(x, [1, a, b]);
  // tfjs takes the batch as the outermost axis only.
  return batchInside ? transpose(workspace, workspace.view(x, [a, b, c]), [1, 0, 2]) : workspace.view(x, [a, b, c]);
}

function product(workspace: Workspace, operands: readonly [Value, Value], plan: ProductPlan): Value {
  const { first, second } = plan;
  const result = workspace.kernel("BatchMatMul", {
    a: stack(workspace, operands[first.operand], first),
    b: stack(workspace, operands[second.operand], second),
  }, { transposeA: first.transposed, transposeB: second.transposed });
  if (plan.result === null) return result;
  return transpose(workspace, workspace.view(result, plan.result.shape), plan.result.permutation);
}

/** Lowers an einsum of two tensors. */
export function lowerEinsum(
  workspace: Workspace,
  [a, b]: readonly [Value, Value],
  { spec, scale = 1 }: Primitives["einsum"]["attrs"],
  shape: readonly number[],
): Value {
  if (sizeOf(shape) === 0) return empty(workspace, "float32", shape);
  const scaled = (x: Value) =>
    scale === 1 ? x : workspace.kernel("Multiply", {
      a: x,
      b: workspace.kernel("Fill", {}, { shape: [], value: scale, dtype: "float32" }),
    });
  if (sizeOf(a.shape) === 0 || sizeOf(b.shape) === 0) {
    return workspace.kernel("Fill", {}, { shape: [...shape], value: 0, dtype: "float32" });
  }
  const plan = planEinsum(spec, [a.shape, b.shape]);
  if ("product" in plan) return workspace.view(scaled(product(workspace, [a, b], plan.product)), shape);
  const [x, y] = plan.broadcast.operands.map(({ permutation, view }, i) => {
    const operand = i === 0 ? a : b;
    return workspace.view(permutation === null ? operand : transpose(workspace, operand, permutation), view);
  }) as [Value, Value];
  return workspace.view(scaled(workspace.kernel("Multiply", { a: x, b: y })), shape);
}

/** The contraction family. */
export const contraction: FamilyLowering<keyof Contraction> = {
  einsum: (workspace, operands, attrs, node) => [lowerEinsum(workspace, operands, attrs, resultType(node).shape)],
};
