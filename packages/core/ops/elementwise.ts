/**
 * Ops that compute each element of the result from the elements at the same place of the operands.
 *
 * Two-operand ops broadcast by NumPy's rules; the gradient of a broadcast operand is summed back to its shape.
 */
import { type DType, formatType, isFloat, type TensorType } from "../values/dtype.ts";
import { apply, type Tensor } from "../graph/tensor.ts";
import { broadcastShapes, elementwiseFactors, requireDType, requireFloat, requireSameDType } from "./infer.ts";
import type { NoAttrs, Op, OpTable, Vjp } from "./op.ts";

interface UnaryOp {
  operands: [x: TensorType];
  attrs: NoAttrs;
  results: [y: TensorType];
}
interface BinaryOp {
  operands: [a: TensorType, b: TensorType];
  attrs: NoAttrs;
  results: [y: TensorType];
}

/** The signatures of the elementwise family. */
export interface Elementwise {
  /** -x. */
  neg: UnaryOp;
  /** The absolute value. */
  abs: UnaryOp;
  /** -1, 0 or 1; its gradient is zero. */
  sign: UnaryOp;
  /** The largest integer that is not above x. */
  floor: UnaryOp;
  /** e to the power x. */
  exp: UnaryOp;
  /** The natural logarithm. */
  log: UnaryOp;
  /** The square root. */
  sqrt: UnaryOp;
  /** One over the square root. */
  rsqrt: UnaryOp;
  /** The sine of x radians. */
  sin: UnaryOp;
  /** The cosine of x radians. */
  cos: UnaryOp;
  /** The hyperbolic tangent. */
  tanh: UnaryOp;
  /** 1 / (1 + exp(-x)). */
  sigmoid: UnaryOp;
  /** Whether x is false. */
  not: UnaryOp;
  /** a + b. */
  add: BinaryOp;
  /** a - b. */
  sub: BinaryOp;
  /** a · b. */
  mul: BinaryOp;
  /** a / b; integers are divided toward zero. */
  div: BinaryOp;
  /** a to the power b. */
  pow: BinaryOp;
  /** The larger of the two; on a tie the gradient goes to `a`. */
  maximum: BinaryOp;
  /** The smaller of the two; on a tie the gradient goes to `a`. */
  minimum: BinaryOp;
  /** Whether a = b. */
  equal: BinaryOp;
  /** Whether a < b. */
  less: BinaryOp;
  /** Whether a ≤ b. */
  lessEqual: BinaryOp;
  /** Whether a > b. */
  greater: BinaryOp;
  /** Whether a ≥ b. */
  greaterEqual: BinaryOp;
  /** Whether both are true. */
  and: BinaryOp;
  /** Whether either is true. */
  or: BinaryOp;
  /** `a` where the condition holds and `b` elsewhere. */
  where: {
    operands: [condition: TensorType, a: TensorType, b: TensorType];
    attrs: NoAttrs;
    results: [y: TensorType];
  };
  /** x in another dtype: floats round to nearest even, and toward zero on the way to int32. */
  cast: { operands: [x: TensorType]; attrs: { readonly dtype: DType }; results: [y: TensorType] };
}

/** A cotangent summed over the axes along which an operand of `shape` was broadcast. */
export function unbroadcast(ct: Tensor, shape: readonly number[]): Tensor {
  const extra = ct.rank - shape.length;
  const axes = ct.shape.flatMap((length, axis) =>
    axis < extra || (shape[axis - extra] === 1 && length !== 1) ? [axis] : []
  );
  return axes.length === 0 ? ct : ct.sum(axes).reshape(shape);
}

/** The scalar 1 in a tensor's dtype. */
function one(like: Tensor): Tensor {
  return apply("full", [], { shape: [], dtype: like.dtype, value: 1 });
}

function unary(
  name: string,
  derivative: ((ct: Tensor, x: Tensor, y: Tensor) => Tensor | null) | null,
  ints = false,
): Op<UnaryOp> {
  return {
    infer: ([x]) => {
      if (!(ints && x.dtype === "int32")) requireFloat(name, x);
      return [x];
    },
    factors: ([x]) => elementwiseFactors([x], x.shape),
    vjp: derivative && (([ct], [x], _, [y]) => [derivative(ct, x, y)]),
  };
}

function arithmetic(name: string, vjp: Vjp<BinaryOp> | null): Op<BinaryOp> {
  return {
    infer: ([a, b]) => {
      const dtype = requireSameDType(name, a, b);
      if (dtype === "bool") {
        throw new TypeError(`Cannot ${name} ${formatType(a)} and ${formatType(b)}: they are not numbers`);
      }
      return [{ shape: broadcastShapes(name, a, b), dtype }];
    },
    factors: ([a, b]) => elementwiseFactors([a, b], broadcastShapes(name, a, b)),
    vjp: vjp && ((cts, operands, attrs, results) => {
      const [da, db] = vjp(cts, operands, attrs, results);
      return [da && unbroadcast(da, operands[0].shape), db && unbroadcast(db, operands[1].shape)];
    }),
  };
}

