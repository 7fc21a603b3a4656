/**
 * Quantized weights: an array of integer codes and an array of float scales.
 *
 * An element is `(code - 2^(bits - 1)) · scale`.
 *
 * - **Codes** are uint8. With 8 bits a byte is one code. With 4 bits a byte holds two neighbors along the last axis, which is
 *   half as long as the weight's: element `2i` in the low four bits, element `2i + 1` in the high ones.
 * - **Scales** have as many axes as the codes. Along each axis there is one per element, one for all, or one per block of equally
 *   many neighbors: element `i` of `n` has scale `⌊i · s / n⌋` of `s`. With 4 bits both halves of a byte share a scale.
 *
 * A weight stored as `[outputs, inputs]` in blocks of `b` inputs is therefore, byte for byte, the operand of ONNX Runtime's
 * `MatMulNBits` without zero points: codes `[outputs, inputs / b, b · bits / 8]` and scales `[outputs, inputs / b]`.
 */
import { type FloatDType, formatType, isFloat, type TensorType } from "../values/dtype.ts";
import { einsum, parseEinsum } from "../ops/contraction.ts";
import { axisNames, requireDType, requireFloat } from "../ops/infer.ts";
import type { CompositeTable } from "../ops/op.ts";
import { concat } from "../ops/movement.ts";
import { apply, type Tensor } from "../graph/tensor.ts";

/** How many bits a code has. */
export type QuantizationBits = 4 | 8;

/** The signatures of the quantization composites. */
export interface Quantization {
  /** The elements that codes and scales stand for. */
  dequantize: {
    operands: [codes: TensorType, scales: TensorType];
    attrs: { readonly bits: QuantizationBits; readonly dtype: FloatDType };
    results: [y: TensorType];
  };
  /** The einsum of a tensor and a quantized weight. */
  quantizedEinsum: {
    operands: [x: TensorType, codes: TensorType, scales: TensorType];
    attrs: {
      /** Which axes correspond, such as `"btd,fd->btf"`; the second operand is the weight, in the axis order of its codes. */
      readonly spec: string;
      readonly bits: QuantizationBits;
      /** Whether a backend may round `x` to 8 bits first, scaling each row, or part of a row, by its largest magnitude. */
      readonly roundInput: boolean;
    };
    results: [y: TensorType];
  };
}

/**
 * The elements that codes and scales stand for.
 *
 * @throws {TypeError} when the codes are not uint8, or the scales do not fit them.
 */
export function dequantize(
  codes: Tensor,
  scales: Tensor,
  options: { readonly bits: QuantizationBits; readonly dtype?: FloatDType },
): Tensor {
  return apply("dequantize", [codes, scales], { bits: options.bits, dtype: options.dtype ?? "float32" });
}

/**
 * The einsum of a tensor and a weight given by codes and scales, in the dtype of `x`. Gradients flow to `x` alone, and are
 * never computed from a rounded cotangent.
 *
 * @throws {SyntaxError} when the spec does not read, {TypeError} when the operands do not fit it or each other.
 */
export function quantizedEinsum(
  spec: string,
  x: Tensor,
  weight: { readonly codes: Tensor; readonly scales: Tensor; readonly bits: QuantizationBits },
  options: { readonly roundInput?: boolean } = {},
): Tensor {
  const { codes, scales, bits } = weight;
  return apply("quantizedEinsum", [x, codes, scales], {
    spec: spec.replaceAll(" ", ""),
    bits,
    roundInput: options.roundInput ?? false,
  });
}

/**
 * The shape of the codes of a weight.
 *
 * @throws {RangeError} when 4-bit codes do not pair up along the last axis.
 */
export function codesShape(shape: readonly number[], bits: QuantizationBits): readonly number[] {
  if (bits === 8) return shape;
  const last = shape.at(-1) ?? 1;
  if (last % 2 !== 0) {
    throw new RangeError(`Cannot store [${shape.join(",")}] in 4 bits: its last axis must be even, found ${last}`);
  }
  return shape.with(-1, last / 2);
}

/** The shape of the elements that codes stand for. */
function elementShape({ shape }: TensorType, bits: QuantizationBits): readonly number[] {
  return bits === 8 ? shape : shape.with(-1, 2 * shape.at(-1)!);
}

/** The type of the elements, or an error when codes and scales do not fit together. */
function elementType(
  op: string,
  codes: TensorType,
  scales: TensorType,
  bits: QuantizationBits,
  dtype: FloatDType,
): TensorType {
  requireDType(op, "the codes", codes, "uint8");
  requireFloat(op, scales);
  if (bits === 4 && codes.shape.length === 0) {
    throw new TypeError(`Cannot ${op} ${formatType(codes)}: 4-bit codes need an axis to pair up along`);
  }
  const shape = elementShape(codes, bits);
  const fits = scales.shape.length === shape.length && shape.every((length, axis) => {
    const per = length / scales.shape[axis]!;
    return Number.isInteger(per) && (bits === 8 || axis < shape.length - 1 || per % 2 === 0);
  });
  if (!fits) {
    throw new TypeError(
      `Cannot ${op} ${bits}-bit codes ${formatType(codes)} with scales ${
        formatType(scales)
      }: along each axis the scales ` +
        `must divide the elements, [${shape.join(",")}]` + (bits === 8 ? "" : ", the last into blocks of even length"),
    );
  }
  return { shape, dtype };
}

