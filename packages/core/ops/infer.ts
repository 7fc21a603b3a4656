/** Checks that several families share, each with an error that says what was found and what was expected. */
import { type DType, formatType, isFloat, sameShape, type TensorType } from "../values/dtype.ts";

/**
 * The shape that two operands broadcast to, by NumPy's rules.
 *
 * @throws {TypeError} when an axis has two different lengths, neither of which is one.
 */
export function broadcastShapes(op: string, a: TensorType, b: TensorType): readonly number[] {
  const rank = Math.max(a.shape.length, b.shape.length);
  const shape: number[] = [];
  for (let axis = 0; axis < rank; axis++) {
    const x = a.shape[axis - rank + a.shape.length] ?? 1;
    const y = b.shape[axis - rank + b.shape.length] ?? 1;
    if (x !== y && x !== 1 && y !== 1) {
      throw new TypeError(
        `Cannot ${op} ${formatType(a)} and ${formatType(b)}: axis ${axis} of the result would be both ${x} and ${y}`,
      );
    }
    shape.push(x === 1 ? y : x);
  }
  return shape;
}

/**
 * Requires two operands of one dtype.
 *
 * @throws {TypeError} when they differ.
 */
export function requireSameDType(op: string, a: TensorType, b: TensorType): DType {
  if (a.dtype !== b.dtype) {
    throw new TypeError(`Cannot ${op} ${formatType(a)} and ${formatType(b)}: dtypes must match; cast one of them`);
  }
  return a.dtype;
}

/**
 * Requires a floating-point operand.
 *
 * @throws {TypeError} when it is not one.
 */
export function requireFloat(op: string, x: TensorType): void {
  if (!isFloat(x.dtype)) {
    throw new TypeError(`Cannot ${op} ${formatType(x)}: it needs a floating-point tensor; cast it first`);
  }
}

/**
 * Requires a dtype.
 *
 * @throws {TypeError} when the operand has another one.
 */
export function requireDType(op: string, what: string, x: TensorType, dtype: DType): void {
  if (x.dtype !== dtype) throw new TypeError(`Cannot ${op}: ${what} must be ${dtype}, found ${formatType(x)}`);
}

/**
 * Requires a shape.
 *
 * @throws {TypeError} when the operand has another one.
 */
export function requireShape(op: string, what: string, x: TensorType, shape: readonly number[]): void {
  if (!sameShape(x.shape, shape)) {
    throw new TypeError(`Cannot ${op}: ${what} must have shape [${shape.join(",")}], found ${formatType(x)}`);
  }
}

/** Axis names for factor strings: `a`, `b`, …, `z`, `a1`, … */
export function axisNames(count: number, prefix = ""): string[] {
  return Array.from(
    { length: count },
    (_, i) => prefix + String.fromCharCode(97 + i % 26) + (i < 26 ? "" : `${Math.floor(i / 26)}`),
  );
}

/** The factor string of an elementwise op on operands that broadcast to `shape`. */
export function elementwiseFactors(operands: readonly TensorType[], shape: readonly number[]): string {
  const names = axisNames(shape.length);
  const sides = operands.map(({ shape: own }) => {
    const skip = shape.length - own.length;
    return own.map((length, axis) => length === 1 && shape[axis + skip] !== 1 ? "1" : names[axis + skip]!).join(" ");
  });
  return `${sides.join(", ")} -> ${names.join(" ")}`;
}
