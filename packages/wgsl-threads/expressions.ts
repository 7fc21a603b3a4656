/** Expressions of WGSL as JavaScript. */

import { operators } from "./arithmetic.ts";
import { builtins, elementOf, isVector, type Type, type Typed, vectorOf, wordsOfType } from "./builtins.ts";
import type { Reader } from "./reader.ts";

/** What an expression can be written to. */
export type Place =
  | { readonly kind: "variable"; readonly js: string }
  | { readonly kind: "component"; readonly js: string; readonly part: string }
  | { readonly kind: "element"; readonly array: string; readonly at: string; readonly part?: string };

/** JavaScript for an expression, and its type. */
export interface Expression extends Typed {
  /** Where it is, if it can be written to. */
  readonly place?: Place;
  /** The array that this is the name of. */
  readonly array?: string;
}

/** A function of a program: its result, and whether it waits for other threads. */
export interface Signature {
  /** The type of its result. */
  readonly result: Type;
  /** Whether it waits. */
  readonly waits: boolean;
}

/** What a program has declared so far. */
export interface Program {
  /** JavaScript of constants. */
  readonly constants: string[];
  /** The types of elements of arrays. */
  readonly arrays: Map<string, Type>;
  /** The types of values that are given, those of uniforms as `uniforms.name`. */
  readonly values: Readonly<Record<string, Type>>;
  /** The types of values by their name, the innermost scope last. */
  readonly scopes: Map<string, Type>[];
  /** The functions. */
  readonly signatures: Map<string, Signature>;
  /** Whether the function that is read waits for other threads. */
  waits: boolean;
  /** The number of barriers. */
  barriers: number;
}

/** Reads expressions. */
export interface Expressions {
  /** A type. */
  readonly type: () => Type;
  /** An expression whose operators bind as tightly as this level or more; 0 is any expression. */
  readonly binary: (level: number) => Expression;
  /** A value with its places and components. */
  readonly postfix: () => Expression;
  /** An operator between two operands. */
  readonly infix: (operator: string, a: Typed, b: Typed) => Typed;
}

const withElement = (type: Type, element: Type) => isVector(type) ? type.replace(/<\w+>/, `<${element}>`) : element;

/** Operators from the loosest to the tightest. */
const levels = ["||", "&&", "|", "&", "== !=", "< <= > >=", "<< >>", "+ -", "* / %"].map((level) => level.split(" "));

/** Where sums are among the levels: what the length of an array is, since a comparison would take its closing bracket. */
const sums = levels.findIndex(([operator]) => operator === "+");

