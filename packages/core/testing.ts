/**
 * Helpers that Tessera's tests share: samples of every op, a gradient check, and comparison of numbers.
 *
 * ```ts
 * import { assertAllClose, checkGradient } from "@tessera/core/testing";
 * import { hostTensor } from "@tessera/core";
 *
 * checkGradient((x) => x.square().exp(), [hostTensor("float32", [2], new Float32Array([0.5, -1]))]);
 * assertAllClose([1, 2], [1, 2.0000001], { absolute: 0, relative: 1e-6 });
 * ```
 *
 * @module
 */
import assert from "node:assert/strict";
import { type DType, formatType, type HostTensor, isFloat, sizeOf, type TensorType } from "./values/dtype.ts";
import { gradients } from "./graph/gradient.ts";
import { decompose } from "./passes/decompose.ts";
import { eliminateDeadCode } from "./passes/dead_code.ts";
import { foldIn, normal, randomKey } from "./values/random.ts";
import { type Elements, evaluateExactly, toElements } from "./reference/evaluate.ts";
import type { Tensor } from "./graph/tensor.ts";
import { constant, full, trace } from "./graph/trace.ts";

export { allSamples, samples } from "./samples/table.ts";
export { randomGraph, randomGraphInputs } from "./samples/random_graph.ts";
export { sampleOperands } from "./samples/sample.ts";
export type { Fill, OperandSample, Sample, SampleTable } from "./samples/sample.ts";

/** How far two numbers may be apart: `absolute + relative · |expected|`. */
export interface Tolerance {
  /** The part that does not depend on the numbers. */
  readonly absolute: number;
  /** The part that grows with the expected number. */
  readonly relative: number;
}

/** How far results that are computed in a dtype, in another order of operations, may be apart. */
export const tolerances: Readonly<Record<DType, Tolerance>> = {
  float32: { absolute: 1e-5, relative: 1e-5 },
  bfloat16: { absolute: 3e-2, relative: 3e-2 },
  float16: { absolute: 4e-3, relative: 4e-3 },
  int32: { absolute: 0, relative: 0 },
  uint8: { absolute: 0, relative: 0 },
  bool: { absolute: 0, relative: 0 },
};

type Numbers = ArrayLike<number> | HostTensor;

function isHostTensor(value: Numbers): value is HostTensor {
  return "dtype" in value;
}

/**
 * Asserts that numbers are close to the expected ones; infinities and NaN must stand in the same places. Host tensors must
 * have the same type too.
 *
 * @throws {assert.AssertionError} that names the element that is furthest off.
 */
export function assertAllClose(actual: Numbers, expected: Numbers, tolerance: Tolerance): void {
  if (isHostTensor(actual) && isHostTensor(expected)) assert.equal(formatType(actual), formatType(expected));
  const [found, wanted] = [actual, expected].map((side) => isHostTensor(side) ? toElements(side) : side) as [
    ArrayLike<number>,
    ArrayLike<number>,
  ];
  assert.equal(found.length, wanted.length, `Found ${found.length} numbers, expected ${wanted.length}`);
  let [worst, excess] = [-1, 0];
  for (let i = 0; i < wanted.length; i++) {
    if (Object.is(found[i], wanted[i]) || found[i] === wanted[i]) continue;
    const over = Math.abs(found[i]! - wanted[i]!) - tolerance.absolute - tolerance.relative * Math.abs(wanted[i]!);
    if (Number.isFinite(over) && over <= excess) continue;
    [worst, excess] = [i, Number.isFinite(over) ? over : Infinity];
  }
  if (worst < 0) return;
  assert.fail(
    `Element ${worst} of ${wanted.length} is ${found[worst]}, expected ${wanted[worst]} ` +
      `within ${tolerance.absolute} + ${tolerance.relative} · |expected|`,
  );
}

/** Options of `checkGradient`. */
export interface GradientCheckOptions {
  /** How far a gradient may be from the central difference, 1e-6 each way by default. */
  readonly tolerance?: Tolerance;
  /** Half the distance between the two points of a difference, times the larger of 1 and the element; 1e-5 by default. */
  readonly step?: number;
  /** Which inputs are constants, and so are not checked; by default those that are not floating-point numbers. */
  readonly constants?: readonly number[];
}

/**
 * Asserts that the gradients of a function are its central differences, in float64: those of the sum of its floating-point
 * results under random weights, for every element of every floating-point input.
 *
 * @throws {assert.AssertionError} that names the input and the element.
 */
export function checkGradient(
  fn: (...inputs: Tensor[]) => Tensor | readonly Tensor[],
  inputs: readonly HostTensor[],
  options: GradientCheckOptions = {},
): void {
  const { tolerance = { absolute: 1e-6, relative: 1e-6 }, step = 1e-5, constants = [] } = options;
  const types: Record<string, TensorType> = {};
  inputs.forEach(({ shape, dtype }, i) => types[`x${i}`] = { shape, dtype });
  const checked = [...inputs.keys()].filter((i) => isFloat(inputs[i]!.dtype) && !constants.includes(i));
  const whole = decompose(trace("gradient check", types, (symbols) => {
    const results = [fn(...Object.values(symbols))].flat().filter((result) => isFloat(result.dtype));
    const loss = results.map(weighted).reduce((sum, term) => sum.add(term), full([], 0));
    const found = gradients(loss, checked.map((i) => symbols[`x${i}`]!));
    return { loss, ...Object.fromEntries(found.map((gradient, i) => [`d${i}`, gradient])) };
  }));
  const lossOnly = eliminateDeadCode({ ...whole, outputs: [whole.outputs[0]!], outputNames: ["loss"] });
  const values = inputs.map(toElements);
  const analytic = evaluateExactly(whole, values).slice(1);
  checked.forEach((input, which) => {
    const numeric = centralDifferences(values, input, step, (point) => evaluateExactly(lossOnly, point)[0]![0]!);
    try {
      assertAllClose(analytic[which]!, numeric, tolerance);
    } catch (error) {
      throw new assert.AssertionError({ message: `Gradient of input ${input}: ${(error as Error).message}` });
    }
  });
}

/** The sum of the elements under fixed random weights, so that no two elements have the same cotangent. */
function weighted(result: Tensor, index: number): Tensor {
  const weights = normal(foldIn(randomKey(7), index), sizeOf(result.shape));
  return result.cast("float32").mul(constant([...weights], result.shape)).sum();
}

function centralDifferences(
  values: readonly Elements[],
  input: number,
  step: number,
  evaluate: (point: readonly Elements[]) => number,
): Elements {
  const out = new Float64Array(values[input]!.length);
  for (let i = 0; i < out.length; i++) {
    const at = (offset: number) => {
      const moved = values[input]!.slice();
      moved[i]! += offset;
      return evaluate(values.with(input, moved));
    };
    const half = step * Math.max(1, Math.abs(values[input]![i]!));
    out[i] = (at(half) - at(-half)) / (2 * half);
  }
  return out;
}
