/** Storing weights in fewer bits. */
import {
  emptyRuns,
  type HostTensor,
  hostTensor,
  isFloat,
  type QuantizationBits,
  type QuantizedRuns,
  quantizeRuns,
  toFloat32,
} from "@tessera/core";
import type { Backend } from "@tessera/runtime";
import { putValue, type Where } from "./placement.ts";
import { Variable } from "./variable.ts";
import { zeros } from "./initializers.ts";

/**
 * How weights are stored in fewer bits, by Keras's names: in 8 with a scale per output, or in 4 with a scale per 32 inputs, where a
 * variable that needs more bits, such as a token embedding, is stored in 8.
 */
export type QuantizationName = "int8" | "int4";

/** How one variable is stored in fewer bits. */
export interface VariableQuantization {
  /** The scheme. */
  readonly name: QuantizationName;
  /** The bits per element. */
  readonly bits: QuantizationBits;
  /** The scales, with the variable's axes; an axis that shares them is shorter. */
  readonly scale: Variable;
  /** How many stored neighbors share a scale. */
  readonly run: number;
}

/** The most inputs that share a scale in 4 bits, as in ONNX Runtime's and llama.cpp's formats. */
const mostPerBlock = 32;

/** The bits of each scheme. */
const bitsOf: Readonly<Record<QuantizationName, QuantizationBits>> = { int8: 8, int4: 4 };

/** How many neighbors on the last stored axis share a scale in 4 bits; `null` when they do not pair up. */
function blockOf(length: number): number | null {
  if (length % 2 !== 0) return null;
  for (let block = Math.min(mostPerBlock, length); block > 0; block -= 2) {
    if (length % block === 0) return block;
  }
  return null;
}

/** The scheme for a variable; `null` for a variable that cannot be quantized because of the axes that its layer sums over. */
function schemeFor(variable: Variable, asked: QuantizationName): VariableQuantization | null {
  const { order, shape, summed, fewestBits } = variable;
  const name = bitsOf[asked] < fewestBits ? "int8" : asked;
  if (summed.length === 0 || !isFloat(variable.dtype)) return null;
  // A scale belongs to neighbors in memory, so what is summed over must be stored last.
  if (!order.slice(-summed.length).every((axis) => summed.includes(axis))) return null;
  const last = order.at(-1)!;
  const block = name === "int8" ? null : blockOf(shape[last]!);
  if (name === "int4" && block === null) return null;
  const scaleShape = shape.map((length, axis) =>
    block === null ? (summed.includes(axis) ? 1 : length) : axis === last ? length / block : length
  );
  const scale = new Variable(`${variable.path}_scale`, {
    shape: scaleShape,
    order,
    initializer: zeros(),
    trainable: false,
    follows: { variable, axes: scaleShape.map((length, axis) => length === 1 ? null : axis) },
  });
  const run = variable.size / scale.size;
  return { name, bits: bitsOf[name], scale, run };
}

/**
 * Makes variables store their values in fewer bits: the kernels of dense layers and token embeddings. The others, and those whose
 * axes do not allow it, stay as they are.
 *
 * @throws {RangeError} when there is no scheme of that name.
 * @throws {TypeError} when a variable has a value already.
 */
export function quantizeVariables(variables: Iterable<Variable>, name: QuantizationName): void {
  if (!Object.hasOwn(bitsOf, name)) {
    throw new RangeError(`Cannot quantize to "${name}": the schemes are ${Object.keys(bitsOf).join(", ")}`);
  }
  for (const variable of variables) {
    const scheme = schemeFor(variable, name);
    if (scheme !== null) variable.quantize(scheme);
  }
}

/** Elements that are rounded at a time: a few milliseconds' worth. */
const elementsAtATime = 1 << 20;

let widened = new Float32Array(0);

/** Room for the floats of one piece, which is free again when the piece is rounded. */
function floatsFor(count: number): Float32Array<ArrayBuffer> {
  if (widened.length < count) widened = new Float32Array(count);
  return widened.subarray(0, count);
}

/** Rounds elements a piece at a time, so that the event loop can run in between and no second copy of them is made. */
function* quantizing(
  { run, bits }: VariableQuantization,
  { data, dtype }: HostTensor,
): Generator<undefined, QuantizedRuns> {
  const into = emptyRuns(data.length, run, bits);
  const step = run * Math.max(1, Math.floor(elementsAtATime / run));
  for (let start = 0; start < data.length; start += step) {
    const piece = data.subarray(start, Math.min(data.length, start + step));
    const floats = toFloat32(
      { dtype, shape: [piece.length], data: piece },
      dtype === "float32" ? undefined : floatsFor(piece.length),
    );
    quantizeRuns(floats, run, bits, into, start);
    yield;
  }
  return into;
}

function setValue(variable: Variable, { codes, scales }: QuantizedRuns, backend: Backend, where?: Where): void {
  const { scale } = variable.quantization!;
  putValue(variable, hostTensor("uint8", variable.stored.shape, codes), backend, where);
  putValue(scale, hostTensor("float32", scale.stored.shape, scales), backend, where);
}

function schemeOf(variable: Variable): VariableQuantization {
  if (variable.quantization !== null) return variable.quantization;
  throw new TypeError(`Cannot quantize the value of ${variable}: it is not stored in fewer bits`);
}

/**
 * Gives a quantized variable its value, at once: floating-point elements in the stored axis order.
 *
 * @throws {TypeError} when the variable is not quantized.
 */
export function setQuantized(variable: Variable, elements: HostTensor, backend: Backend, where?: Where): void {
  const rounding = quantizing(schemeOf(variable), elements);
  let next = rounding.next();
  while (next.done !== true) next = rounding.next();
  setValue(variable, next.value, backend, where);
}

/**
 * Gives a quantized variable its value, letting the event loop run in between: floating-point elements in the stored axis order.
 *
 * @throws {TypeError} when the variable is not quantized.
 */
export async function loadQuantized(
  variable: Variable,
  elements: HostTensor,
  backend: Backend,
  where?: Where,
): Promise<void> {
  const rounding = quantizing(schemeOf(variable), elements);
  let next = rounding.next();
  while (next.done !== true) {
    await new Promise((resolve) => setTimeout(resolve));
    next = rounding.next();
  }
  setValue(variable, next.value, backend, where);
}
