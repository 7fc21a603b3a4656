/** Types of WGSL, and JavaScript for calls of its functions. */

import { conversions, functions } from "./arithmetic.ts";

/** A type as WGSL spells it; `int` is that of a whole number that can still become any type. */
export type Type = string;

/** JavaScript for a value, and its type. */
export interface Typed {
  /** The JavaScript. */
  readonly js: string;
  /** The type. */
  readonly type: Type;
}

/** How many words an element of a type has. */
export function wordsOfType(type: Type): number {
  return Number(/^vec(\d)/.exec(type)?.[1] ?? 1);
}

/** The type of a vector's components; other types as they are. */
export function elementOf(type: Type): Type {
  return /^(?:vec\d|atomic)<(\w+)>$/.exec(type)?.[1] ?? type;
}

/** Whether a type is that of vectors. */
export function isVector(type: Type): boolean {
  return type.startsWith("vec");
}

/** The common type of some operands: whole numbers take the type of the others. */
function common(operands: readonly Typed[]): Type {
  return operands.map(({ type }) => type).find((type) => type !== "int") ?? "i32";
}

type Call = (operands: readonly Typed[], js: string) => Typed;

const conversion = (to: Type): Call => ([x]) => {
  const from = x!.type === "int" ? "i32" : x!.type;
  return { js: from === to ? x!.js : `rt.conversions.${to}.${from}(${x!.js})`, type: to };
};

const elementwise = (name: string): Call => (operands, js) => {
  const type = common(operands);
  return { js: `rt.${isVector(type) ? "lifted" : "functions"}.${name}(${js})`, type };
};

const tableOf = (names: readonly string[], call: (name: string) => Call) => names.map((name) => [name, call(name)]);

/** The functions of WGSL that do not wait, given operands and JavaScript for all of them. */
export const builtins: Readonly<Record<string, Call>> = {
  ...Object.fromEntries([
    ...tableOf(Object.keys(conversions), conversion),
    ...tableOf(Object.keys(functions), elementwise),
    ...tableOf(["any", "all"], (name) => (_, js) => ({ js: `rt.mixed.${name}(${js})`, type: "bool" })),
    ...tableOf(["atomicStore", "atomicMin", "atomicMax", "atomicLoad"], (name) => (_, js) => ({
      js: `rt.${name}(${js})`,
      type: "i32",
    })),
  ]),
  arrayLength: (_, js) => ({ js: `${js}.length`, type: "u32" }),
  select: (operands, js) => ({ js: `rt.mixed.select(${js})`, type: common(operands) }),
  dot: (operands, js) => ({ js: `rt.mixed.dot(${js})`, type: elementOf(common(operands)) }),
  unpack2x16float: (_, js) => ({ js: `rt.mixed.unpack2x16float(${js})`, type: "vec2<f32>" }),
};

/** A vector of some components, or of one component repeated. */
export function vectorOf(type: Type, parts: readonly Typed[]): Typed {
  const count = wordsOfType(type);
  const js = parts.map((part) => part.js);
  if (js.length === 1) return { js: `rt.splat(${js[0]}, ${count})`, type };
  return { js: `[${js.join(", ")}]`, type };
}

/** The value of a variable that nothing was assigned to. */
export function zero(type: Type): string {
  return isVector(type) ? `rt.splat(0, ${wordsOfType(type)})` : "0";
}
