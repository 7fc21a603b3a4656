/** The lowering of the elementwise family: one ONNX node each, in most cases. */

import { type Rule, sameShape } from "@tessera/core";
import type { OnnxValue } from "../model/description.ts";
import { type FamilyLowering, resultType } from "./family.ts";
import type { Writer } from "./writer.ts";

type Unary = Rule<"neg", Writer, OnnxValue>;
type Binary = Rule<"add", Writer, OnnxValue>;

function unary(op: string): Unary {
  return (writer, [x], _, node) => [writer.node(op, [x], resultType(node))];
}

/** The shape that two shapes broadcast to. */
export function broadcast(a: readonly number[], b: readonly number[]): number[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, axis) => {
    const x = a[axis - rank + a.length] ?? 1;
    return x === 1 ? b[axis - rank + b.length] ?? 1 : x;
  });
}

/** Broadcast operands as what they were broadcast from, where the op broadcasts by itself. */
function narrowed(writer: Writer, operands: readonly OnnxValue[], shape: readonly number[]): OnnxValue[] {
  const list = [...operands];
  operands.forEach((operand, i) => {
    const narrow = writer.unexpanded(operand);
    const tried = list.with(i, narrow);
    if (narrow !== operand && sameShape(tried.map((value) => value.shape).reduce(broadcast), shape)) list[i] = narrow;
  });
  return list;
}

function binary(op: string): Binary {
  return (writer, operands, _, node) => {
    const type = resultType(node);
    return [writer.node(op, narrowed(writer, operands, type.shape), type)];
  };
}

/** A comparison, which ONNX does not define for booleans, except for equality. */
function comparison(op: string): Binary {
  return (writer, operands, _, node) => {
    const type = resultType(node);
    const numbers = narrowed(writer, operands, type.shape).map((x) => x.dtype === "bool" ? writer.cast(x, "int32") : x);
    return [writer.node(op, numbers, type)];
  };
}

/** The elementwise family. */
export const elementwise: FamilyLowering<
  | "neg"
  | "abs"
  | "sign"
  | "floor"
  | "exp"
  | "log"
  | "sqrt"
  | "rsqrt"
  | "sin"
  | "cos"
  | "tanh"
  | "sigmoid"
  | "not"
  | "add"
  | "sub"
  | "mul"
  | "div"
  | "pow"
  | "maximum"
  | "minimum"
  | "equal"
  | "less"
  | "lessEqual"
  | "greater"
  | "greaterEqual"
  | "and"
  | "or"
  | "where"
  | "cast"
> = {
  neg: unary("Neg"),
  abs: unary("Abs"),
  sign: unary("Sign"),
  floor: unary("Floor"),
  exp: unary("Exp"),
  log: unary("Log"),
  sqrt: unary("Sqrt"),
  rsqrt: (writer, [x], _, node) => {
    const type = resultType(node);
    return [writer.node("Reciprocal", [writer.node("Sqrt", [x], type)], type)];
  },
  sin: unary("Sin"),
  cos: unary("Cos"),
  tanh: unary("Tanh"),
  sigmoid: unary("Sigmoid"),
  not: unary("Not"),
  add: binary("Add"),
  sub: binary("Sub"),
  mul: binary("Mul"),
  div: binary("Div"),
  pow: binary("Pow"),
  maximum: binary("Max"),
  minimum: binary("Min"),
  equal: binary("Equal"),
  less: comparison("Less"),
  lessEqual: comparison("LessOrEqual"),
  greater: comparison("Greater"),
  greaterEqual: comparison("GreaterOrEqual"),
  and: binary("And"),
  or: binary("Or"),
  where: (writer, operands, _, node) => {
    const type = resultType(node);
    const [condition, a, b] = narrowed(writer, operands, type.shape) as [OnnxValue, OnnxValue, OnnxValue];
    if (type.dtype !== "bool") return [writer.node("Where", [condition, a, b], type)];
    // ONNX Runtime has no Where for booleans: (condition and a) or (not condition and b).
    const logical = (op: string, x: OnnxValue, y: OnnxValue) =>
      writer.node(op, [x, y], { dtype: "bool", shape: broadcast(x.shape, y.shape) });
    const otherwise = writer.node("Not", [condition], condition);
    return [writer.node("Or", [logical("And", condition, a), logical("And", otherwise, b)], type)];
  },
  cast: (writer, [x], { dtype }) => [writer.cast(x, dtype)],
};
