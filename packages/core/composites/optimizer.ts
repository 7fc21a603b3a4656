/** The update of a weight and its optimizer state, which one pass over memory can compute. */
import { formatType, sameShape, type TensorType } from "../values/dtype.ts";
import { apply, type Tensor } from "../graph/tensor.ts";
import { elementwiseFactors, requireDType, requireShape } from "../ops/infer.ts";
import type { CompositeTable } from "../ops/op.ts";

/** The constants of an update, which are the same at every step. */
export interface AdamWAttrs {
  /** The decay rate β₁ of the momentum. */
  readonly beta1: number;
  /** The decay rate β₂ of the velocity. */
  readonly beta2: number;
  /** Added to the root of the corrected velocity. */
  readonly epsilon: number;
  /** The decay λ of the weight. */
  readonly weightDecay: number;
}

/** The signatures of the optimizer composites. */
export interface Optimization {
  /** The weight, its momentum and its velocity after an update by AdamW. */
  adamW: {
    operands: [
      weight: TensorType,
      momentum: TensorType,
      velocity: TensorType,
      gradient: TensorType,
      learningRate: TensorType,
      momentumCorrection: TensorType,
      velocityCorrection: TensorType,
    ];
    attrs: AdamWAttrs;
    results: [weight: TensorType, momentum: TensorType, velocity: TensorType];
  };
}

/** A weight and its optimizer state, float32 and of the same shape. */
export interface AdamWState {
  /** The weight. */
  readonly weight: Tensor;
  /** The running mean of the gradient. */
  readonly momentum: Tensor;
  /** The running mean of the squared gradient. */
  readonly velocity: Tensor;
}

/** The other operands of an AdamW update: the gradient, and float32 scalars. */
export interface AdamWStep {
  /** The gradient, like the weight. */
  readonly gradient: Tensor;
  /** The learning rate. */
  readonly learningRate: Tensor;
  /** 1 / (1 - β₁ᵗ). */
  readonly momentumCorrection: Tensor;
  /** 1 / (1 - β₂ᵗ). */
  readonly velocityCorrection: Tensor;
}

/**
 * Updates a weight and its state by AdamW (Loshchilov and Hutter, arXiv 1711.05101).
 *
 * @throws {TypeError} when the shapes or dtypes do not fit each other.
 */
export function adamWUpdate(
  { weight, momentum, velocity }: AdamWState,
  step: AdamWStep,
  attrs: AdamWAttrs,
): AdamWState {
  const { gradient, learningRate, momentumCorrection, velocityCorrection } = step;
  const operands = [
    weight,
    momentum,
    velocity,
    gradient,
    learningRate,
    momentumCorrection,
    velocityCorrection,
  ] as const;
  const [nextWeight, nextMomentum, nextVelocity] = apply("adamW", [...operands], { ...attrs });
  return { weight: nextWeight, momentum: nextMomentum, velocity: nextVelocity };
}

/** The optimizer composites. */
export const optimization: CompositeTable<Optimization> = {
  adamW: {
    infer: ([weight, momentum, velocity, gradient, ...scalars]) => {
      for (const [what, type] of Object.entries({ momentum, velocity, gradient })) {
        if (!sameShape(type.shape, weight.shape)) {
          throw new TypeError(
            `Cannot adamW ${formatType(weight)} with the ${what} ${formatType(type)}: shapes must match`,
          );
        }
      }
      for (const [what, type] of Object.entries({ weight, momentum, velocity, gradient })) {
        requireDType("adamW", `the ${what}`, type, "float32");
      }
      ["learning rate", "correction of the momentum", "correction of the velocity"].forEach((what, i) => {
        requireDType("adamW", `the ${what}`, scalars[i]!, "float32");
        requireShape("adamW", `the ${what}`, scalars[i]!, []);
      });
      return [weight, momentum, velocity];
    },
    factors: (operands) => {
      const result = elementwiseFactors(operands, operands[0].shape);
      const [own] = result.split(" -> ").slice(1);
      return `${result}, ${own}, ${own}`;
    },
    vjp: null,
    //   m ← β₁ m + (1 - β₁) g        v ← β₂ v + (1 - β₂) g²
    //   p ← p - lr · λ · p - lr · (m / (1 - β₁ᵗ)) / (√(v / (1 - β₂ᵗ)) + ε)
    decompose: (
      [weight, momentum, velocity, gradient, learningRate, momentumCorrection, velocityCorrection],
      { beta1, beta2, epsilon, weightDecay },
    ) => {
      const m = momentum.mul(beta1).add(gradient.mul(1 - beta1));
      const v = velocity.mul(beta2).add(gradient.square().mul(1 - beta2));
      const direction = m.mul(momentumCorrection).div(v.mul(velocityCorrection).sqrt().add(epsilon));
      const decayed = weightDecay === 0 ? weight : weight.mul(learningRate.mul(-weightDecay).add(1));
      return [decayed.sub(direction.mul(learningRate)), m, v];
    },
  },
};
