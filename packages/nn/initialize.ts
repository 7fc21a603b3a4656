/** Gives variables their first values. */
import { foldIn, fromFloat32, hostTensor, isFloat, randomKey } from "@tessera/core";
import type { Backend } from "@tessera/runtime";
import { putValue, type Where, whereOf } from "./placement.ts";
import { setQuantized } from "./quantization.ts";
import type { Variable } from "./variable.ts";

/**
 * Initializes variables that have no value yet, each from the seed and its own path. By default they lie
 * as the current distribution says, and a variable that follows another lies as that one does.
 *
 * @throws {RangeError} when the seed is not a whole number of at least 0.
 * @throws {TypeError} when a variable is not of a floating-point dtype.
 */
export function initialize(
  variables: Iterable<Variable>,
  backend: Backend,
  options: { seed: number; where?: Where },
): void {
  const { seed } = options;
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new RangeError(`Cannot initialize variables: the seed must be a whole number of at least 0, found ${seed}`);
  }
  const key = randomKey(seed);
  for (const variable of variables) {
    if (variable.value !== null) continue;
    const { storedShape: shape, dtype } = variable;
    if (!isFloat(dtype)) {
      throw new TypeError(`Cannot initialize ${variable}: only floating-point variables have initializers`);
    }
    const elements = variable.initializer(shape, foldIn(key, variable.path));
    const where = options.where ?? whereOf(variable);
    if (variable.quantization !== null) {
      setQuantized(variable, hostTensor("float32", shape, elements), backend, where);
      continue;
    }
    const tensor = dtype === "float32"
      ? hostTensor(dtype, shape, placed(elements, backend))
      : fromFloat32(dtype, shape, elements);
    putValue(variable, tensor, backend, where);
  }
}

/** Numbers where the backend wants them. */
function placed(elements: Float32Array<ArrayBuffer>, backend: Backend): Float32Array<ArrayBufferLike> {
  const array = backend.hostArray?.("float32", elements.length);
  array?.set(elements);
  return array ?? elements;
}

/** Frees the values of variables, and of their scales. */
export function disposeValues(variables: Iterable<Variable>): void {
  for (const variable of variables) {
    if (variable.quantization !== null) disposeValues([variable.quantization.scale]);
    variable.value?.dispose();
    variable.value = null;
  }
}
