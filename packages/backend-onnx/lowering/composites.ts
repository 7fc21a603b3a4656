/**
 * The lowering of the composites: ONNX Runtime's own kernel where it has a good one, a shorter formula than the
 * definition's where that saves passes over memory, and the definition elsewhere.
 */

import type { CompositeName, Lowering } from "@tessera/core";
import type { OnnxValue } from "../model/description.ts";
import { resultType } from "./family.ts";
import { dequantize, lowerQuantizedEinsum } from "./quantization.ts";
import type { ValueType, Writer } from "./writer.ts";

/** √(2/π) and 0.044715, the constants of GELU's tanh approximation (arXiv 1606.08415). */
const slope = Math.sqrt(2 / Math.PI);
const cubic = 0.044715;

/** Arithmetic on values of one type, with numbers as scalars. */
function arithmetic(writer: Writer, like: ValueType) {
  const operand = (x: OnnxValue | number) => typeof x === "number" ? writer.constant(like.dtype, [], [x]) : x;
  const binary = (op: string) => (x: OnnxValue | number, y: OnnxValue | number) =>
    writer.node(op, [operand(x), operand(y)], { dtype: like.dtype, shape: like.shape });
  return { add: binary("Add"), sub: binary("Sub"), mul: binary("Mul") };
}

/** GELU by its tanh approximation. */
function tanhGelu(writer: Writer, x: OnnxValue): OnnxValue {
  return writer.node("Gelu", [x], x, { attributes: { approximate: "tanh" } });
}

/** x σ(x). */
function quickGelu(writer: Writer, x: OnnxValue): OnnxValue {
  return writer.node("QuickGelu", [x], x, { attributes: { alpha: { float: 1 } }, domain: "com.microsoft" });
}

/** Softmax over the last axis. */
function softmax(writer: Writer, x: OnnxValue): OnnxValue {
  return writer.node("Softmax", [x], x, { attributes: { axis: -1 } });
}

/** The scale of an RMS normalization with its offset added. */
function gain(writer: Writer, scale: OnnxValue, offset: number): OnnxValue {
  return offset === 0 ? scale : arithmetic(writer, scale).add(scale, offset);
}

/**
 * The cross-entropy of each row, [.., 1], and what its gradient needs as well. With p = softmax(logits), the largest p is
 * 1 / Σ exp(logits - max), so the loss is max - logits[label] - log(max p), and no second array as large as the logits is needed.
 */
function crossEntropy(writer: Writer, logits: OnnxValue, labels: OnnxValue) {
  const column = { dtype: logits.dtype, shape: [...labels.shape, 1] };
  const axis = labels.shape.length;
  const at = writer.reshape(labels, column.shape);
  const probabilities = softmax(writer, logits);
  const { sub } = arithmetic(writer, column);
  const largest = (x: OnnxValue) => writer.node("ReduceMax", [x, writer.list([axis])], column);
  const chosen = writer.node("GatherElements", [logits, at], column, { attributes: { axis } });
  const likeliest = writer.node("Log", [largest(probabilities)], column);
  return { loss: sub(sub(largest(logits), chosen), likeliest), probabilities, at, axis };
}

function rmsNormalize(
  writer: Writer,
  x: OnnxValue,
  scale: OnnxValue,
  epsilon: number,
): { y: OnnxValue; inverse: OnnxValue } {
  const inverseType = { dtype: x.dtype, shape: [...x.shape.slice(0, -1), 1] };
  const attributes = { axis: -1, epsilon: { float: epsilon } };
  const [y, inverse] = writer.nodes("SimplifiedLayerNormalization", [x, scale], [x, inverseType], { attributes });
  return { y: y!, inverse: inverse! };
}

