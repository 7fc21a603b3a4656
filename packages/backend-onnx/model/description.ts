/**
 * An ONNX model as plain data: what the lowering produces, what the printer shows, what the encoder writes.
 */

import type { ElementType } from "../ffi/element_type.ts";

/** The value of a node's attribute; numbers are written as integers unless wrapped in `float`. */
export type Attribute =
  | number
  | string
  | readonly number[]
  | { readonly float: number };

/** One operation. */
export interface OnnxNode {
  /** The name of the operator, such as `MatMul`. */
  readonly op: string;
  /** The operator set: ONNX's own, or ONNX Runtime's additions. */
  readonly domain: Domain;
  /** The names of the values it reads; an empty name stands for an absent optional input. */
  readonly inputs: readonly string[];
  /** The values that it computes. */
  readonly outputs: readonly OnnxValue[];
  /** Its attributes by name. */
  readonly attributes: Readonly<Record<string, Attribute>>;
}

/** The operator sets that a model may use. */
export type Domain = "" | "com.microsoft";

/** A named value with its type. */
export interface OnnxValue {
  /** The name. */
  readonly name: string;
  /** The element type. */
  readonly dtype: ElementType;
  /** The length of each axis. */
  readonly shape: readonly number[];
}

/** A small constant, stored in the model. Weights are never stored so: they are inputs. */
export interface Initializer extends OnnxValue {
  /** The elements, row-major, in the machine's byte order (little-endian on every supported platform). */
  readonly bytes: Uint8Array<ArrayBufferLike>;
}

/** A constant that is not part of the file: the elements of an input in another shape, or ones. */
export interface Resident extends OnnxValue {
  /** The name of the input; `null` for ones, in float32. */
  readonly input: string | null;
}

/** A model. */
export interface OnnxModel {
  /** What the model computes, for people. */
  readonly name: string;
  /** The values that a run must supply. */
  readonly inputs: readonly OnnxValue[];
  /** Constants that are supplied when the model is compiled; none unless given. */
  readonly residents?: readonly Resident[];
  /** The values that a run returns. */
  readonly outputs: readonly OnnxValue[];
  /** Small constants. */
  readonly initializers: readonly Initializer[];
  /** The operations, each after those that it reads. */
  readonly nodes: readonly OnnxNode[];
}

/** The version of each operator set that models are written against. */
export const opsets: Readonly<Record<Domain, number>> = { "": 24, "com.microsoft": 1 };

/** The version of the file format, the one that belongs to operator set 24. */
export const irVersion = 12;
