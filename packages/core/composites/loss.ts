/** The cross-entropy of a large vocabulary, whose gradient is written by hand so that no one-hot tensor is built. */
import { formatType, sameShape, type TensorType } from "../values/dtype.ts";
import { apply, type Tensor } from "../graph/tensor.ts";
import { axisNames, requireDType, requireFloat } from "../ops/infer.ts";
import type { CompositeTable, NoAttrs } from "../ops/op.ts";
import { softmax } from "./normalization.ts";

/** The signatures of the loss composites. */
export interface Loss {
  /** The negative log-probability of each label. */
  crossEntropy: {
    operands: [logits: TensorType, labels: TensorType];
    attrs: NoAttrs;
    results: [loss: TensorType];
  };
  /** The gradient of each loss of `crossEntropy` for its row of logits. */
  crossEntropyGrad: {
    operands: [logits: TensorType, labels: TensorType];
    attrs: NoAttrs;
    results: [slope: TensorType];
  };
}

/**
 * The negative log-probability of each label: `logits` [.., vocabulary] and int32 `labels` [..] give float32 [..].
 * Labels stay integers; each must lie within the vocabulary, even where the loss mask is zero.
 *
 * @throws {TypeError} when the shapes do not fit, or the labels are not int32.
 */
export function crossEntropy(logits: Tensor, labels: Tensor): Tensor {
  return apply("crossEntropy", [logits, labels], {});
}

function check(op: string, logits: TensorType, labels: TensorType): void {
  requireFloat(op, logits);
  requireDType(op, "the labels", labels, "int32");
  if (!sameShape(logits.shape.slice(0, -1), labels.shape) || logits.shape.length === 0) {
    throw new TypeError(
      `Cannot ${op} logits ${formatType(logits)} and labels ${formatType(labels)}: ` +
        "the labels must have the shape of the logits less the last axis",
    );
  }
}

function rows(labels: TensorType): string {
  return axisNames(labels.shape.length).join(" ");
}

/** The loss composites. */
export const losses: CompositeTable<Loss> = {
  crossEntropy: {
    infer: ([logits, labels]) => {
      check("crossEntropy", logits, labels);
      return [{ shape: labels.shape, dtype: "float32" }];
    },
    factors: ([, labels]) => `${rows(labels)} !v, ${rows(labels)} -> ${rows(labels)}`,
    // The cotangent is one factor per row, so it can move to the smaller operand of the next product.
    vjp: ([ct], [logits, labels]) => {
      const slope = apply("crossEntropyGrad", [logits, labels], {}).cast("float32");
      return [slope.mul(ct.reshape([...labels.shape, 1])).cast(logits.dtype), null];
    },
    // max + log Σ exp(logits - max) - logits[label]
    decompose: ([logits, labels]) => {
      const wide = logits.cast("float32");
      const largest = wide.max(-1, { keepDims: true });
      const total = wide.sub(largest).exp().sum(-1, { keepDims: true });
      const at = labels.reshape([...labels.shape, 1]);
      const chosen = apply("takeAlongAxis", [wide, at], { axis: labels.rank });
      return [total.log().add(largest).sub(chosen).reshape(labels.shape)];
    },
  },
  // softmax(logits) - onehot(label)
  crossEntropyGrad: {
    infer: ([logits, labels]) => {
      check("crossEntropyGrad", logits, labels);
      return [logits];
    },
    factors: ([, labels]) => `${rows(labels)} !v, ${rows(labels)} -> ${rows(labels)} !v`,
    vjp: "decompose",
    decompose: ([logits, labels]) => {
      const column = [...labels.shape, 1];
      const p = softmax(logits.cast("float32"));
      const minusOne = apply("full", [], { shape: column, dtype: "float32", value: -1 });
      const slope = apply("addAlongAxis", [p, labels.reshape(column), minusOne], { axis: labels.rank });
      return [slope.cast(logits.dtype)];
    },
  },
};
