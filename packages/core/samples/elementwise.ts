/** Sample calls of the elementwise ops. */
import type { Elementwise } from "../ops/elementwise.ts";
import type { OpName } from "../ops/table.ts";
import {
  codes,
  constantSample,
  distinct,
  flags,
  given,
  integers,
  type OperandSample,
  positive,
  type Sample,
  sample,
  type SampleTable,
  signed,
} from "./sample.ts";

/** The ops of one float operand. */
type Unary = {
  [K in keyof Elementwise]: Elementwise[K]["operands"]["length"] extends 1 ? K : never;
}[keyof Elementwise];
/** The ops of two operands. */
type Binary = {
  [K in keyof Elementwise]: Elementwise[K]["operands"]["length"] extends 2 ? K : never;
}[keyof Elementwise];

type Samples<K extends OpName> = readonly [Sample<K>, ...Sample<K>[]];
type Operand = (shape: readonly number[]) => OperandSample;

/** A matrix, a scalar, and an axis of length one. */
const unaryShapes = { matrix: [2, 3], scalar: [], column: [4, 1] } as const;

/** Pairs that broadcast in each of NumPy's ways. */
const binaryShapes: Readonly<Record<string, readonly [readonly number[], readonly number[]]>> = {
  "same shape": [[2, 3], [2, 3]],
  "scalar second": [[2, 3], []],
  "scalar first": [[], [2, 3]],
  "both scalars": [[], []],
  "leading axis missing": [[3], [2, 3]],
  "row and column": [[2, 1], [1, 3]],
  "inner axis of one": [[2, 1, 3], [2, 2, 3]],
};

function unary<K extends Exclude<Unary, "cast">>(fill: Operand, ...more: Sample<K>[]): Samples<K> {
  const make = (name: keyof typeof unaryShapes) =>
    sample<K>(name, [fill(unaryShapes[name])] as never, {} as Sample<K>["attrs"]);
  return [make("matrix"), make("scalar"), make("column"), ...more];
}

function binary<K extends Binary>(a: Operand, b: Operand, differentiable = true, ...more: Sample<K>[]): Samples<K> {
  const all = Object.entries(binaryShapes).map(([name, [left, right]]): Sample<K> => ({
    name,
    operands: [a(left), b(right)] as never,
    attrs: {} as Sample<K>["attrs"],
    differentiable,
  }));
  return [all[0]!, ...all.slice(1), ...more];
}

/** Exact in every float dtype, so that comparisons have ties. */
function coarse(shape: readonly number[]): OperandSample {
  return { type: { shape, dtype: "float32" }, fill: (u) => Array.from(u, (x) => Math.floor(x * 3) - 1) };
}

/** Kept within one half of a whole number, away from both, on either side of zero. */
function fractional(shape: readonly number[]): OperandSample {
  return { type: { shape, dtype: "float32" }, fill: (u) => Array.from(u, (x) => Math.floor(x * 5) - 2.25) };
}

/** At least 0.1 away from every number that `distinct` gives. */
function shifted(shape: readonly number[]): OperandSample {
  return { type: { shape, dtype: "float32" }, fill: (u) => Array.from(u, (x) => x < 0.5 ? -2.5 + x : 2.5 + x) };
}

function comparison<K extends "equal" | "less" | "lessEqual" | "greater" | "greaterEqual">(): Samples<K> {
  return binary<K>(
    coarse,
    coarse,
    false,
    constantSample<K>("int32", [integers([2, 3], -1, 2), integers([2, 3], -1, 2)] as never, {}),
  );
}

function integer<K extends Binary>(b: OperandSample): Sample<K> {
  return constantSample<K>("int32", [integers([2, 3], -9, 9), b] as never, {} as Sample<K>["attrs"]);
}

