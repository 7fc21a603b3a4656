/** Blocks of host tensors: what each device of a mesh holds of a whole one. */
import { contiguousRuns, hostArray, type HostTensor, sizeOf } from "@tessera/core";
import type { Block } from "@tessera/mesh";

function runsOf(shape: readonly number[], { starts, shape: lengths }: Block) {
  return contiguousRuns(shape, starts.map((start, axis) => [start, start + lengths[axis]!] as const));
}

/** A block of a host tensor; a view of it where the block is contiguous, otherwise a copy. */
export function cutBlock({ dtype, shape, data }: HostTensor, block: Block): HostTensor {
  const { starts, length } = runsOf(shape, block);
  if (starts.length === 1) return { dtype, shape: block.shape, data: data.subarray(starts[0]!, starts[0]! + length) };
  const part = hostArray(dtype, sizeOf(block.shape));
  starts.forEach((start, i) => part.set(data.subarray(start, start + length), i * length));
  return { dtype, shape: block.shape, data: part };
}

/** Copies a block into a host tensor. */
export function pasteBlock(part: HostTensor, whole: HostTensor, block: Block): void {
  const { starts, length } = runsOf(whole.shape, block);
  starts.forEach((start, i) => whole.data.set(part.data.subarray(i * length, (i + 1) * length), start));
}
