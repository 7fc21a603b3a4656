/** The lowering of the elementwise family: one kernel each, in most cases. */

import { type Elementwise, type Rule, sizeOf } from "@tessera/core";
import type { Value } from "../engine/engine.ts";
import { type FamilyLowering, resultType } from "./family.ts";
import { repeat } from "./movement.ts";
import type { Workspace } from "./workspace.ts";

type Unary = Rule<"neg", Workspace, Value>;
type Binary = Rule<"add", Workspace, Value>;

function unary(kernel: string): Unary {
  return (workspace, [x]) => [workspace.kernel(kernel, { x })];
}

function binary(kernel: string): Binary {
  return (workspace, [a, b]) => [workspace.kernel(kernel, { a, b })];
}

/** A comparison; booleans compare as integers. */
function comparison(kernel: string): Binary {
  return (workspace, operands) => {
    const [a, b] = operands.map((x) =>
      x.dtype === "bool" ? workspace.kernel("Cast", { x }, { dtype: "int32" }) : x
    ) as [Value, Value];
    return [workspace.kernel(kernel, { a, b })];
  };
}

/** The quotient of integers, toward zero: that of their magnitudes, with the sign of the product. */
const divide: Binary = (workspace, [a, b]) => {
  if (a.dtype !== "int32") return [workspace.kernel("RealDiv", { a, b })];
  const [sizeA, sizeB] = [a, b].map((x) => workspace.kernel("Abs", { x })) as [Value, Value];
  const [signA, signB] = [a, b].map((x) =>
    workspace.kernel("Cast", { x: workspace.kernel("Sign", { x }) }, { dtype: "int32" })
  ) as [Value, Value];
  const quotient = workspace.kernel("FloorDiv", { a: sizeA, b: sizeB });
  const sign = workspace.kernel("Multiply", { a: signA, b: signB });
  return [workspace.kernel("Multiply", { a: quotient, b: sign })];
};

/** The elementwise family. */
export const elementwise: FamilyLowering<keyof Elementwise> = {
  neg: unary("Neg"),
  abs: unary("Abs"),
  sign: (workspace, [x]) => {
    const sign = workspace.kernel("Sign", { x });
    return [sign.dtype === x.dtype ? sign : workspace.kernel("Cast", { x: sign }, { dtype: x.dtype })];
  },
  floor: unary("Floor"),
  exp: unary("Exp"),
  log: unary("Log"),
  sqrt: unary("Sqrt"),
  rsqrt: unary("Rsqrt"),
  sin: unary("Sin"),
  cos: unary("Cos"),
  tanh: unary("Tanh"),
  sigmoid: unary("Sigmoid"),
  not: unary("LogicalNot"),
  add: binary("Add"),
  sub: binary("Sub"),
  mul: binary("Multiply"),
  div: divide,
  pow: binary("Pow"),
  maximum: binary("Maximum"),
  minimum: binary("Minimum"),
  equal: comparison("Equal"),
  less: comparison("Less"),
  lessEqual: comparison("LessEqual"),
  greater: comparison("Greater"),
  greaterEqual: comparison("GreaterEqual"),
  and: binary("LogicalAnd"),
  or: binary("LogicalOr"),
  where: (workspace, operands, _, node) => {
    // tfjs's Select repeats no elements.
    const { shape } = resultType(node);
    const flat = operands.map((x) => workspace.view(repeat(workspace, x, shape), [sizeOf(shape)]));
    const [condition, t, e] = flat as [Value, Value, Value];
    return [workspace.view(workspace.kernel("Select", { condition, t, e }), shape)];
  },
  cast: (workspace, [x], { dtype }) => {
    if (x.dtype === dtype) return [x];
    const wide = workspace.wide(x);
    if (dtype === "float32" || dtype === "int32" || dtype === "bool") {
      return [wide.dtype === dtype ? wide : workspace.kernel("Cast", { x: wide }, { dtype })];
    }
    const float = wide.dtype === "float32" ? wide : workspace.kernel("Cast", { x: wide }, { dtype: "float32" });
    return [workspace.rounded(float, dtype)];
  },
};
