/**
 * Moves multiplications to where they cost the least.
 *
 * A factor with fewer elements than what it multiplies, above all a number, commutes with most ops of a model: with
 * other multiplications, with changes of shape, with sums and with matrix products. This pass moves such factors toward
 * the result until they meet another factor to be merged with or an einsum, which takes a number as its scale at no cost
 * and lets a factor that does not vary along its contracted axes pass to a result that is smaller.
 *
 * Only float32 arithmetic is rearranged: there a product rounds almost the same wherever it is taken, while a narrower
 * dtype may have been asked for because of where it rounds.
 */
import { sameShape, sizeOf } from "../values/dtype.ts";
import { einsumAttrs, parseEinsum } from "../ops/contraction.ts";
import type { OpName, PrimitiveName, Primitives } from "../ops/table.ts";
import { emit, type Graph, type GraphNode, type Tensor } from "../graph/tensor.ts";
import { full } from "../graph/trace.ts";
import { rewrite } from "./rewrite.ts";

type AttrsOf<K extends PrimitiveName> = Primitives[K]["attrs"];

/** A value as the product of another value of its shape and a factor with fewer elements. */
interface Product {
  readonly from: Tensor;
  readonly factor: Tensor;
}

/** The number that all elements of a constant equal; `null` for other values. */
function numberOf(tensor: Tensor): number | null {
  const node = tensor.producer;
  return node?.op === "full" ? (node.attrs as AttrsOf<"full">).value : null;
}

/** A value as a product, when it is a multiplication by something smaller. */
function productOf(tensor: Tensor): Product | null {
  const node = tensor.producer;
  return node?.op === "mul" ? split(node.operands[0]!, node.operands[1]!, tensor.shape) : null;
}

/** Two operands as the one of the result's shape and the one with fewer elements. */
function split(x: Tensor, y: Tensor, shape: readonly number[]): Product | null {
  const smaller = (tensor: Tensor) => numberOf(tensor) !== null || sizeOf(tensor.shape) < sizeOf(shape);
  if (sameShape(x.shape, shape) && smaller(y)) return { from: x, factor: y };
  return sameShape(y.shape, shape) && smaller(x) ? { from: y, factor: x } : null;
}

/** The product of two factors; of two numbers it is a number. */
function merged(x: Tensor, y: Tensor): Tensor {
  const [a, b] = [numberOf(x), numberOf(y)];
  return a !== null && b !== null ? full([], a * b) : x.mul(y);
}

/** A value times a factor, which is the value when the factor is 1. */
function scaled(from: Tensor, factor: Tensor): Tensor {
  return numberOf(factor) === 1 ? from : from.mul(factor);
}

/** What an op becomes, or `null` to keep it; `only` tells whether nothing but this node reads an operand. */
type Move = (
  node: GraphNode,
  operands: readonly Tensor[],
  only: (operand: number) => boolean,
) => readonly Tensor[] | null;

/** Ops that give the same result when a number multiplies the result instead of the operand. */
const linear: Move = (node, [x], only) => {
  const product = only(0) ? productOf(x!) : null;
  if (product === null || numberOf(product.factor) === null) return null;
  return [emit(node.op, [product.from], node.attrs)[0]!.mul(product.factor)];
};

const mul: Move = ({ results }, [x, y], only) => {
  const shape = results[0]!.shape;
  const own = split(x!, y!, shape);
  if (own !== null) {
    const number = numberOf(own.factor);
    if (number === 1) return [own.from];
    const side = own.from === x ? 0 : 1;
    const node = own.from.producer;
    if (number !== null && node?.op === "einsum" && only(side)) {
      const { spec, scale = 1 } = node.attrs as AttrsOf<"einsum">;
      return emit("einsum", node.operands, einsumAttrs(spec, scale * number));
    }
    const inner = only(side) ? productOf(own.from) : null;
    if (inner === null || sizeOf(inner.factor.shape) * sizeOf(own.factor.shape) >= sizeOf(shape)) return null;
    return [scaled(inner.from, merged(inner.factor, own.factor))];
  }
  for (const [side, [one, other]] of [[x!, y!], [y!, x!]].entries()) {
    const inner = only(side) && sameShape(one!.shape, shape) ? productOf(one!) : null;
    if (inner !== null && sameShape(other!.shape, shape)) return [inner.from.mul(other!).mul(inner.factor)];
  }
  return null;
};

const einsum: Move = ({ attrs, results }, operands, only) => {
  const { spec, scale = 1 } = attrs as AttrsOf<"einsum">;
  const sides = parseEinsum(spec);
  for (const [side, letters] of [sides.a, sides.b].entries()) {
    const product = productOf(operands[side]!);
    if (product === null) continue;
    const { from, factor } = product;
    const number = numberOf(factor);
    if (number !== null) {
      return emit("einsum", operands.with(side, from), einsumAttrs(spec, scale * number));
    }
    const lighter = sizeOf(results[0]!.shape) < sizeOf(from.shape);
    if (only(side) && lighter && fitsResult(factor, letters, sides.out)) {
      return [emit("einsum", operands.with(side, from), attrs)[0]!.mul(factor)];
    }
  }
  return null;
};

/** Tells whether a factor of an operand, as it stands, is the same factor of the result. */
function fitsResult(factor: Tensor, letters: string, out: string): boolean {
  return factor.shape.every((length, axis) => {
    const place = axis - factor.rank;
    return length === 1 ? out.length + place >= 0 : letters.at(place) === out.at(place);
  });
}

const moves: { readonly [K in OpName]?: Move } = {
  mul,
  einsum,
  reshape: linear,
  transpose: linear,
  sum: linear,
};

/** A graph with cheaper multiplications; run dead-code elimination after it. Each run moves a factor by one node or more. */
export function moveFactors(graph: Graph): Graph {
  const counts = new Map<Tensor, number>();
  const count = (tensor: Tensor) => counts.set(tensor, (counts.get(tensor) ?? 0) + 1);
  graph.nodes.forEach((node) => node.operands.forEach(count));
  graph.outputs.forEach(count);
  return rewrite(graph, (node, operands) => {
    if (node.results[0]!.dtype !== "float32") return null;
    // The replacement of an operand may have other readers, so it must still be the same op.
    const only = (operand: number) => {
      const original = node.operands[operand]!;
      return counts.get(original) === 1 && original.producer?.op === operands[operand]!.producer?.op;
    };
    return moves[node.op]?.(node, operands, only) ?? null;
  });
}
