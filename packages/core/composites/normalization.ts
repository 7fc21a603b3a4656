/** Normalizations over the last axis, computed in float32 whatever the dtype of the operands. */
import { formatType, sameType, type TensorType } from "../values/dtype.ts";
import { apply, type Tensor } from "../graph/tensor.ts";
import { axisNames, requireFloat, requireShape } from "../ops/infer.ts";
import type { CompositeTable, NoAttrs } from "../ops/op.ts";

interface LayerNormAttrs {
  /** Added to the variance. */
  readonly epsilon: number;
}

interface RmsNormAttrs {
  /** Added to the mean square. */
  readonly epsilon: number;
  /** Added to the scale: 1 for Gemma, whose checkpoints store the scale minus one; 0 for Llama. */
  readonly offset: number;
}

/** The signatures of the normalization composites. */
export interface Normalization {
  /** Root-mean-square normalization over the last axis. */
  rmsNorm: { operands: [x: TensorType, scale: TensorType]; attrs: RmsNormAttrs; results: [y: TensorType] };
  /** The gradient of `rmsNorm` for its input and its scale. */
  rmsNormGrad: {
    operands: [x: TensorType, scale: TensorType, ct: TensorType];
    attrs: RmsNormAttrs;
    results: [dx: TensorType, dscale: TensorType];
  };
  /** Normalization to mean zero and variance one over the last axis, then scaled and shifted. */
  layerNorm: {
    operands: [x: TensorType, scale: TensorType, shift: TensorType];
    attrs: LayerNormAttrs;
    results: [y: TensorType];
  };
  /** The gradient of `layerNorm` for its input and its scale; that for its shift is a sum of the cotangent. */
  layerNormGrad: {
    operands: [x: TensorType, scale: TensorType, ct: TensorType];
    attrs: LayerNormAttrs;
    results: [dx: TensorType, dscale: TensorType];
  };
  /** Softmax over the last axis. */
  softmax: { operands: [x: TensorType]; attrs: NoAttrs; results: [y: TensorType] };
}

/**
 * Root-mean-square normalization (arXiv 1910.07467): x / √(mean(x²) + epsilon) · (offset + scale), over the last axis.
 *
 * @throws {TypeError} when `scale` is not as long as the last axis of `x`, or one of them is not floating-point.
 */
export function rmsNorm(
  x: Tensor,
  scale: Tensor,
  options: { readonly epsilon: number; readonly offset?: number },
): Tensor {
  return apply("rmsNorm", [x, scale], { epsilon: options.epsilon, offset: options.offset ?? 0 });
}

/**
 * Layer normalization (arXiv 1607.06450): (x - mean(x)) / √(variance(x) + epsilon) · scale + shift, over the last axis.
 *
 * @throws {TypeError} when `scale` or `shift` is not as long as the last axis of `x`, or one of them is not floating-point.
 */
export function layerNorm(x: Tensor, scale: Tensor, shift: Tensor, options: { readonly epsilon: number }): Tensor {
  return apply("layerNorm", [x, scale, shift], { epsilon: options.epsilon });
}

/**
 * Softmax over the last axis.
 *
 * @throws {TypeError} when `x` is a scalar or not floating-point.
 */
export function softmax(x: Tensor): Tensor {
  return apply("softmax", [x], {});
}

/** One over the root mean square of the last axis. */
function inverseRms(x: Tensor, epsilon: number): Tensor {
  return x.square().mean(-1, { keepDims: true }).add(epsilon).rsqrt();
}

/** The last axis minus its mean, and one over its standard deviation, in float32. */
function standardized(x: Tensor, epsilon: number): { normal: Tensor; inverse: Tensor } {
  const wide = x.cast("float32");
  const centered = wide.sub(wide.mean(-1, { keepDims: true }));
  const inverse = inverseRms(centered, epsilon);
  return { normal: centered.mul(inverse), inverse };
}

function checkScale(op: string, x: TensorType, scale: TensorType, what = "the scale"): void {
  requireFloat(op, x);
  requireFloat(op, scale);
  const width = x.shape.at(-1);
  if (width === undefined) throw new TypeError(`Cannot ${op} ${formatType(x)}: it has no axis to normalize over`);
  requireShape(op, what, scale, [width]);
}

/** The axes before the last. */
function rowAxes(x: Tensor): number[] {
  return x.shape.slice(0, -1).map((_, axis) => axis);
}

/** Factor names of a tensor whose last axis is normalized, and so must not be sharded. */
function rowNames(x: TensorType): string {
  return axisNames(x.shape.length - 1).concat("!z").join(" ");
}

