/**
 * Elementwise nodes as one program: what a chain of them computes, each thread computes for one element (or for the two that
 * share a word), so that nothing in between is written to memory.
 *
 * Inside a program a float of any width is an f32 that holds a value of its dtype, an integer is an i32, and a boolean is a
 * bool.
 */

import {
  type DType,
  type Elementwise,
  type GraphNode,
  sameShape,
  sizeOf,
  type Tensor,
  type TensorType,
} from "@tessera/core";
import type { Value } from "../engine/engine.ts";
import { elementAt, elementProgram, elementTypes } from "./element.ts";
import { broadcastIndex, broadcastVector } from "./index_map.ts";
import { mathCode, vectorMathCode } from "./math.ts";
import { packedFunctions } from "./packed.ts";
import { literal, type Program } from "./program.ts";

/** The WGSL of an op: its operands' expressions, the type of the first of them, and the result's type. */
type Expression = (operands: readonly string[], from: DType, to: DType) => string;

const infix = (operator: string): Expression => ([a, b]) => `(${a} ${operator} ${b})`;
const call = (name: string): Expression => (operands) => `${name}(${operands.join(", ")})`;
/** Comparisons of booleans order false before true. */
const comparison = (operator: string): Expression => (operands, from) => {
  const [a, b] = from === "bool" ? operands.map((x) => `u32(${x})`) : operands;
  return `(${a} ${operator} ${b})`;
};

const expressions: { readonly [K in keyof Elementwise]: Expression } = {
  neg: ([x]) => `(-${x})`,
  abs: call("abs"),
  sign: call("sign"),
  floor: call("floor"),
  exp: call("exp"),
  log: call("log"),
  sqrt: call("sqrt"),
  rsqrt: ([x]) => `(1.0 / sqrt(${x}))`,
  sin: ([x]) => `turn(${x}, 0)`,
  cos: ([x]) => `turn(${x}, 1)`,
  tanh: call("safeTanh"),
  sigmoid: call("safeSigmoid"),
  not: ([x]) => `(!${x})`,
  add: infix("+"),
  sub: infix("-"),
  mul: infix("*"),
  div: infix("/"),
  pow: (operands, from) => `${elementTypes[from] === "i32" ? "integerPower" : "power"}(${operands})`,
  maximum: call("max"),
  minimum: call("min"),
  equal: infix("=="),
  less: comparison("<"),
  lessEqual: comparison("<="),
  greater: comparison(">"),
  greaterEqual: comparison(">="),
  and: infix("&&"),
  or: infix("||"),
  where: ([condition, a, b]) => `select(${b}, ${a}, ${condition})`,
  cast: ([x], from, to) => {
    if (from === to) return x!;
    const [own, other] = [elementTypes[from], elementTypes[to]];
    if (to === "bool") return `(${x} != ${own}(0))`;
    const value = own === other ? x! : `${other}(${x})`;
    if (to !== "float16" && to !== "bfloat16") return value;
    const { value: widened, bits } = packedFunctions[to];
    return `${widened}(${bits}(${value}))`;
  },
};

/** Tells whether an op is elementwise. */
export function isElementwise(op: string): op is keyof Elementwise {
  return Object.hasOwn(expressions, op);
}

/** Elementwise nodes that one program computes. All results have as many elements as the last one, which is what it writes. */
export interface Group {
  /** The nodes, in an order in which they can run; beside elementwise ones, `full`, `reshape` and `broadcastTo`. */
  readonly nodes: readonly GraphNode[];
  /** The values that come from elsewhere. */
  readonly inputs: readonly Tensor[];
  /** What is written. */
  readonly output: Tensor;
}

/** Ops whose WGSL is the same for four elements at once. */
const inVectors: ReadonlySet<string> = new Set([
  ...["neg", "abs", "sign", "floor", "exp", "log", "sqrt", "rsqrt", "tanh", "sigmoid"],
  ...["add", "sub", "mul", "div", "maximum", "minimum", "full", "reshape", "broadcastTo"],
]);

/** How an input is read: at its own place, with the shape of the node that reads it broadcasting it. */
function load(name: string, type: TensorType, to: readonly number[]): string {
  return elementAt(name, type.dtype, sameShape(type.shape, to) ? "index" : broadcastIndex("index", type.shape, to));
}

/** WGSL that reads an input for a node whose result has some shape. */
type Load = (input: Tensor, shape: readonly number[]) => string;

/** WGSL for a number. */
type Constant = (value: number, dtype: DType) => string;