function comparison(name: string): Op<BinaryOp> {
  return {
    infer: ([a, b]) => {
      requireSameDType(name, a, b);
      return [{ shape: broadcastShapes(name, a, b), dtype: "bool" }];
    },
    factors: ([a, b]) => elementwiseFactors([a, b], broadcastShapes(name, a, b)),
    vjp: null,
  };
}

function logical(name: string): Op<BinaryOp> {
  return {
    infer: ([a, b]) => {
      requireDType(name, "the first operand", a, "bool");
      requireDType(name, "the second operand", b, "bool");
      return [{ shape: broadcastShapes(name, a, b), dtype: "bool" }];
    },
    factors: ([a, b]) => elementwiseFactors([a, b], broadcastShapes(name, a, b)),
    vjp: null,
  };
}

/** Where the first operand wins a `maximum` or `minimum`: one there, zero elsewhere, so that ties count once. */
function share(mask: Tensor, ct: Tensor): [Tensor, Tensor] {
  const chosen = mask.cast(ct.dtype).mul(ct);
  return [chosen, ct.sub(chosen)];
}

/** The elementwise family. */
export const elementwise: OpTable<Elementwise> = {
  neg: unary("neg", (ct) => ct.neg(), true),
  abs: unary("abs", (ct, x) => ct.mul(x.sign()), true),
  // Its gradient is zero, so that the gradient of abs has a gradient too.
  sign: unary("sign", () => null, true),
  floor: unary("floor", null),
  exp: unary("exp", (ct, _, y) => ct.mul(y)),
  log: unary("log", (ct, x) => ct.div(x)),
  // d sqrt(x) = dx / (2 sqrt(x))
  sqrt: unary("sqrt", (ct, _, y) => ct.div(y.mul(2))),
  // d x^(-1/2) = -1/2 x^(-3/2) dx
  rsqrt: unary("rsqrt", (ct, _, y) => ct.mul(y.mul(y).mul(y).mul(-0.5))),
  sin: unary("sin", (ct, x) => ct.mul(x.cos())),
  cos: unary("cos", (ct, x) => ct.mul(x.sin()).neg()),
  // d tanh(x) = (1 - tanh(x)^2) dx
  tanh: unary("tanh", (ct, _, y) => ct.mul(one(y).sub(y.square()))),
  sigmoid: unary("sigmoid", (ct, _, y) => ct.mul(y.sub(y.mul(y)))),
  not: {
    infer: ([x]) => {
      requireDType("not", "the operand", x, "bool");
      return [x];
    },
    factors: ([x]) => elementwiseFactors([x], x.shape),
    vjp: null,
  },
  add: arithmetic("add", ([ct]) => [ct, ct]),
  sub: arithmetic("sub", ([ct]) => [ct, ct.neg()]),
  mul: arithmetic("mul", ([ct], [a, b]) => [ct.mul(b), ct.mul(a)]),
  // d(a/b) = da/b - (a/b) db/b
  div: arithmetic("div", ([ct], [, b], _, [y]) => [ct.div(b), ct.mul(y).div(b).neg()]),
  // d(a^b) = b a^(b-1) da + a^b log(a) db
  pow: arithmetic("pow", ([ct], [a, b], _, [y]) => [ct.mul(b).mul(a.pow(b.sub(1))), ct.mul(y).mul(a.log())]),
  maximum: arithmetic("maximum", ([ct], [a, b]) => share(a.greaterEqual(b), ct)),
  minimum: arithmetic("minimum", ([ct], [a, b]) => share(a.lessEqual(b), ct)),
  equal: comparison("equal"),
  less: comparison("less"),
  lessEqual: comparison("lessEqual"),
  greater: comparison("greater"),
  greaterEqual: comparison("greaterEqual"),
  and: logical("and"),
  or: logical("or"),
  where: {
    infer: ([condition, a, b]) => {
      requireDType("where", "the condition", condition, "bool");
      const dtype = requireSameDType("where", a, b);
      const values = { shape: broadcastShapes("where", a, b), dtype };
      return [{ shape: broadcastShapes("where", condition, values), dtype }];
    },
    factors: ([condition, a, b]) => {
      const values = { shape: broadcastShapes("where", a, b), dtype: a.dtype };
      return elementwiseFactors([condition, a, b], broadcastShapes("where", condition, values));
    },
    vjp: ([ct], [condition, a, b]) => {
      const zero = apply("full", [], { shape: [], dtype: ct.dtype, value: 0 });
      return [
        null,
        unbroadcast(apply("where", [condition, ct, zero], {}), a.shape),
        unbroadcast(apply("where", [condition, zero, ct], {}), b.shape),
      ];
    },
  },
  cast: {
    infer: ([x], { dtype }) => [{ shape: x.shape, dtype }],
    factors: ([x]) => elementwiseFactors([x], x.shape),
    vjp: ([ct], [x], { dtype }) => [isFloat(x.dtype) && isFloat(dtype) ? ct.cast(x.dtype) : null],
  },
};
