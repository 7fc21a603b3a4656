/**
 * Removes transposes and reshapes that cancel, and folds the others into einsum specs.
 *
 * Variables are stored in the axis order of their checkpoint and read through a transpose into their logical order (see
 * the `nn` package). This pass keeps weights from ever being transposed at run time: `einsum` takes its operands
 * and gives its result in any axis order.
 */
import { sameShape } from "../values/dtype.ts";
import { einsumAttrs, parseEinsum } from "../ops/contraction.ts";
import { inversePermutation, isIdentity } from "../ops/movement.ts";
import { emit, type Graph, type Tensor } from "../graph/tensor.ts";
import type { PrimitiveName, Primitives } from "../ops/table.ts";
import { rewrite } from "./rewrite.ts";

type AttrsOf<K extends PrimitiveName> = Primitives[K]["attrs"];

/** The letters of an einsum side before a transpose was applied to that operand. */
function before(letters: string, permutation: readonly number[]): string {
  return inversePermutation(permutation).map((axis) => letters[axis]!).join("");
}

/** The producer of a value when it is a transpose. */
function transposeOf(tensor: Tensor): { from: Tensor; permutation: readonly number[] } | null {
  const node = tensor.producer;
  if (node?.op !== "transpose") return null;
  return { from: node.operands[0]!, permutation: (node.attrs as AttrsOf<"transpose">).permutation };
}

/** What an op becomes, or `null` to keep it; `originals` are the operands before this pass, `uses` counts their readers. */
type Fold<A> = (
  operands: readonly Tensor[],
  attrs: A,
  originals: readonly Tensor[],
  uses: (original: Tensor) => number,
) => readonly Tensor[] | null;

const rules: { readonly [K in PrimitiveName]?: Fold<AttrsOf<K>> } = {
  transpose: ([x], { permutation }, [original], uses) => {
    if (isIdentity(permutation)) return [x!];
    const inner = transposeOf(x!);
    if (inner !== null) {
      const composed = permutation.map((axis) => inner.permutation[axis]!);
      return isIdentity(composed) ? [inner.from] : emit("transpose", [inner.from], { permutation: composed });
    }
    // Only if nothing else reads that einsum or the nodes between the two: otherwise it would be computed twice.
    const producer = x!.producer;
    if (producer?.op === "einsum" && original!.producer?.op === "einsum" && uses(original!) === 1) {
      const { spec, scale } = producer.attrs as AttrsOf<"einsum">;
      const { a, b, out } = parseEinsum(spec);
      const turned = `${a},${b}->${permutation.map((axis) => out[axis]!).join("")}`;
      return emit("einsum", producer.operands, einsumAttrs(turned, scale));
    }
    return null;
  },
  reshape: ([x], { shape }) => {
    if (sameShape(x!.shape, shape)) return [x!];
    return x!.producer?.op === "reshape" ? emit("reshape", [x!.producer.operands[0]!], { shape }) : null;
  },
  cast: ([x], { dtype }) => x!.dtype === dtype ? [x!] : null,
  broadcastTo: ([x], { shape }) => sameShape(x!.shape, shape) ? [x!] : null,
  einsum: ([x, y], { spec, scale }) => {
    const [left, right] = [transposeOf(x!), transposeOf(y!)];
    if (left === null && right === null) return null;
    const { a, b, out } = parseEinsum(spec);
    const lettersA = left === null ? a : before(a, left.permutation);
    const lettersB = right === null ? b : before(b, right.permutation);
    const turned = `${lettersA},${lettersB}->${out}`;
    return emit("einsum", [left?.from ?? x!, right?.from ?? y!], einsumAttrs(turned, scale));
  },
};

/** A graph in which transposes and reshapes are folded where they can be; run dead-code elimination after it. */
export function cancelTransposes(graph: Graph): Graph {
  const counts = new Map<Tensor, number>();
  const count = (tensor: Tensor) => counts.set(tensor, (counts.get(tensor) ?? 0) + 1);
  graph.nodes.forEach((node) => node.operands.forEach(count));
  graph.outputs.forEach(count);
  return rewrite(graph, (node, operands) => {
    const fold = rules[node.op as PrimitiveName] as Fold<unknown> | undefined;
    return fold?.(operands, node.attrs, node.operands, (original) => counts.get(original) ?? 0) ?? null;
  });
}
