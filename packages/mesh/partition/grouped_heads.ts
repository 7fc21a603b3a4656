/**
 * Attention whose query heads are sharded over more devices than there are key heads.
 *
 * The factors of attention split key heads, and with them the query heads that share one. Where a group of query heads is
 * itself split, each shard gets a copy of its key head: with `parts` copies in all, attention has as many key heads as there
 * are parts, and splits by those. The gradients of the copies add up to that of the key head.
 */
import { apply, emit, full, type GraphNode, iota, type Tensor } from "@tessera/core";

/** How many key heads attention needs so that its query heads can be split into `parts`; `null` when it has enough or cannot. */
export function copiedHeads({ op, operands }: GraphNode, parts: number): number | null {
  if (op !== "attention" && op !== "attentionGrad") return null;
  const heads = operands[0]!.shape[2]!;
  const keyHeads = operands[1]!.shape[2]!;
  // One key head is shared by all query heads, which the factors can split as they are.
  const isNeeded = keyHeads > 1 && keyHeads % parts !== 0;
  return isNeeded && parts % keyHeads === 0 && heads % parts === 0 ? parts : null;
}

/** Attention, or its gradient, with its key heads replicated. */
export function withCopiedHeads({ op, operands, attrs }: GraphNode, copies: number): readonly Tensor[] {
  const [query, key, value, ...rest] = operands as readonly [Tensor, Tensor, Tensor, ...Tensor[]];
  // Copy i is of key head i · keyHeads / copies.
  const source = iota([copies], 0).div(full([], copies / key.shape[2]!, "int32"));
  const copy = (x: Tensor) => x.gather(source, 2);
  const results = emit(op, [query, copy(key), copy(value), ...rest], attrs);
  if (op === "attention") return results;
  const [dquery, dkey, dvalue] = results as readonly [Tensor, Tensor, Tensor];
  const sum = (dx: Tensor, x: Tensor) => apply("scatterAdd", [full(x.shape, 0, x.dtype), source, dx], { axis: 2 });
  return [dquery, sum(dkey, key), sum(dvalue, value)];
}
