/**
 * What a device does for one node: mostly the same op on its shards, with attributes that speak of lengths made local; for
 * a few ops more than that.
 */
import {
  type Attrs,
  type CompositeName,
  emit,
  full,
  type GraphNode,
  iota,
  type OpName,
  type Ops,
  type Tensor,
  where,
} from "@tessera/core";

/** What a local rule needs to know besides the operands. */
export interface LocalContext {
  /** The node of the whole graph. */
  readonly node: GraphNode;
  /** The mesh axes that split an axis of an operand. */
  readonly split: (operand: number, axis: number) => readonly string[];
  /** The local shape of the first result. */
  readonly shape: readonly number[];
  /** The mesh axes over which the first result is partial because a summed axis is sharded. */
  readonly summed: readonly string[];
  /** Emits a collective over mesh axes. */
  readonly collective: (op: OpName, operands: readonly Tensor[], meshAxes: readonly string[], attrs?: Attrs) => Tensor;
}

/** The attributes for a device's shard, where they hold lengths. */
const localAttrs: { readonly [K in OpName]?: (attrs: Ops[K]["attrs"], shape: readonly number[]) => Ops[K]["attrs"] } = {
  full: (attrs, shape) => ({ ...attrs, shape }),
  reshape: (_, shape) => ({ shape }),
  broadcastTo: (_, shape) => ({ shape }),
  // Only axes that are taken whole are ever split.
  slice: ({ starts, strides }, shape) => ({
    starts,
    strides,
    limits: starts.map((start, i) => start + shape[i]! * strides[i]!),
  }),
};

/** Positions along an axis of which this device holds `length` entries: its own ones counted from its first, and which those are. */
function ownPositions(
  indices: Tensor,
  length: number,
  meshAxes: readonly string[],
  { collective }: LocalContext,
): { safe: Tensor; own: Tensor } {
  const local = indices.sub(collective("deviceIndex", [], meshAxes).mul(length));
  return { safe: local.maximum(0).minimum(length - 1), own: local.greaterEqual(0).and(local.less(length)) };
}

/** The elements where the condition holds, zero elsewhere. */
function only(condition: Tensor, x: Tensor): Tensor {
  return where(condition, x, full([], 0, x.dtype));
}

/** A mask over the axes of indices that stand at `axis` of a tensor of more axes. */
function spread(mask: Tensor, axis: number, rank: number): Tensor {
  return mask.reshape([
    ...Array.from({ length: axis }, () => 1),
    ...mask.shape,
    ...Array.from({ length: rank - axis - mask.rank }, () => 1),
  ]);
}

/** An extreme over axes of which some are sharded: first within each shard, then across shards. */
function extreme(context: LocalContext, operands: readonly Tensor[]): Tensor {
  const { node, collective } = context;
  const [local] = emit(node.op, operands, node.attrs);
  const meshAxes = (node.attrs.axes as readonly number[]).flatMap((axis) => context.split(0, axis));
  return meshAxes.length === 0 ? local! : collective("allReduce", [local!], meshAxes, { reduce: node.op });
}

/** The base of a sum whose other terms are spread over devices: it must count on one device only. */
function countedOnce(base: Tensor, { summed, collective }: LocalContext): Tensor {
  return summed.length === 0 ? base : only(collective("deviceIndex", [], summed).equal(0), base);
}

/** The local nodes of an op: operands of one device in, its results out. */
type LocalRule = (context: LocalContext, operands: readonly Tensor[]) => readonly Tensor[];

const special: { readonly [K in OpName]?: LocalRule } = {
  max: (context, operands) => [extreme(context, operands)],
  min: (context, operands) => [extreme(context, operands)],
  // Each device looks up the positions that it holds; the others give zeros.
  gather: (context, [x, indices]) => {
    const axis = context.node.attrs.axis as number;
    const meshAxes = context.split(0, axis);
    if (meshAxes.length === 0) return [x!.gather(indices!, axis)];
    const { safe, own } = ownPositions(indices!, x!.shape[axis]!, meshAxes, context);
    const found = x!.gather(safe, axis);
    return [only(spread(own, axis, found.rank), found)];
  },
  takeAlongAxis: (context, [x, indices]) => {
    const axis = context.node.attrs.axis as number;
    const meshAxes = context.split(0, axis);
    if (meshAxes.length === 0) return emit("takeAlongAxis", [x!, indices!], { axis });
    const { safe, own } = ownPositions(indices!, x!.shape[axis]!, meshAxes, context);
    return [only(own, emit("takeAlongAxis", [x!, safe], { axis })[0]!)];
  },
  // Each device adds the updates of the positions that it holds.
  scatterAdd: (context, [base, indices, updates]) => {
    const axis = context.node.attrs.axis as number;
    const meshAxes = context.split(0, axis);
    const start = countedOnce(base!, context);
    if (meshAxes.length === 0) return emit("scatterAdd", [start, indices!, updates!], { axis });
    const { safe, own } = ownPositions(indices!, base!.shape[axis]!, meshAxes, context);
    return emit("scatterAdd", [start, safe, only(spread(own, axis, updates!.rank), updates!)], { axis });
  },
  addAlongAxis: (context, [base, indices, updates]) => {
    const axis = context.node.attrs.axis as number;
    const meshAxes = context.split(0, axis);
    const start = countedOnce(base!, context);
    if (meshAxes.length === 0) return emit("addAlongAxis", [start, indices!, updates!], { axis });
    const { safe, own } = ownPositions(indices!, base!.shape[axis]!, meshAxes, context);
    return emit("addAlongAxis", [start, safe, only(own, updates!)], { axis });
  },
};

/** The nodes that compute a device's shard of a node's results from its shards of the operands. */
export function emitLocal(context: LocalContext, operands: readonly Tensor[]): readonly Tensor[] {
  const { node, shape } = context;
  const rule = special[node.op];
  if (rule !== undefined) return rule(context, operands);
  const localize = localAttrs[node.op] as ((attrs: Attrs, shape: readonly number[]) => Attrs) | undefined;
  return emit(node.op, operands, localize?.(node.attrs, shape) ?? node.attrs);
}

/**
 * A device's part of a value that depends on nothing but attributes, split over mesh axes per tensor axis; `null` for ops
 * whose parts have to be cut out of the whole.
 */
export function createLocal(
  node: GraphNode,
  dims: readonly (readonly string[])[],
  shape: readonly number[],
  collective: LocalContext["collective"],
): Tensor | null {
  if (node.op === "full") return emit("full", [], { ...node.attrs, shape })[0]!;
  if (node.op !== "iota") return null;
  const { axis, dtype } = node.attrs as Ops["iota"]["attrs"];
  const own = iota(shape, axis, dtype);
  if (dims[axis]!.length === 0) return own;
  return own.add(collective("deviceIndex", [], dims[axis]!).mul(shape[axis]!).cast(dtype));
}

/** Composites over an axis that may not be split, whose definitions still can run on parts of it. */
export const decomposedWhenSplit: ReadonlySet<OpName> = new Set<CompositeName>([
  "softmax",
  "rmsNorm",
  "rmsNormGrad",
  "layerNorm",
  "layerNormGrad",
  "crossEntropy",
  "crossEntropyGrad",
]);
