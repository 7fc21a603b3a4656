/**
 * What the compiler knows about one op, as types.
 *
 * An op is a name, a `Signature` (its operands, static attributes and results) and one row in a family's table. A row
 * that is missing, a gradient of the wrong arity or a target that forgot an op does not compile.
 */
import type { TensorType } from "../values/dtype.ts";
import type { Tensor } from "../graph/tensor.ts";

/** How an op is called: its operands, its static attributes, and its results. */
export interface Signature {
  /** One entry per operand. */
  readonly operands: readonly TensorType[];
  /** Static attributes: plain data that prints as JSON. */
  readonly attrs: object;
  /** One entry per result. */
  readonly results: readonly TensorType[];
}

/** The attributes of an op that has none. */
export type NoAttrs = Readonly<Record<never, never>>;

/** A tuple as long as `Xs` whose elements are all `T`. */
export type Each<Xs extends readonly unknown[], T> = { readonly [I in keyof Xs]: T };

/** The gradient rule of an op: cotangents of its results in, cotangents of its operands out. */
export type Vjp<S extends Signature> = (
  cotangents: Each<S["results"], Tensor>,
  operands: Each<S["operands"], Tensor>,
  attrs: S["attrs"],
  results: Each<S["results"], Tensor>,
) => Each<S["operands"], Tensor | null>;

/** A primitive op: everything that a pass needs to know about it. */
export interface Op<S extends Signature> {
  /** The result types, or an error when the operands do not fit. */
  readonly infer: (operands: Each<S["operands"], TensorType>, attrs: S["attrs"]) => Each<S["results"], TensorType>;
  /**
   * How axes of operands and results correspond, in einsum form with a name per axis: `"a k, k b -> a b"`. When an axis
   * is sharded, so is every axis of that name, and results without it are partial: they must be reduced. `1` is an
   * axis that is never sharded; `(a b)` is one axis that is the product of two; `!a` must not be sharded. `null` means that
   * the partitioner has a rule of its own for the op; see `parseFactors`.
   */
  readonly factors: (operands: Each<S["operands"], TensorType>, attrs: S["attrs"]) => string | null;
  /** The gradient rule; `null` when the op has no gradient. */
  readonly vjp: Vjp<S> | null;
}

/** A composite op: one that is defined by simpler ones, and that a backend may lower natively. */
export interface Composite<S extends Signature> {
  /** The result types, or an error when the operands do not fit. */
  readonly infer: (operands: Each<S["operands"], TensorType>, attrs: S["attrs"]) => Each<S["results"], TensorType>;
  /** How axes of operands and results correspond; see `Op.factors`. */
  readonly factors: (operands: Each<S["operands"], TensorType>, attrs: S["attrs"]) => string | null;
  /** The gradient rule; `"decompose"` differentiates the definition instead. */
  readonly vjp: Vjp<S> | null | "decompose";
  /** The op in terms of simpler ones. */
  readonly decompose: (
    operands: Each<S["operands"], Tensor>,
    attrs: S["attrs"],
  ) => Each<S["results"], Tensor>;
}

/** One row per signature in `Signatures`. */
export type OpTable<Signatures> = {
  readonly [K in keyof Signatures]: Signatures[K] extends Signature ? Op<Signatures[K]> : never;
};

/** One composite row per signature in `Signatures`. */
export type CompositeTable<Signatures> = {
  readonly [K in keyof Signatures]: Signatures[K] extends Signature ? Composite<Signatures[K]> : never;
};