/** The normalization composites. */
export const normalizations: CompositeTable<Normalization> = {
  rmsNorm: {
    infer: ([x, scale]) => {
      checkScale("rmsNorm", x, scale);
      return [x];
    },
    factors: ([x]) => `${rowNames(x)}, !z -> ${rowNames(x)}`,
    vjp: ([ct], [x, scale], attrs) => [...apply("rmsNormGrad", [x, scale, ct], attrs)] as [Tensor, Tensor],
    decompose: ([x, scale], { epsilon, offset }) => {
      const wide = x.cast("float32");
      const gain = offset === 0 ? scale.cast("float32") : scale.cast("float32").add(offset);
      return [wide.mul(inverseRms(wide, epsilon)).mul(gain).cast(x.dtype)];
    },
  },
  // With r = 1/√(mean(x²) + ε) and g = ct · (offset + scale): dx = r (g - x · r² · mean(g x)), dscale = Σ ct x r.
  rmsNormGrad: {
    infer: ([x, scale, ct]) => {
      checkScale("rmsNormGrad", x, scale);
      if (!sameType(x, ct)) {
        throw new TypeError(`Cannot rmsNormGrad ${formatType(x)} and ${formatType(ct)}: types must match`);
      }
      return [x, scale];
    },
    factors: ([x]) => `${rowNames(x)}, !z, ${rowNames(x)} -> ${rowNames(x)}, !z`,
    vjp: "decompose",
    decompose: ([x, scale, ct], { epsilon, offset }) => {
      const wide = x.cast("float32");
      const wideCt = ct.cast("float32");
      const r = inverseRms(wide, epsilon);
      const gain = offset === 0 ? scale.cast("float32") : scale.cast("float32").add(offset);
      const g = wideCt.mul(gain);
      const shift = g.mul(wide).mean(-1, { keepDims: true }).mul(r.square());
      const dx = g.sub(wide.mul(shift)).mul(r);
      const dscale = wideCt.mul(wide).mul(r).sum(rowAxes(x));
      return [dx.cast(x.dtype), dscale.cast(scale.dtype)];
    },
  },
  layerNorm: {
    infer: ([x, scale, shift]) => {
      checkScale("layerNorm", x, scale);
      checkScale("layerNorm", x, shift, "the shift");
      return [x];
    },
    factors: ([x]) => `${rowNames(x)}, !z, !z -> ${rowNames(x)}`,
    vjp: ([ct], [x, scale, shift], attrs) => {
      const [dx, dscale] = apply("layerNormGrad", [x, scale, ct], attrs);
      return [dx, dscale, ct.cast("float32").sum(rowAxes(x)).cast(shift.dtype)];
    },
    decompose: ([x, scale, shift], { epsilon }) => {
      const { normal } = standardized(x, epsilon);
      return [normal.mul(scale.cast("float32")).add(shift.cast("float32")).cast(x.dtype)];
    },
  },
  // With n = (x - mean(x)) r, r = 1/√(variance + ε) and g = ct · scale: dx = r (g - mean(g) - n · mean(g n)), dscale = Σ ct n.
  layerNormGrad: {
    infer: ([x, scale, ct]) => {
      checkScale("layerNormGrad", x, scale);
      if (!sameType(x, ct)) {
        throw new TypeError(`Cannot layerNormGrad ${formatType(x)} and ${formatType(ct)}: types must match`);
      }
      return [x, scale];
    },
    factors: ([x]) => `${rowNames(x)}, !z, ${rowNames(x)} -> ${rowNames(x)}, !z`,
    vjp: "decompose",
    decompose: ([x, scale, ct], { epsilon }) => {
      const { normal, inverse } = standardized(x, epsilon);
      const wideCt = ct.cast("float32");
      const g = wideCt.mul(scale.cast("float32"));
      const along = normal.mul(g.mul(normal).mean(-1, { keepDims: true }));
      const dx = g.sub(g.mean(-1, { keepDims: true })).sub(along).mul(inverse);
      return [dx.cast(x.dtype), wideCt.mul(normal).sum(rowAxes(x)).cast(scale.dtype)];
    },
  },
  softmax: {
    infer: ([x]) => {
      requireFloat("softmax", x);
      if (x.shape.length === 0) {
        throw new TypeError(`Cannot softmax ${formatType(x)}: it has no axis to normalize over`);
      }
      return [x];
    },
    factors: ([x]) => `${rowNames(x)} -> ${rowNames(x)}`,
    // dx = y (ct - Σ ct y)
    vjp: ([ct], _, __, [y]) => [y.mul(ct.sub(ct.mul(y).sum(-1, { keepDims: true })))],
    decompose: ([x]) => {
      const wide = x.cast("float32");
      const powers = wide.sub(wide.max(-1, { keepDims: true })).exp();
      return [powers.div(powers.sum(-1, { keepDims: true })).cast(x.dtype)];
    },
  },
};
