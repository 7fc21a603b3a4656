/** Sample calls of the contraction, movement and indexing ops. */
import type { Contraction } from "../ops/contraction.ts";
import type { Indexing } from "../ops/indexing.ts";
import type { Movement } from "../ops/movement.ts";
import { constantSample, flags, given, integers, type Sample, sample, type SampleTable, signed } from "./sample.ts";

function einsum(name: string, spec: string, a: readonly number[], b: readonly number[]): Sample<"einsum"> {
  return sample(`${name}: ${spec}`, [signed(a), signed(b)], { spec });
}

function scaled(spec: string, a: readonly number[], b: readonly number[]): Sample<"einsum"> {
  return sample(`scaled: ${spec}`, [signed(a), signed(b)], { spec, scale: -0.75 });
}

/** The samples of the contraction family. */
export const contractionSamples: SampleTable<Contraction> = {
  einsum: [
    einsum("matrix product", "ab,bc->ac", [2, 3], [3, 4]),
    scaled("ab,cb->ac", [2, 3], [4, 3]),
    scaled("xab,xbc->xac", [2, 2, 3], [2, 3, 2]),
    scaled("ab,a->ab", [2, 3], [2]),
    einsum("second transposed", "ab,cb->ac", [2, 3], [4, 3]),
    einsum("first transposed", "ba,bc->ac", [3, 2], [3, 4]),
    einsum("result transposed", "ab,bc->ca", [2, 3], [3, 4]),
    einsum("batched", "xab,xbc->xac", [2, 2, 3], [2, 3, 2]),
    einsum("batch inside", "axb,bxc->xca", [2, 2, 3], [3, 2, 2]),
    einsum("two batch axes apart", "xayb,ybxc->yaxc", [2, 2, 2, 3], [2, 3, 2, 2]),
    einsum("projection by head", "btd,dnh->btnh", [2, 2, 4], [4, 2, 3]),
    einsum("projection by head, stored by head", "btd,ndh->btnh", [2, 2, 4], [2, 4, 3]),
    einsum("merge of heads", "btnh,nhd->btd", [2, 2, 2, 3], [2, 3, 4]),
    einsum("gradient of a kernel", "btd,btnh->ndh", [2, 2, 4], [2, 2, 2, 3]),
    einsum("grouped scores", "btmgh,bsmh->bmgts", [2, 2, 2, 2, 3], [2, 4, 2, 3]),
    einsum("grouped values", "bmgts,bsmh->btmgh", [2, 2, 2, 2, 4], [2, 4, 2, 3]),
    einsum("LoRA down", "btd,dr->btr", [2, 2, 4], [4, 1]),
    einsum("LoRA up", "btr,rnh->btnh", [2, 2, 1], [1, 2, 3]),
    einsum("matrix and vector", "ab,b->a", [2, 3], [3]),
    einsum("vector and matrix", "a,ab->b", [3], [3, 2]),
    einsum("outer product", "a,b->ab", [2], [3]),
    einsum("inner product", "a,a->", [4], [4]),
    einsum("inner product of matrices", "ab,ba->", [2, 3], [3, 2]),
    einsum("elementwise", "ab,ab->ab", [2, 3], [2, 3]),
    einsum("row scale", "ab,a->ab", [2, 3], [2]),
    einsum("scalar", ",ab->ba", [], [2, 3]),
    einsum("axes of one", "ab,bc->ac", [1, 3], [3, 1]),
    sample("bfloat16", [signed([2, 3], "bfloat16"), signed([3, 2], "bfloat16")], { spec: "ab,bc->ac" }),
    sample("float16", [signed([2, 3], "float16"), signed([3, 2], "float16")], { spec: "ab,bc->ac" }),
  ],
};

