/** WGSL's arithmetic in JavaScript: numbers and booleans are themselves, vectors are arrays that nobody changes. */

/** A number, a boolean, or a vector of them. */
export type Cell = number | boolean | readonly (number | boolean)[];

type Scalar = (...operands: never[]) => number | boolean;

const bits = new DataView(new ArrayBuffer(4));
const { fround } = Math;

function roundToEven(x: number): number {
  const down = Math.floor(x);
  if (x - down !== 0.5) return Math.round(x);
  return down % 2 === 0 ? down : down + 1;
}

/** A value of binary16 by its bits. */
function halfValue(half: number): number {
  const [exponent, fraction] = [(half >> 10) & 31, half & 1023];
  const sign = half & 0x8000 ? -1 : 1;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

const comparisons: Readonly<Record<string, string>> = {
  "==": "a === b",
  "!=": "a !== b",
  "<": "a < b",
  "<=": "a <= b",
  ">": "a > b",
  ">=": "a >= b",
};

/** Infix operators by the type of their operands, as JavaScript of `a` and `b`. Dividing by zero changes nothing, as WGSL has it. */
export const operators: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  f32: {
    ...comparisons,
    "+": "Math.fround(a + b)",
    "-": "Math.fround(a - b)",
    "*": "Math.fround(a * b)",
    "/": "Math.fround(a / b)",
  },
  i32: {
    ...comparisons,
    "+": "rt.whole(a + b)",
    "-": "rt.whole(a - b)",
    "*": "rt.product(a, b)",
    "/": "a / (b || 1) | 0",
    "%": "a % (b || 1) | 0",
    "&": "a & b",
    "|": "a | b",
    "<<": "a << b",
    ">>": "a >> b",
  },
  u32: {
    ...comparisons,
    "+": "a + b >>> 0",
    "-": "a - b >>> 0",
    "*": "Math.imul(a, b) >>> 0",
    "/": "a / (b || 1) >>> 0",
    "%": "a % (b || 1) >>> 0",
    "&": "(a & b) >>> 0",
    "|": "(a | b) >>> 0",
    "<<": "a << b >>> 0",
    ">>": "a >>> b",
  },
  bool: { ...comparisons, "&": "a && b", "|": "a || b" },
};

/** Functions that take and give elements of one type. */
export const functions: Readonly<Record<string, Scalar>> = {
  abs: (x) => Math.abs(x),
  sign: (x: number) => Math.sign(x),
  floor: (x: number) => Math.floor(x),
  round: roundToEven,
  exp(x: number) {
    const y = fround(Math.exp(x));
    // WGSL lets a compiler assume that this does not happen.
    if (y === Infinity && x < Infinity) throw new RangeError(`The exponential of ${x} overflows`);
    return y;
  },
  log: (x: number) => fround(Math.log(x)),
  sqrt: (x: number) => fround(Math.sqrt(x)),
  // As exact as WGSL promises.
  pow: (x: number, y: number) => fround(2 ** fround(y * fround(Math.log2(x)))),
  fma: (x: number, y: number, z: number) => fround(x * y + z),
  min: (x: number, y: number) => Math.min(x, y),
  max: (x: number, y: number) => Math.max(x, y),
};

/** Conversions, by target and source. */
export const conversions: Readonly<Record<string, Readonly<Record<string, Scalar>>>> = {
  f32: { i32: (x) => fround(x), u32: (x: number) => fround(x), bool: Number },
  i32: {
    // The nearest integer toward zero that there is.
    f32: (x: number) => Math.trunc(Math.min(Math.max(x, -(2 ** 31)), 2 ** 31 - 1)) | 0,
    u32: (x: number) => x | 0,
    bool: Number,
  },
  u32: {
    f32: (x: number) => Math.trunc(Math.min(Math.max(x, 0), 2 ** 32 - 1)) >>> 0,
    i32: (x: number) => x >>> 0,
    bool: Number,
  },
};

const setters = { f32: "setFloat32", i32: "setInt32", u32: "setUint32" } as const;
const getters = { f32: "getFloat32", i32: "getInt32", u32: "getUint32" } as const;

/** The same 32 bits as another type. */
export function bitcast(x: number, from: keyof typeof setters, to: keyof typeof getters): number {
  bits[setters[from]](0, x);
  return bits[getters[to]](0);
}

/** A function of elements, for each element of vectors; other operands are repeated. */
export function lift(of: Scalar): (...operands: Cell[]) => Cell {
  // Each has code of its own, so the function is inlined.
  return new Function(
    "of",
    `return (a, b, c) => {
      const x = typeof a === "object", y = typeof b === "object", z = typeof c === "object";
      const long = x ? a : y ? b : z ? c : null;
      if (long === null) return of(a, b, c);
      const at = (i) => of(x ? a[i] : a, y ? b[i] : b, z ? c[i] : c);
      return long.length === 4 ? [at(0), at(1), at(2), at(3)] : long.map((_, i) => at(i));
    };`,
  )(of);
}

/** Functions that mix what their operands are. */
export const mixed = {
  select: lift((no: number, yes: number, condition: boolean) => condition ? yes : no),
  not: lift((x: boolean) => !x),
  dot: (a: readonly number[], b: readonly number[]) => {
    let sum = 0;
    for (let i = 0; i < a.length; i++) sum = fround(sum + fround(a[i]! * b[i]!));
    return sum;
  },
  any: (x: readonly boolean[]) => x.some(Boolean),
  all: (x: readonly boolean[]) => x.every(Boolean),
  unpack2x16float: (word: number) => [halfValue(word & 0xffff), halfValue(word >>> 16)],
};