/** Reads the expressions of a program. */
export function expressionsOf(reader: Reader, program: Program): Expressions {
  const { peek, take, accept, list, fail } = reader;
  const { constants, arrays, values, scopes, signatures } = program;
  const helpers = new Map<string, string>();

  function type(): Type {
    const name = take();
    if (!accept("<")) return name;
    const inner = type();
    if (name === "array") {
      take(",");
      const length = binary(sums).js;
      take(">");
      return `${inner}[${length}`;
    }
    take(">");
    return `${name}<${inner}>`;
  }

  function value(place: Place, of: Type): Expression {
    const js = place.kind === "variable"
      ? place.js
      : place.kind === "component"
      ? `rt.part(${place.js}, ${place.part})`
      : place.part === undefined
      ? `${place.array}.read(${place.at}, me)`
      : `rt.part(${place.array}.read(${place.at}, me), ${place.part})`;
    return { js, type: of, place };
  }

  function named(name: string): Expression {
    const found = scopes.findLast((scope) => scope.has(name))?.get(name);
    if (found === undefined) {
      const array = arrays.get(name) ?? fail(`a name that is known, not "${name}",`);
      if (peek() === "[") return { js: `$${name}`, type: array, array: `$${name}` };
      return value({ kind: "element", array: `$${name}`, at: "0" }, array);
    }
    return value({ kind: "variable", js: `$${name}` }, found);
  }

  function argument(): Typed {
    return accept("&") ? { js: `$${take()}`, type: "pointer" } : binary(0);
  }

  function call(name: string): Expression {
    if (accept("<")) {
      const of = type();
      take(">");
      take("(");
      const operands = list(")", argument);
      if (name !== "bitcast") return vectorOf(`${name}<${of}>`, operands);
      const [x] = operands as [Typed];
      return { js: `rt.bitcast(${x.js}, "${x.type === "int" ? "i32" : x.type}", "${of}")`, type: of };
    }
    take("(");
    const operands = list(")", argument);
    const js = operands.map((operand) => operand.js).join(", ");
    if (name === "workgroupBarrier") {
      program.waits = true;
      return { js: `yield ${++program.barriers}`, type: "void" };
    }
    if (name === "workgroupUniformLoad") {
      program.waits = true;
      program.barriers += 2;
      return { js: `(yield* rt.uniformLoad(${js}, me, ${program.barriers}))`, type: arrays.get(js.slice(1))! };
    }
    const signature = signatures.get(name);
    if (signature === undefined) {
      return builtins[name]?.(operands, js) ?? fail(`a function that is known, not "${name}",`);
    }
    program.waits ||= signature.waits;
    return { js: `(${signature.waits ? "yield* " : ""}$${name}(${js}))`, type: signature.result };
  }

  function primary(): Expression {
    const first = take();
    if (first === "(") {
      const { js, type } = binary(0);
      take(")");
      return { js: `(${js})`, type };
    }
    if (/^0x|^\d/.test(first)) {
      if (first.endsWith("u")) return { js: `${Number(first.slice(0, -1))}`, type: "u32" };
      if (!first.startsWith("0x") && /[.e]/.test(first)) return { js: `${Math.fround(Number(first))}`, type: "f32" };
      return { js: first, type: "int" };
    }
    if (first === "true" || first === "false") return { js: first, type: "bool" };
    if (first === "uniforms") {
      take(".");
      const name = take();
      return { js: `uniforms.${name}`, type: values[`uniforms.${name}`] ?? fail(`a uniform, not "${name}",`) };
    }
    if (peek() === "(" || (peek() === "<" && /^(vec\d|bitcast)$/.test(first))) return call(first);
    return named(first);
  }

  function postfix(): Expression {
    let x = primary();
    while (peek() === "[" || peek() === ".") {
      const isNamed = take() === ".";
      const part = isNamed ? `${"xyzw".indexOf(take())}` : binary(0).js;
      if (!isNamed) take("]");
      const { place } = x;
      if (x.array !== undefined) {
        x = value({ kind: "element", array: x.array, at: part }, x.type);
        continue;
      }
      const of = elementOf(x.type);
      if (place?.kind === "element") x = value({ ...place, part }, of);
      else if (place?.kind === "variable") x = value({ kind: "component", js: place.js, part }, of);
      else x = { js: `rt.part(${x.js}, ${part})`, type: of };
    }
    return x;
  }

  function unary(): Expression {
    if (accept("-")) {
      const x = unary();
      const js = isVector(x.type) ? `rt.negate(${x.js})` : /^(int|i32)$/.test(x.type) ? `(-${x.js} | 0)` : `(-${x.js})`;
      return { js, type: x.type };
    }
    if (accept("!")) {
      const x = unary();
      return { js: `rt.mixed.not(${x.js})`, type: x.type };
    }
    if (accept("~")) {
      const x = unary();
      return { js: x.type === "u32" ? `(~${x.js} >>> 0)` : `(~${x.js})`, type: x.type };
    }
    return postfix();
  }

  /** The name of a function that applies an operator to each element of vectors, and repeats other operands. */
  function helper(template: string, count: number, left: boolean, right: boolean): string {
    const key = `${template} ${count} ${left} ${right}`;
    const name = helpers.get(key) ?? `vector${helpers.size}`;
    if (!helpers.has(key)) {
      const cell = (i: number) =>
        template.replace(/\b[ab]\b/g, (name) => (name === "a" ? left : right) ? `${name}[${i}]` : name);
      constants.push(`const ${name} = (a, b) => [${Array.from({ length: count }, (_, i) => cell(i)).join(", ")}];`);
      helpers.set(key, name);
    }
    return name;
  }

  function infix(operator: string, a: Typed, b: Typed): Typed {
    if (operator === "&&" || operator === "||") return { js: `(${a.js} ${operator} ${b.js})`, type: "bool" };
    const [left, right] = [a, b].map(({ type }) => elementOf(type)) as [Type, Type];
    const isShift = operator === "<<" || operator === ">>";
    const element = left === "int" ? (right === "int" || isShift ? "i32" : right) : left;
    if (!isShift && left !== right && left !== "int" && right !== "int") {
      fail(`operands of one type, not ${left} ${operator} ${right},`);
    }
    const shape = isVector(a.type) ? a.type : b.type;
    const isComparison = /^(==|!=|<=?|>=?)$/.test(operator);
    const of = isComparison ? "bool" : left === "int" && (right === "int" || isShift) ? "int" : element;
    if (operators[element]?.[operator] === undefined) fail(`an operator of ${element}, not "${operator}",`);
    const template = operators[element]![operator]!;
    if (isVector(a.type) || isVector(b.type)) {
      const name = helper(template, wordsOfType(shape), isVector(a.type), isVector(b.type));
      return { js: `${name}(${a.js}, ${b.js})`, type: withElement(shape, of) };
    }
    const js = template.replace(/\b[ab]\b/g, (name) => name === "a" ? a.js : b.js);
    return { js: `(${js})`, type: of };
  }

  function binary(level: number): Expression {
    if (level === levels.length) return unary();
    let left: Expression = binary(level + 1);
    while (levels[level]!.includes(peek())) {
      const operator = take();
      left = infix(operator, left, binary(level + 1));
    }
    return left;
  }

  return { type, binary, postfix, infix };
}
