/** Activation functions, with gradients that keep only their input. */
import { formatType, sameType, type TensorType } from "../values/dtype.ts";
import { apply, type Tensor } from "../graph/tensor.ts";
import { elementwiseFactors, requireFloat } from "../ops/infer.ts";
import type { Composite, CompositeTable, NoAttrs } from "../ops/op.ts";

interface ActivationOp {
  operands: [x: TensorType];
  attrs: NoAttrs;
  results: [y: TensorType];
}
interface ActivationGradOp {
  operands: [x: TensorType, ct: TensorType];
  attrs: NoAttrs;
  results: [dx: TensorType];
}

/** The signatures of the activation composites. */
export interface Activation {
  /** GELU by its tanh approximation. */
  gelu: ActivationOp;
  /** The gradient of `gelu`. */
  geluGrad: ActivationGradOp;
  /** x · sigmoid(x). */
  silu: ActivationOp;
  /** The gradient of `silu`. */
  siluGrad: ActivationGradOp;
}

/**
 * GELU by its tanh approximation (Hendrycks and Gimpel, arXiv 1606.08415), as Gemma and SigLIP use it.
 *
 * @throws {TypeError} when `x` is not floating-point.
 */
export function gelu(x: Tensor): Tensor {
  return apply("gelu", [x], {});
}

/**
 * SiLU, x · sigmoid(x), also called swish.
 *
 * @throws {TypeError} when `x` is not floating-point.
 */
export function silu(x: Tensor): Tensor {
  return apply("silu", [x], {});
}

const slope = Math.sqrt(2 / Math.PI);
const cubic = 0.044715;

/** tanh(√(2/π) (x + 0.044715 x³)). */
function geluTanh(x: Tensor): Tensor {
  return x.mul(x).mul(slope * cubic).add(slope).mul(x).tanh();
}

function activation(
  name: "gelu" | "silu",
  gradient: "geluGrad" | "siluGrad",
  body: (x: Tensor) => Tensor,
): Composite<ActivationOp> {
  return {
    infer: ([x]) => {
      requireFloat(name, x);
      return [x];
    },
    factors: ([x]) => elementwiseFactors([x], x.shape),
    vjp: ([ct], [x]) => [apply(gradient, [x, ct], {})],
    decompose: ([x]) => [body(x)],
  };
}

function activationGrad(name: string, derivative: (x: Tensor) => Tensor): Composite<ActivationGradOp> {
  return {
    infer: ([x, ct]) => {
      requireFloat(name, x);
      if (!sameType(x, ct)) {
        throw new TypeError(`Cannot ${name} ${formatType(x)} and ${formatType(ct)}: types must match`);
      }
      return [x];
    },
    factors: ([x, ct]) => elementwiseFactors([x, ct], x.shape),
    vjp: "decompose",
    decompose: ([x, ct]) => [derivative(x).mul(ct)],
  };
}

/** The activation composites. */
export const activations: CompositeTable<Activation> = {
  gelu: activation("gelu", "geluGrad", (x) => geluTanh(x).mul(0.5).add(0.5).mul(x)),
  // With t = tanh(u): (1 + t)/2 + x/2 · (1 - t²) · u'
  geluGrad: activationGrad("geluGrad", (x) => {
    const t = geluTanh(x);
    const du = x.mul(x).mul(1.5 * slope * cubic).add(0.5 * slope);
    return t.mul(t).neg().add(1).mul(du).mul(x).add(t.mul(0.5).add(0.5));
  }),
  silu: activation("silu", "siluGrad", (x) => x.sigmoid().mul(x)),
  // With s = sigmoid(x): s + x · s · (1 - s)
  siluGrad: activationGrad("siluGrad", (x) => {
    const s = x.sigmoid();
    return x.mul(s.neg().add(1)).add(1).mul(s);
  }),
};
