/**
 * Sums over an axis, computed piece by piece together with their gradients.
 *
 * Reverse mode keeps the intermediate values of every piece until the backward pass reads them. But the cotangent of a sum
 * is one number, and the gradients can be multiplied by it afterwards. So the forward pass computes the gradients piece by
 * piece, frees the intermediate values after each piece, and computes nothing twice. Liger's fused linear cross-entropy
 * does this (arXiv 2410.10989); here it works for any function.
 */
import { formatType, isFloat } from "../values/dtype.ts";
import { backward, withGradients } from "./gradient.ts";
import { concat } from "../ops/movement.ts";
import { currentNodes, normalizeAxis, type Tensor } from "./tensor.ts";
import { full } from "./trace.ts";

/** How tensors are cut into pieces. */
export interface Pieces {
  /** The axis that is cut. */
  readonly axis: number;
  /** The maximum number of entries in a piece along the axis; pieces are as equal as possible. */
  readonly most: number;
}

/** Where each piece of an axis begins and ends. */
export function pieceBounds(length: number, most: number): readonly (readonly [start: number, limit: number])[] {
  const each = Math.ceil(length / Math.max(1, Math.ceil(length / most)));
  const bounds: [number, number][] = [];
  for (let start = 0; start < length; start += each) bounds.push([start, Math.min(start + each, length)]);
  return bounds;
}

/**
 * The sum of a scalar function of the pieces of some tensors. Gradients flow to these tensors and to everything else that the function reads.
 *
 * @throws {TypeError} when the function gives something other than a floating-point scalar.
 */
export function sumOverPieces(
  tensors: readonly Tensor[],
  { axis, most }: Pieces,
  term: (pieces: readonly Tensor[]) => Tensor,
): Tensor {
  const length = tensors[0]!.shape[normalizeAxis("sum over pieces of", tensors[0]!, axis)]!;
  const bounds = pieceBounds(length, most);
  if (bounds.length <= 1) return scalar(term(tensors));
  const terms: Tensor[] = [];
  const ofPieces = tensors.map((): Tensor[] => []);
  const ofOthers = new Map<Tensor, Tensor[]>();
  for (const [start, limit] of bounds) {
    const pieces = tensors.map((tensor) => tensor.sliceAxis(axis, start, limit));
    const { value, slopes } = withSlopes(() => scalar(term(pieces)));
    terms.push(value);
    pieces.forEach((piece, i) => {
      ofPieces[i]!.push(slopes.get(piece) ?? full(piece.shape, 0, piece.dtype));
      slopes.delete(piece);
    });
    for (const [tensor, slope] of slopes) ofOthers.set(tensor, [...ofOthers.get(tensor) ?? [], slope]);
  }
  const found = new Map<Tensor, Tensor>();
  for (const [tensor, slopes] of ofOthers) found.set(tensor, total(slopes));
  tensors.forEach((tensor, i) => {
    if (isFloat(tensor.dtype)) found.set(tensor, concat(ofPieces[i]!, axis));
  });
  return withGradients(total(terms), found);
}

function scalar(value: Tensor): Tensor {
  if (value.rank === 0 && isFloat(value.dtype)) return value;
  throw new TypeError(`Cannot sum ${formatType(value.type)} over pieces: the terms must be floating-point scalars`);
}

/** A scalar, and its gradients for the floating-point tensors that computing it reads from outside. */
function withSlopes(compute: () => Tensor): { readonly value: Tensor; readonly slopes: Map<Tensor, Tensor> } {
  const nodes = currentNodes();
  const start = nodes.length;
  const value = compute();
  const inner = nodes.slice(start);
  const made = new Set(inner.flatMap(({ results }) => results));
  const read = new Set(inner.flatMap(({ operands }) => operands));
  const outer = [...read].filter((tensor) => !made.has(tensor) && isFloat(tensor.dtype));
  const found = backward(inner, new Map([[value, full([], 1, value.dtype)]]), outer);
  return { value, slopes: new Map(outer.flatMap((tensor, i) => found[i] === null ? [] : [[tensor, found[i]!]])) };
}

/** The sum of some tensors of one type, rounded once. */
function total(terms: readonly Tensor[]): Tensor {
  return terms.map((term) => term.cast("float32")).reduce((sum, term) => sum.add(term)).cast(terms[0]!.dtype);
}