/** The composites. */
export const composites: { readonly [K in CompositeName]: Lowering<Writer, OnnxValue>[K] } = {
  gelu: (writer, [x]) => [tanhGelu(writer, x)],
  // gelu(x) = x σ(v) with v = w x and w = 2√(2/π)(1 + 0.044715 x²). With s = σ(v), v' = 3w - 4√(2/π) and y = gelu(x), which
  // the forward has computed, the slope is s + x s (1 - s) v' = s + (y - y s) v'.
  geluGrad: (writer, [x, ct]) => {
    const { add, sub, mul } = arithmetic(writer, x);
    const y = tanhGelu(writer, x);
    const w = add(mul(mul(x, x), 2 * slope * cubic), 2 * slope);
    const s = writer.node("Sigmoid", [mul(w, x)], x);
    return [mul(add(mul(sub(y, mul(y, s)), sub(mul(w, 3), 4 * slope)), s), ct)];
  },
  silu: (writer, [x]) => [quickGelu(writer, x)],
  // With s = σ(x) and y = silu(x), which the forward has computed, the slope is s + x (s - s²) = s + (y - y s).
  siluGrad: (writer, [x, ct]) => {
    const { add, sub, mul } = arithmetic(writer, x);
    const y = quickGelu(writer, x);
    const s = writer.node("Sigmoid", [x], x);
    return [mul(add(sub(y, mul(y, s)), s), ct)];
  },
  rmsNorm: (
    writer,
    [x, scale],
    { epsilon, offset },
  ) => [rmsNormalize(writer, x, gain(writer, scale, offset), epsilon).y],
  // With r = 1/rms(x), which the forward has computed, and g = ct · gain: dx = r (g - x · r² · mean(g x)),
  // dscale = Σ ct x r.
  rmsNormGrad: (writer, [x, scale, ct], { epsilon, offset }) => {
    const { sub, mul } = arithmetic(writer, x);
    const weight = gain(writer, scale, offset);
    const { inverse } = rmsNormalize(writer, x, weight, epsilon);
    const column = arithmetic(writer, inverse);
    const g = mul(ct, weight);
    const mean = writer.node("ReduceMean", [mul(g, x), writer.list([x.shape.length - 1])], inverse);
    const dx = mul(sub(g, mul(x, column.mul(column.mul(inverse, inverse), mean))), inverse);
    const rows = x.shape.slice(0, -1).map((_, axis) => axis);
    const dgain = mul(mul(ct, x), inverse);
    if (rows.length === 0) return [dx, dgain];
    return [dx, writer.node("ReduceSum", [dgain, writer.list(rows)], scale, { attributes: { keepdims: 0 } })];
  },
  layerNorm: (writer, [x, scale, shift], { epsilon }) => [
    writer.node("LayerNormalization", [x, scale, shift], x, { attributes: { axis: -1, epsilon: { float: epsilon } } }),
  ],
  layerNormGrad: "decompose",
  softmax: (writer, [x]) => [softmax(writer, x)],
  rotaryEmbedding: (writer, [x, positions, frequencies], { inverse }, node) => {
    const [batch, time, heads, headDim] = x.shape as [number, number, number, number];
    const half = { dtype: "float32" as const, shape: [batch, time, headDim / 2] };
    const at = writer.reshape(writer.cast(positions, "float32"), [batch, time, 1]);
    const angles = writer.node("Mul", [at, frequencies], half);
    const sine = writer.node("Sin", [angles], half);
    const flat = writer.reshape(x, [batch, time, heads * headDim]);
    const turned = writer.node(
      "RotaryEmbedding",
      [flat, writer.node("Cos", [angles], half), inverse ? writer.node("Neg", [sine], half) : sine],
      flat,
      { attributes: { num_heads: heads } },
    );
    return [writer.reshape(turned, resultType(node).shape)];
  },
  attention: "decompose",
  attentionGrad: "decompose",
  crossEntropy: (writer, [logits, labels]) => {
    const { loss } = crossEntropy(writer, logits, labels);
    return [writer.reshape(loss, labels.shape)];
  },
  // The probability of the label is exp(-loss). Taken from the loss, it makes the loss come first, so that what it reads can be
  // overwritten here, or freed.
  crossEntropyGrad: (writer, [logits, labels]) => {
    const { loss, probabilities, at, axis } = crossEntropy(writer, logits, labels);
    const likelihood = writer.node("Exp", [writer.node("Neg", [loss], loss)], loss);
    const slope = arithmetic(writer, loss).sub(likelihood, 1);
    return [writer.node("ScatterElements", [probabilities, at, slope], logits, { attributes: { axis } })];
  },
  dequantize: (writer, [codes, scales], { bits, dtype }, node) => [
    writer.cast(dequantize(writer, codes, scales, bits, resultType(node).shape), dtype),
  ],
  adamW: "decompose",
  quantizedEinsum: (writer, operands, attrs, node) => [lowerQuantizedEinsum(writer, operands, attrs, resultType(node))],
};
