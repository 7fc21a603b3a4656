/**
 * Sample calls of ops, as data: operand types, how to fill them, and attributes.
 *
 * The same samples drive the gradient checks and the check of sharding factors here, and the conformance suite that
 * every backend runs. Fills stay away from kinks, poles and ties, so that central differences are meaningful and two
 * implementations agree.
 */
import { type DType, type HostTensor, hostTensor, sizeOf, type TensorType } from "../values/dtype.ts";
import type { Each } from "../ops/op.ts";
import type { OpName, Ops } from "../ops/table.ts";
import { fromElements } from "../reference/evaluate.ts";
import { foldIn, randomKey, uniform } from "../values/random.ts";

/** Elements for an operand, given numbers that are uniform on [0, 1). */
export type Fill = (uniform: Float32Array, shape: readonly number[]) => ArrayLike<number>;

/** One operand of a sample. */
export interface OperandSample {
  /** The shape and element type. */
  readonly type: TensorType;
  /** The elements. */
  readonly fill: Fill;
}

/** One call of an op that is worth trying. */
export interface Sample<K extends OpName = OpName> {
  /** What the call is an example of. */
  readonly name: string;
  /** The operands. */
  readonly operands: Each<Ops[K]["operands"], OperandSample>;
  /** The attributes. */
  readonly attrs: Ops[K]["attrs"];
  /** Whether the op has a gradient here. */
  readonly differentiable: boolean;
}

/** The samples of a family of ops, at least one for each: a missing row is a type error. */
export type SampleTable<Signatures> = {
  readonly [K in keyof Signatures & OpName]: readonly [Sample<K>, ...Sample<K>[]];
};

/** A sample of an op that has a gradient. */
export function sample<K extends OpName>(
  name: string,
  operands: Each<Ops[K]["operands"], OperandSample>,
  attrs: Ops[K]["attrs"],
): Sample<K> {
  return { name, operands, attrs, differentiable: true };
}

/** A sample of an op that has no gradient, or none at these operands. */
export function constantSample<K extends OpName>(
  name: string,
  operands: Each<Ops[K]["operands"], OperandSample>,
  attrs: Ops[K]["attrs"],
): Sample<K> {
  return { name, operands, attrs, differentiable: false };
}

function filled(shape: readonly number[], dtype: DType, fill: Fill): OperandSample {
  return { type: { shape, dtype }, fill };
}

/** Numbers between -2 and 2, none nearer to zero than 0.1. */
export function signed(shape: readonly number[], dtype: DType = "float32"): OperandSample {
  return filled(shape, dtype, (u) => Array.from(u, (x) => (x < 0.5 ? -1 : 1) * (0.1 + 1.9 * (2 * x % 1))));
}

/** Any bytes. */
export function codes(shape: readonly number[]): OperandSample {
  return filled(shape, "uint8", (u) => Array.from(u, (x) => Math.floor(256 * x)));
}

/** Numbers between 0.5 and 2. */
export function positive(shape: readonly number[], dtype: DType = "float32"): OperandSample {
  return filled(shape, dtype, (u) => Array.from(u, (x) => 0.5 + 1.5 * x));
}

/** Numbers between -2 and 2 in random order, every two of them well apart, and none a round one. */
export function distinct(shape: readonly number[], dtype: DType = "float32"): OperandSample {
  return filled(shape, dtype, (u) => {
    const order = [...u.keys()].sort((i, j) => u[i]! - u[j]!);
    const out = new Array<number>(u.length);
    order.forEach((at, rank) => out[at] = -2 + 4 * (rank + 0.375) / u.length);
    return out;
  });
}

/** Int32 numbers from `low` up to, not including, `limit`. */
export function integers(shape: readonly number[], low: number, limit: number): OperandSample {
  return filled(shape, "int32", (u) => Array.from(u, (x) => low + Math.floor(x * (limit - low))));
}

/** Both truth values, in random order. */
export function flags(shape: readonly number[]): OperandSample {
  return filled(shape, "bool", (u) => Array.from(u, (x) => x < 0.5 ? 0 : 1));
}

/** Given elements. */
export function given(shape: readonly number[], dtype: DType, elements: readonly number[]): OperandSample {
  return filled(shape, dtype, () => elements);
}

/** The operands of a sample as host tensors, rounded to their dtypes; the same seed gives the same ones. */
export function sampleOperands({ operands }: { readonly operands: readonly OperandSample[] }, seed = 0): HostTensor[] {
  return operands.map(({ type, fill }, i) => {
    const { shape, dtype } = type;
    const elements = Float64Array.from(fill(uniform(foldIn(randomKey(seed), i), sizeOf(shape)), shape));
    const rounded = fromElements(dtype, shape, elements);
    return hostTensor(dtype, shape, rounded.data);
  });
}
