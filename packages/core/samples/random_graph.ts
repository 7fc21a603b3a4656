/**
 * Small graphs from lists of numbers, for property tests: a shorter list is a smaller graph, so a failing one shrinks.
 *
 * Every step takes a builder from a table and operands from the values so far. Values stay within a few units of zero,
 * whatever the steps, so that float32 results of two correct evaluations agree.
 */
import { attention } from "../composites/attention.ts";
import { gelu, silu } from "../composites/activation.ts";
import { rmsNorm, softmax } from "../composites/normalization.ts";
import type { FloatDType, HostTensor, TensorType } from "../values/dtype.ts";
import { gradients } from "../graph/gradient.ts";
import { einsum } from "../ops/contraction.ts";
import { concat } from "../ops/movement.ts";
import { apply, type Graph, type Tensor } from "../graph/tensor.ts";
import { constant, full, iota, trace, where } from "../graph/trace.ts";
import { sampleOperands, signed } from "./sample.ts";

/** Makes a value from others, all of them `[2, 3]` of one float dtype; `pick` chooses below a limit. */
type Step = (x: Tensor, y: Tensor, pick: (limit: number) => number) => Tensor;

/** Everything keeps the shape, so that any value fits anywhere. */
const steps: readonly Step[] = [
  (x, y) => x.add(y).mul(0.5),
  (x, y) => x.sub(y).tanh(),
  (x, y) => x.tanh().mul(y),
  (x, y) => x.div(y.square().add(1)),
  (x, y) => x.maximum(y).minimum(2),
  (x, y) => where(x.greater(y), x.sin(), y.neg()),
  (x) => x.sigmoid().add(1).log(),
  (x) => x.abs().add(0.5).sqrt().rsqrt(),
  (x) => x.neg().neg(),
  (x) => gelu(x),
  (x) => silu(x),
  (x) => softmax(x),
  (x, y) => rmsNorm(x, y.slice([0, 0], [1, 3]).reshape([3]), { epsilon: 1e-2, offset: 1 }).tanh(),
  (x, _, pick) => x.sum(pick(2), { keepDims: true }).broadcastTo([2, 3]).mul(0.3),
  (x) => x.max(-1, { keepDims: true }).sub(x),
  (x) => x.transpose([1, 0]).exp().log().transpose([1, 0]),
  (x) => x.transpose([1, 0]).transpose([1, 0]),
  (x) => x.transpose([1, 0]).transpose([0, 1]).reshape([6]).reshape([2, 3]),
  (x) => x.reshape([3, 2]).reshape([6]).reshape([2, 3]),
  (x, y) => einsum("ab,bc->ac", x, einsum("ba,bc->ca", y, y)).mul(0.1).transpose([1, 0]).transpose([1, 0]),
  (x, y) =>
    einsum("ab,cb->ca", x, y.transpose([1, 0]).reshape([2, 3])).tanh().gather(iota([2], 0)).reshape([2, 2])
      .sum(1, { keepDims: true }).mul(x),
  (x, y) =>
    einsum("ba,bc->ac", x.transpose([1, 0]), einsum("ab,cb->ac", y, y).gather(iota([3], 0).minimum(1)).mul(0.1)).sum(
      -1,
      { keepDims: true },
    ).mul(y).tanh(),
  // Three axes in a circle, which unlike a swap is not its own inverse.
  (x, y) =>
    einsum("cab,bd->dac", x.reshape([1, 2, 3]).transpose([2, 0, 1]), y).transpose([1, 2, 0]).sum(-1).mul(y).tanh(),
  (x, y) => x.reshape([1, 2, 3]).transpose([1, 2, 0]).transpose([1, 0, 2]).reshape([2, 3]).mul(y).tanh(),
  (x, y) => concat([x.sliceAxis(0, 0, 1), y.sliceAxis(0, 1, 2)], 0),
  (x, y, pick) =>
    apply("pad", [x.sliceAxis(1, pick(2), 2)], { low: [0, 0], high: [0, 0], value: 0 }).sum(1, { keepDims: true }).add(
      y,
    ).tanh(),
  (x) => constant([1, 2, 3], [3], "float32").mul(0.25).add(full([], 0.1)).cast(x.dtype).mul(x),
  (x) => full([2, 1], 2).sqrt().log().cast(x.dtype).mul(x),
  (x) => iota([2, 3], 1).add(1).cast(x.dtype).mul(x).mul(0.2),
  (x, y) => {
    const at = x.reshape([1, 2, 1, 3]);
    const positions = iota([1, 2], 1);
    const inputs = {
      query: at,
      key: y.reshape([1, 2, 1, 3]),
      value: at,
      queryPositions: positions,
      keyPositions: positions,
    };
    return attention(inputs, { scale: 0.5, softCap: null, window: null }).reshape([2, 3]);
  },
  (x, y) => gradients(x.mul(y).tanh().cast("float32").sum(), [x])[0]!,
  (x, y) => gradients(softmax(x.add(y)).mul(y).cast("float32").square().sum(), [y])[0]!,
];

/** The type of every value of a random graph. */
function typeOf(dtype: FloatDType): TensorType {
  return { shape: [2, 3], dtype };
}

/** A graph of as many steps as a third of the choices, with two inputs and up to three outputs. */
export function randomGraph(choices: readonly number[], dtype: FloatDType = "float32"): Graph {
  return trace("random", { x: typeOf(dtype), y: typeOf(dtype) }, (inputs) => {
    const values = [inputs.x, inputs.y];
    for (let i = 0; i + 2 < choices.length; i += 3) {
      const [step, a, b] = choices.slice(i, i + 3) as [number, number, number];
      const made = steps[step % steps.length]!(
        values[a % values.length]!,
        values[b % values.length]!,
        (limit) => b % limit,
      );
      values.push(made);
    }
    return Object.fromEntries(values.slice(-3).map((value, i) => [`out${i}`, value]));
  });
}

/** Inputs for a random graph. */
export function randomGraphInputs(seed: number, dtype: FloatDType = "float32"): HostTensor[] {
  return sampleOperands({ operands: [signed([2, 3], dtype), signed([2, 3], dtype)] }, seed);
}