/** The samples of the elementwise family. */
export const elementwiseSamples: SampleTable<Elementwise> = {
  neg: unary<"neg">(signed, constantSample("int32", [integers([5], -9, 9)], {})),
  abs: unary<"abs">(signed, constantSample("int32", [integers([5], -9, 9)], {})),
  sign: [
    constantSample("both signs and zero", [given([6], "float32", [-2, -0.5, 0, 0, 0.5, 2])], {}),
    constantSample("int32", [integers([5], -2, 3)], {}),
  ],
  floor: [constantSample("both signs", [fractional([2, 5])], {}), constantSample("scalar", [fractional([])], {})],
  exp: unary<"exp">(signed),
  log: unary<"log">(positive),
  sqrt: unary<"sqrt">(positive),
  rsqrt: unary<"rsqrt">(positive),
  sin: unary<"sin">(signed),
  cos: unary<"cos">(signed),
  tanh: unary<"tanh">(signed, sample("saturated", [given([4], "float32", [-20, -8, 8, 20])], {})),
  sigmoid: unary<"sigmoid">(signed, sample("saturated", [given([4], "float32", [-90, -20, 20, 90])], {})),
  not: [constantSample("matrix", [flags([2, 3])], {}), constantSample("scalar", [flags([])], {})],
  add: binary<"add">(
    signed,
    signed,
    true,
    integer(integers([2, 3], -9, 9)),
    sample("bfloat16", [signed([2, 3], "bfloat16"), signed([3], "bfloat16")], {}),
    sample("float16", [signed([2, 3], "float16"), signed([3], "float16")], {}),
  ),
  sub: binary<"sub">(signed, signed, true, integer(integers([], -9, 9))),
  mul: binary<"mul">(
    signed,
    signed,
    true,
    integer(integers([3], -9, 9)),
    sample("bfloat16", [signed([2, 3], "bfloat16"), signed([], "bfloat16")], {}),
  ),
  div: binary<"div">(
    signed,
    positive,
    true,
    constantSample("int32 toward zero", [given([4], "int32", [-7, -1, 1, 7]), given([], "int32", [2])], {}),
  ),
  pow: binary<"pow">(positive, signed),
  maximum: binary<"maximum">(distinct, shifted, true, integer(integers([2, 3], -9, 9))),
  minimum: binary<"minimum">(distinct, shifted, true, integer(integers([2, 3], -9, 9))),
  equal: comparison(),
  less: comparison(),
  lessEqual: comparison(),
  greater: comparison(),
  greaterEqual: comparison(),
  and: binary<"and">(flags, flags, false),
  or: binary<"or">(flags, flags, false),
  where: [
    sample("same shapes", [flags([2, 3]), signed([2, 3]), signed([2, 3])], {}),
    sample("scalar branch", [flags([2, 3]), signed([2, 3]), signed([])], {}),
    sample("condition of one row", [flags([3]), signed([2, 3]), signed([2, 1])], {}),
    sample("condition broadcasts the branches", [flags([2, 2, 3]), signed([3]), signed([])], {}),
    sample("all scalars", [flags([]), signed([]), signed([])], {}),
    constantSample("int32", [flags([4]), integers([4], -9, 9), integers([4], -9, 9)], {}),
    constantSample("codes", [flags([3, 1]), codes([3, 5]), codes([])], {}),
  ],
  cast: [
    sample("float32 to bfloat16", [signed([2, 3])], { dtype: "bfloat16" }),
    sample("bfloat16 to float32", [signed([2, 3], "bfloat16")], { dtype: "float32" }),
    sample("float32 to float16", [signed([])], { dtype: "float16" }),
    sample("float16 to bfloat16", [signed([3], "float16")], { dtype: "bfloat16" }),
    constantSample("float32 to int32", [fractional([2, 5])], { dtype: "int32" }),
    constantSample("int32 to float32", [integers([4], -9, 9)], { dtype: "float32" }),
    constantSample("bool to float32", [flags([4])], { dtype: "float32" }),
    constantSample("bool to int32", [flags([4])], { dtype: "int32" }),
    constantSample("float32 to bool", [given([4], "float32", [-0.5, 0, 0.25, 3])], { dtype: "bool" }),
    constantSample("int32 to bool", [integers([6], -1, 2)], { dtype: "bool" }),
  ],
};
