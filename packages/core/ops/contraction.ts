/**
 * The one contraction op: a two-operand einsum.
 *
 * Matrix products, batched or not, transposed or not, are all `einsum` with another spec, so there is one gradient rule,
 * one sharding rule and one lowering for all of them. A letter stands for an axis; a letter that is in the operands but
 * not in the result is summed over.
 */
import { formatType, type TensorType } from "../values/dtype.ts";
import { apply, type Tensor } from "../graph/tensor.ts";
import { requireFloat, requireSameDType } from "./infer.ts";
import type { OpTable } from "./op.ts";

/** The signatures of the contraction family. */
export interface Contraction {
  /** The sum over the letters that are not in the result of the products of `a` and `b`. */
  einsum: {
    operands: [a: TensorType, b: TensorType];
    attrs: {
      /** Which axes correspond, such as `"btd,dh->bth"`. */
      readonly spec: string;
      /** The factor that the result is multiplied by, which costs a matrix product nothing; 1 when left out. */
      readonly scale?: number;
    };
    results: [y: TensorType];
  };
}

/** The static attributes of an einsum. */
export type EinsumAttrs = Contraction["einsum"]["attrs"];

/** The three sides of an einsum spec. */
export interface EinsumSpec {
  /** The letters of the first operand. */
  readonly a: string;
  /** The letters of the second operand. */
  readonly b: string;
  /** The letters of the result. */
  readonly out: string;
}

/**
 * The sides of a spec such as `"btd,dnh->btnh"`.
 *
 * @throws {SyntaxError} when it is not of that form, when a side repeats a letter, or when a letter of the result or of
 * one operand alone is in neither place that gives it a meaning.
 */
export function parseEinsum(spec: string): EinsumSpec {
  const [, a, b, out] = /^([a-zA-Z]*),([a-zA-Z]*)->([a-zA-Z]*)$/.exec(spec) ?? [];
  if (a === undefined || b === undefined || out === undefined) {
    throw new SyntaxError(`Cannot read einsum spec "${spec}": expected two operands and a result, such as "ab,bc->ac"`);
  }
  for (const side of [a, b, out]) {
    if (new Set(side).size !== side.length) {
      throw new SyntaxError(`Cannot read einsum spec "${spec}": "${side}" repeats a letter`);
    }
  }
  for (const letter of out) {
    if (!a.includes(letter) && !b.includes(letter)) {
      throw new SyntaxError(`Cannot read einsum spec "${spec}": "${letter}" of the result is in no operand`);
    }
  }
  for (const letter of new Set(a + b)) {
    const uses = [a, b, out].filter((side) => side.includes(letter)).length;
    if (uses < 2) {
      throw new SyntaxError(`Cannot read einsum spec "${spec}": "${letter}" is in one operand only; sum it out first`);
    }
  }
  return { a, b, out };
}

/**
 * The einsum of two tensors, such as `einsum("btd,dh->bth", x, w)`.
 *
 * @throws {SyntaxError} when the spec does not read, {TypeError} when the operands do not fit it.
 */
export function einsum(spec: string, a: Tensor, b: Tensor, options: { readonly scale?: number } = {}): Tensor {
  return apply("einsum", [a, b], einsumAttrs(spec.replaceAll(" ", ""), options.scale));
}

/** The attributes of an einsum; a scale of 1 is left out, so that there is one way to say it. */
export function einsumAttrs(spec: string, scale = 1): EinsumAttrs {
  return scale === 1 ? { spec } : { spec, scale };
}

/** The length of each letter, or an error when an axis disagrees. */
function lengths(spec: string, a: TensorType, b: TensorType): Map<string, number> {
  const sides = parseEinsum(spec);
  const found = new Map<string, number>();
  for (const [letters, type] of [[sides.a, a], [sides.b, b]] as const) {
    if (letters.length !== type.shape.length) {
      throw new TypeError(
        `Cannot einsum "${spec}" of ${formatType(a)} and ${
          formatType(b)
        }: "${letters}" names ${letters.length} axes of ` +
          formatType(type),
      );
    }
    [...letters].forEach((letter, axis) => {
      const length = type.shape[axis]!;
      const known = found.get(letter) ?? length;
      if (known !== length) {
        throw new TypeError(
          `Cannot einsum "${spec}" of ${formatType(a)} and ${
            formatType(b)
          }: "${letter}" is both ${known} and ${length}`,
        );
      }
      found.set(letter, length);
    });
  }
  return found;
}

/** The contraction family. */
export const contraction: OpTable<Contraction> = {
  einsum: {
    infer: ([a, b], { spec }) => {
      requireFloat("einsum", a);
      const dtype = requireSameDType("einsum", a, b);
      const found = lengths(spec, a, b);
      return [{ shape: [...parseEinsum(spec).out].map((letter) => found.get(letter)!), dtype }];
    },
    factors: (_, { spec }) => {
      const { a, b, out } = parseEinsum(spec);
      return `${[...a].join(" ")}, ${[...b].join(" ")} -> ${[...out].join(" ")}`;
    },
    // Every letter is in at least two sides, so the cotangent of one operand is the einsum of the other two sides.
    vjp: ([ct], [a, b], { spec, scale = 1 }) => {
      const sides = parseEinsum(spec);
      return [
        einsum(`${sides.out},${sides.b}->${sides.a}`, ct, b, { scale }),
        einsum(`${sides.out},${sides.a}->${sides.b}`, ct, a, { scale }),
      ];
    },
  },
};