/** How an axis of a weight is written in factor strings: of its elements, its codes and its scales. */
function axisFactors(name: string, length: number, codes: number, scales: number): [string, string, string] {
  if (scales === length) return [name, name, name];
  if (scales > 1) {
    return [`(${name} !${name}_e)`, codes === length ? `(${name} !${name}_e)` : `(${name} !${name}_c)`, name];
  }
  return codes === length ? [name, name, "1"] : [`(${name} !${name}_e)`, name, "1"];
}

/** The factors of a weight's elements, codes and scales, axis by axis. */
function weightFactors(names: readonly string[], codes: TensorType, scales: TensorType, bits: QuantizationBits) {
  const shape = elementShape(codes, bits);
  return names.map((name, axis) => axisFactors(name, shape[axis]!, codes.shape[axis]!, scales.shape[axis]!));
}

/** The codes as float32 numbers around zero, in the shape of the elements. */
function centered(codes: Tensor, bits: QuantizationBits): Tensor {
  const wide = codes.cast("float32");
  if (bits === 8) return wide.sub(128);
  const high = wide.mul(1 / 16).floor();
  const low = wide.sub(high.mul(16));
  const pairs = [low, high].map((half) => half.reshape([...codes.shape, 1]));
  return concat(pairs, codes.rank).reshape(elementShape(codes.type, bits)).sub(8);
}

/** The quantization composites. */
export const quantizations: CompositeTable<Quantization> = {
  dequantize: {
    infer: ([codes, scales], { bits, dtype }) => [elementType("dequantize", codes, scales, bits, dtype)],
    factors: ([codes, scales], { bits }) => {
      const axes = weightFactors(axisNames(codes.shape.length), codes, scales, bits);
      const [elements, own, scale] = [0, 1, 2].map((which) => axes.map((factors) => factors[which]).join(" "));
      return `${own}, ${scale} -> ${elements}`;
    },
    vjp: "decompose",
    decompose: ([codes, scales], { bits, dtype }) => {
      const elements = centered(codes, bits);
      // An axis in blocks becomes two axes; the scales have only the outer one.
      const blocks = elements.shape.flatMap((length, axis) => {
        const count = scales.shape[axis]!;
        return count === 1 || count === length ? [[length, count]] : [[count, count], [length / count, 1]];
      });
      const wide = scales.cast("float32").reshape(blocks.map(([, count]) => count!));
      const scaled = elements.reshape(blocks.map(([length]) => length!)).mul(wide);
      return [scaled.reshape(elements.shape).cast(dtype)];
    },
  },
  quantizedEinsum: {
    infer: ([x, codes, scales], { spec, bits }) => {
      requireFloat("quantizedEinsum", x);
      const weight = elementType("quantizedEinsum", codes, scales, bits, "float32");
      const { a, b, out } = parseEinsum(spec);
      const lengths = new Map<string, number>();
      for (const [letters, { shape }] of [[a, x], [b, weight]] as const) {
        if (letters.length !== shape.length || [...letters].some((l, i) => (lengths.get(l) ?? shape[i]) !== shape[i])) {
          throw new TypeError(
            `Cannot quantizedEinsum "${spec}" of ${formatType(x)} and ${bits}-bit codes of [${
              weight.shape.join(",")
            }]: ` +
              `"${letters}" does not name the axes of [${shape.join(",")}], or another length for one`,
          );
        }
        [...letters].forEach((letter, i) => lengths.set(letter, shape[i]!));
      }
      return [{ shape: [...out].map((letter) => lengths.get(letter)!), dtype: x.dtype }];
    },
    factors: ([, codes, scales], { spec, bits }) => {
      const { a, b, out } = parseEinsum(spec);
      const axes = weightFactors([...b], codes, scales, bits);
      const element = (letter: string) => axes[b.indexOf(letter)]?.[0] ?? letter;
      const side = (letters: string) => [...letters].map(element).join(" ");
      const [own, scale] = [1, 2].map((which) => axes.map((factors) => factors[which]).join(" "));
      return `${side(a)}, ${own}, ${scale} -> ${side(out)}`;
    },
    // The weight is frozen. The cotangent is never rounded: gradients are small sums of large terms.
    vjp: ([ct], [, codes, scales], { spec, bits }) => {
      const { a, b, out } = parseEinsum(spec);
      return [quantizedEinsum(`${out},${b}->${a}`, ct, { codes, scales, bits }), null, null];
    },
    decompose: ([x, codes, scales], { spec, bits }) => {
      const dtype = isFloat(x.dtype) ? x.dtype : "float32";
      return [einsum(spec, x, dequantize(codes, scales, { bits, dtype }))];
    },
  },
};
