/**
 * Which ops may be applied to partial sums before these are reduced.
 *
 * A value that is partial over a mesh axis is the sum of the devices' values. An op that is linear in an operand can run on
 * each device's part, and its result is partial too; so an all-reduce waits until a value is used by something that is not
 * linear, and all that is reduced on the way needs only one.
 */
import { type GraphNode, isFloat, type OpName, type Tensor } from "@tessera/core";

/** The operands in which an op is linear. */
export interface Linearity {
  /** In each by itself (a product), or only in all of them together (a sum). */
  readonly kind: "each" | "together";
  /** Which operands. */
  readonly operands: readonly number[];
}

const first: Linearity = { kind: "each", operands: [0] };
const either: Linearity = { kind: "each", operands: [0, 1] };
const sum: Linearity = { kind: "together", operands: [0, 1] };

function always(linearity: Linearity): () => Linearity {
  return () => linearity;
}

const linear: { readonly [K in OpName]?: (node: GraphNode) => Linearity | null } = {
  neg: always(first),
  add: always(sum),
  sub: always(sum),
  mul: always(either),
  div: always(first),
  where: always({ kind: "together", operands: [1, 2] }),
  cast: ({ operands, results }) => isFloat(operands[0]!.dtype) && isFloat(results[0]!.dtype) ? first : null,
  sum: always(first),
  cumSum: always(first),
  einsum: always(either),
  reshape: always(first),
  transpose: always(first),
  broadcastTo: always(first),
  slice: always(first),
  pad: ({ attrs }) => attrs.value === 0 ? first : null,
  concat: ({ operands }) => ({ kind: "together", operands: operands.map((_, i) => i) }),
  gather: always(first),
  scatterAdd: always({ kind: "together", operands: [0, 2] }),
  takeAlongAxis: always(first),
  addAlongAxis: always({ kind: "together", operands: [0, 2] }),
  updateSlice: always({ kind: "together", operands: [0, 1] }),
  rotaryEmbedding: always(first),
  geluGrad: always({ kind: "each", operands: [1] }),
  siluGrad: always({ kind: "each", operands: [1] }),
};

/** In which operands a node is linear; `null` when it is in none, or divides integers, which rounds. */
export function linearityOf(node: GraphNode): Linearity | null {
  // Integers are divided toward zero, and truth values do not add up.
  if (node.results.some(({ dtype }) => dtype === "bool")) return null;
  if (node.op === "div" && !isFloat(node.results[0]!.dtype)) return null;
  return linear[node.op]?.(node) ?? null;
}

/** Tells whether a value is zero wherever it is computed, so that it is partial over anything at will. */
export function isZero({ producer }: Tensor): boolean {
  return producer?.op === "full" && producer.attrs.value === 0;
}
