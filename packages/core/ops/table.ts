/** All ops in three tables: the primitives, the composites that decompose into them, and the collectives. */
import { type Activation, activations } from "../composites/activation.ts";
import { type Attention, attentions } from "../composites/attention.ts";
import { type Loss, losses } from "../composites/loss.ts";
import { type Normalization, normalizations } from "../composites/normalization.ts";
import { type Optimization, optimization } from "../composites/optimizer.ts";
import { type Quantization, quantizations } from "../composites/quantization.ts";
import { type Rotary, rotary } from "../composites/rotary.ts";
import type { TensorType } from "../values/dtype.ts";
import type { Attrs, GraphNode, Tensor } from "../graph/tensor.ts";
import { type Collective, collectives } from "./collective.ts";
import { type Contraction, contraction } from "./contraction.ts";
import { type Creation, creation } from "./creation.ts";
import { type Elementwise, elementwise } from "./elementwise.ts";
import { type Indexing, indexing } from "./indexing.ts";
import { type Movement, movement } from "./movement.ts";
import type { CompositeTable, Each, OpTable } from "./op.ts";
import { type Reduction, reductions } from "./reduction.ts";

/** The signatures of the primitive ops. */
export interface Primitives extends Creation, Elementwise, Reduction, Contraction, Movement, Indexing {}

/** The signatures of the composite ops. */
export interface Composites extends Activation, Normalization, Rotary, Attention, Loss, Quantization, Optimization {}

/** The signatures of the ops that one device computes. */
export interface LocalOps extends Primitives, Composites {}

/** The signatures of all ops. */
export interface Ops extends LocalOps, Collective {}

/** The name of a primitive op. */
export type PrimitiveName = keyof Primitives;

/** The name of a composite op. */
export type CompositeName = keyof Composites;

/** The name of a collective op. */
export type CollectiveName = keyof Collective;

/** The name of an op. */
export type OpName = keyof Ops;

/** One row per primitive op. */
export const primitives: OpTable<Primitives> = {
  ...creation,
  ...elementwise,
  ...reductions,
  ...contraction,
  ...movement,
  ...indexing,
};

/** One row per composite op. */
export const composites: CompositeTable<Composites> = {
  ...activations,
  ...normalizations,
  ...rotary,
  ...attentions,
  ...losses,
  ...quantizations,
  ...optimization,
};

/** How a target computes one op: values of its own in, values of its own out. */
export type Rule<K extends OpName, Context, Out> = (
  context: Context,
  operands: Each<Ops[K]["operands"], Out>,
  attrs: Ops[K]["attrs"],
  node: GraphNode,
) => Each<Ops[K]["results"], Out>;

/** A target's table: a rule for every primitive, and for every composite a rule or the decision to decompose it. */
export type Lowering<Context, Out> =
  & { readonly [K in PrimitiveName]: Rule<K, Context, Out> }
  & { readonly [K in CompositeName]: Rule<K, Context, Out> | "decompose" };

/** A row of any table, for passes that treat all ops alike. */
export interface AnyOp {
  /** See `Op.infer`. */
  readonly infer: (operands: readonly TensorType[], attrs: Attrs) => readonly TensorType[];
  /** See `Op.factors`. */
  readonly factors: (operands: readonly TensorType[], attrs: Attrs) => string | null;
  /** See `Composite.vjp`. */
  readonly vjp:
    | ((
      cotangents: readonly Tensor[],
      operands: readonly Tensor[],
      attrs: Attrs,
      results: readonly Tensor[],
    ) => readonly (Tensor | null)[])
    | null
    | "decompose";
  /** See `Composite.decompose`; absent from primitives. */
  readonly decompose?: (operands: readonly Tensor[], attrs: Attrs) => readonly Tensor[];
}

const rows = { ...primitives, ...composites, ...collectives } as unknown as Readonly<Record<OpName, AnyOp>>;

/** The row of an op. */
export function opOf(name: OpName): AnyOp {
  return rows[name];
}

/** Tells whether a name is that of an op. */
export function isOpName(name: string): name is OpName {
  return Object.hasOwn(rows, name);
}

/** Tells whether an op is a collective or its result depends on the device. */
export function isCollective(name: OpName): name is CollectiveName {
  return Object.hasOwn(collectives, name);
}

/** Tells whether an op is a composite. */
export function isComposite(name: OpName): name is CompositeName {
  return Object.hasOwn(composites, name);
}