/** The statements that compute the output's element at `index`, and the name of its value. */
function statements(group: Group, load: Load, constant: Constant): { lines: string[]; result: string } {
  const lines: string[] = [];
  const known = new Map<string, string>();
  const own = new Map<Tensor, string>();
  const named = (expression: string) => {
    const before = known.get(expression);
    if (before !== undefined) return before;
    const name = `v${known.size}`;
    known.set(expression, name);
    lines.push(`let ${name} = ${expression};`);
    return name;
  };
  /** An operand's element for a node whose result has some shape. */
  const read = (operand: Tensor, shape: readonly number[]): string => own.get(operand) ?? named(load(operand, shape));
  for (const node of group.nodes) {
    const [result] = node.results as [Tensor];
    own.set(result, expressionOf(node, read, named, constant));
  }
  return { lines, result: own.get(group.output)! };
}

function expressionOf(
  node: GraphNode,
  read: (operand: Tensor, shape: readonly number[]) => string,
  named: (expression: string) => string,
  constant: Constant,
): string {
  const { dtype, shape } = node.results[0]!;
  if (node.op === "full") {
    // A name keeps the compiler from evaluating what is computed from it, and from refusing what overflows.
    return named(constant(node.attrs.value as number, dtype));
  }
  // An element of a reshaped tensor stands where it stood.
  if (node.op === "reshape") return read(node.operands[0]!, node.operands[0]!.shape);
  if (node.op === "broadcastTo") return read(node.operands[0]!, shape);
  if (!isElementwise(node.op)) throw new TypeError(`Cannot compute "${node.op}" element by element`);
  return named(
    expressions[node.op](node.operands.map((operand) => read(operand, shape)), node.operands[0]!.dtype, dtype),
  );
}

/**
 * The program of a group whose threads compute four neighboring elements at once, where every input has four neighbors, or one
 * number, for them; `null` for other groups.
 */
export function vectorProgram(group: Group, values: readonly Value[]): Program | null {
  const { shape } = group.output;
  const isFloat = ({ dtype }: TensorType) => dtype === "float32";
  if (!group.nodes.every((node) => inVectors.has(node.op) && isFloat(node.results[0]!)) || sizeOf(shape) % 4 !== 0) {
    return null;
  }
  const names = new Map(group.inputs.map((input, i) => [input, `x${i}`]));
  const fours = new Map<Tensor, boolean>();
  let fits = true;
  const load: Load = (input, to) => {
    const found = broadcastVector("index", input.shape, to);
    fits &&= found !== null && isFloat(input) && (fours.get(input) ?? found.four) === found.four;
    if (found === null) return "";
    fours.set(input, found.four);
    const element = `${names.get(input)!}[${found.index}]`;
    return found.four ? element : `vec4<f32>(${element})`;
  };
  const { lines, result } = statements(group, load, (value) => `vec4<f32>(${literal(value)})`);
  if (!fits) return null;
  return {
    name: `${group.nodes.map((node) => node.op).join(" ")} of vectors`,
    inputs: group.inputs.map((input, i) => ({
      name: names.get(input)!,
      value: values[i]!,
      vectors: fours.get(input) ?? false,
    })),
    output: { dtype: "float32", shape },
    writesVectors: true,
    threads: sizeOf(shape) / 4,
    uniforms: [{ name: "count", type: "int32", value: sizeOf(shape) / 4 }],
    code: `${vectorMathCode}
fn main(index : i32) {
  if (index >= uniforms.count) { return; }
  ${lines.join("\n  ").replaceAll(/safe\w+(?=\()/g, "$&4")}
  result[index] = ${result};
}`,
  };
}

/** The program of a group. */
export function groupProgram(group: Group, values: readonly Value[]): Program {
  const { dtype, shape } = group.output;
  const names = new Map(group.inputs.map((input, i) => [input, `x${i}`]));
  const { lines, result } = statements(
    group,
    (input, to) => load(names.get(input)!, input.type, to),
    (value, type) => {
      const own = elementTypes[type];
      return own === "bool" ? `${value !== 0}` : literal(value, own);
    },
  );
  return elementProgram({
    name: group.nodes.map((node) => node.op).join(" "),
    inputs: group.inputs.map((input, i) => ({ name: names.get(input)!, value: values[i]! })),
    output: { dtype, shape },
    code: `${mathCode}
fn element(index : i32) -> ${elementTypes[dtype]} {
  ${lines.join("\n  ")}
  return ${result};
}`,
  });
}