/** The samples of the movement family. */
export const movementSamples: SampleTable<Movement> = {
  reshape: [
    sample("split", [signed([4, 3])], { shape: [2, 2, 3] }),
    sample("merge", [signed([2, 3, 2])], { shape: [2, 6] }),
    sample("split and merge", [signed([2, 6])], { shape: [4, 3] }),
    sample("no common boundary", [signed([2, 3])], { shape: [3, 2] }),
    sample("common boundary further on", [signed([2, 3, 2])], { shape: [3, 2, 2] }),
    sample("axes of one put in", [signed([2, 4])], { shape: [2, 1, 4, 1] }),
    sample("axes of one taken out", [signed([1, 2, 1, 4])], { shape: [2, 4] }),
    sample("to a scalar", [signed([1, 1])], { shape: [] }),
    sample("from a scalar", [signed([])], { shape: [1, 1] }),
    sample("flattened", [signed([2, 2, 2])], { shape: [8] }),
    constantSample("bool", [flags([2, 3])], { shape: [6] }),
    constantSample("int32", [integers([2, 3], -9, 9)], { shape: [6] }),
  ],
  transpose: [
    sample("matrix", [signed([2, 3])], { permutation: [1, 0] }),
    sample("rotation of axes", [signed([2, 3, 4])], { permutation: [2, 0, 1] }),
    sample("middle axes", [signed([2, 3, 2, 2])], { permutation: [0, 2, 1, 3] }),
    sample("identity", [signed([2, 3])], { permutation: [0, 1] }),
    sample("scalar", [signed([])], { permutation: [] }),
    constantSample("int32", [integers([2, 3], -9, 9)], { permutation: [1, 0] }),
  ],
  broadcastTo: [
    sample("new leading axis", [signed([3])], { shape: [2, 3] }),
    sample("axis of one", [signed([2, 1])], { shape: [2, 3] }),
    sample("both", [signed([1, 3])], { shape: [2, 2, 3] }),
    sample("scalar", [signed([])], { shape: [2, 2] }),
    sample("same shape", [signed([2, 3])], { shape: [2, 3] }),
    constantSample("bool", [flags([1, 3])], { shape: [2, 3] }),
  ],
  slice: [
    sample("one axis", [signed([2, 5])], { starts: [0, 1], limits: [2, 4], strides: [1, 1] }),
    sample("every axis", [signed([3, 4])], { starts: [1, 2], limits: [3, 3], strides: [1, 1] }),
    sample("whole", [signed([2, 3])], { starts: [0, 0], limits: [2, 3], strides: [1, 1] }),
    sample("scalar", [signed([])], { starts: [], limits: [], strides: [] }),
    constantSample("strides", [signed([2, 7])], { starts: [0, 1], limits: [2, 7], strides: [1, 3] }),
    constantSample("empty", [signed([2, 3])], { starts: [0, 2], limits: [2, 2], strides: [1, 1] }),
    constantSample("int32", [integers([4], -9, 9)], { starts: [1], limits: [3], strides: [1] }),
  ],
  pad: [
    sample("one axis", [signed([2, 3])], { low: [0, 1], high: [0, 2], value: 0 }),
    sample("every axis", [signed([2, 2])], { low: [1, 0], high: [0, 1], value: -1 }),
    sample("nothing", [signed([2, 3])], { low: [0, 0], high: [0, 0], value: 0 }),
    constantSample("int32", [integers([3], -9, 9)], { low: [1], high: [1], value: 7 }),
  ],
  concat: [
    sample("last axis", [signed([2, 1]), signed([2, 3])], { axis: 1 }),
    sample("first axis", [signed([1, 2]), signed([2, 2])], { axis: 0 }),
    sample("three", [signed([2, 1, 2]), signed([2, 2, 2]), signed([2, 1, 2])], { axis: 1 }),
    sample("one", [signed([2, 3])], { axis: 0 }),
    constantSample("int32", [integers([2], -9, 9), integers([3], -9, 9)], { axis: 0 }),
  ],
};

/** Positions along an axis of length four, with repeats. */
function positions(shape: readonly number[]) {
  return integers(shape, 0, 4);
}

/** The samples of the indexing family. */
export const indexingSamples: SampleTable<Indexing> = {
  gather: [
    sample("embedding lookup", [signed([4, 3]), positions([2, 2])], { axis: 0 }),
    sample("last axis", [signed([2, 4]), positions([3])], { axis: 1 }),
    sample("middle axis", [signed([2, 4, 2]), positions([2, 2])], { axis: 1 }),
    sample("one position", [signed([4, 3]), positions([])], { axis: 0 }),
    sample("repeated", [signed([4, 2]), given([4], "int32", [1, 1, 1, 3])], { axis: 0 }),
    sample("bfloat16", [signed([4, 2], "bfloat16"), positions([2])], { axis: 0 }),
    constantSample("int32", [integers([4], -9, 9), positions([2])], { axis: 0 }),
  ],
  scatterAdd: [
    sample("rows", [signed([4, 3]), positions([2, 2]), signed([2, 2, 3])], { axis: 0 }),
    sample("last axis", [signed([2, 4]), positions([3]), signed([2, 3])], { axis: 1 }),
    sample("middle axis", [signed([2, 4, 2]), positions([2]), signed([2, 2, 2])], { axis: 1 }),
    sample("one position", [signed([4, 3]), positions([]), signed([3])], { axis: 0 }),
    sample("repeated", [signed([4, 2]), given([4], "int32", [1, 1, 1, 3]), signed([4, 2])], { axis: 0 }),
  ],
  takeAlongAxis: [
    sample("label of each row", [signed([2, 4]), positions([2, 1])], { axis: 1 }),
    sample("several of each row", [signed([2, 4]), positions([2, 3])], { axis: 1 }),
    sample("first axis", [signed([4, 2]), positions([2, 2])], { axis: 0 }),
    sample("middle axis", [signed([2, 4, 2]), positions([2, 1, 2])], { axis: 1 }),
  ],
  addAlongAxis: [
    sample("label of each row", [signed([2, 4]), positions([2, 1]), signed([2, 1])], { axis: 1 }),
    sample("repeated", [signed([2, 4]), given([2, 3], "int32", [1, 1, 3, 0, 2, 0]), signed([2, 3])], { axis: 1 }),
    sample("first axis", [signed([4, 2]), positions([2, 2]), signed([2, 2])], { axis: 0 }),
    sample("middle axis", [signed([2, 4, 2]), positions([2, 1, 2]), signed([2, 1, 2])], { axis: 1 }),
  ],
  updateSlice: [
    constantSample(
      "one step of a cache",
      [signed([2, 5, 2, 2]), signed([2, 1, 2, 2]), given([2], "int32", [0, 4])],
      { axis: 1 },
    ),
    constantSample("several steps", [signed([2, 5, 2]), signed([2, 3, 2]), given([2], "int32", [2, 0])], { axis: 1 }),
    constantSample("whole axis", [signed([2, 3]), signed([2, 3]), given([2], "int32", [0, 0])], { axis: 1 }),
    constantSample("last axis", [signed([2, 2, 4]), signed([2, 2, 2]), given([2], "int32", [1, 2])], { axis: 2 }),
    constantSample(
      "bfloat16",
      [signed([2, 4, 2], "bfloat16"), signed([2, 1, 2], "bfloat16"), given([2], "int32", [3, 1])],
      { axis: 1 },
    ),
  ],
};
