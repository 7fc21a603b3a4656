/**
 * The lowering of the composites: ONNX Runtime's own kernel where it has a good one, a shorter formula than the
 * definition's where that saves passes over memory, and the definition elsewhere.
 */

import type { CompositeName, Lowering } from "@tessera/core";
import type { OnnxValue } from "../model/description.ts";
import { resultType } from "./family.ts";
import type { Writer } from "./writer.ts";

/** √(2/π) and 0.044715, the constants of GELU's tanh approximation (arXiv 1606.08415). */
const slope = Math.sqrt(2 / Math.PI);
const cubic = 0.044715;

/** Arithmetic on values of one type, with numbers as scalars. */
function arithmetic(writer: Writer, like: OnnxValue) {
  const operand = (x: OnnxValue | number) => typeof x === "number" ? writer.constant(like.dtype, [], [x]) : x;
  const binary = (op: string) => (x: OnnxValue | number, y: OnnxValue | number) =>
    writer.node(op, [operand(x), operand(y)], { dtype: like.dtype, shape: like.shape });
  return { add: binary("Add"), sub: binary("Sub"), mul: binary("Mul") };
}

/** The scale of an RMS normalisation with its offset added. */
function gain(writer: Writer, scale: OnnxValue, offset: number): OnnxValue {
  return offset === 0 ? scale : arithmetic(writer, scale).add(scale, offset);
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
  gelu: (writer, [x], _, node) => [
    writer.node("Gelu", [x], resultType(node), { attributes: { approximate: "tanh" } }),
  ],
  // gelu(x) = x σ(v) with v = 2√(2/π)(x + 0.044715 x³), so with s = σ(v) and x v' = 3v - 4√(2/π) x:
  // the slope is s + x v' (s - s²).
  geluGrad: (writer, [x, ct]) => {
    const { add, sub, mul } = arithmetic(writer, x);
    const v = mul(add(mul(mul(x, x), 2 * slope * cubic), 2 * slope), x);
    const s = writer.node("Sigmoid", [v], x);
    const r = sub(mul(v, 3), mul(x, 4 * slope));
    return [mul(add(mul(sub(s, mul(s, s)), r), s), ct)];
  },
  silu: (writer, [x], _, node) => [
    writer.node("QuickGelu", [x], resultType(node), { attributes: { alpha: { float: 1 } }, domain: "com.microsoft" }),
  ],
  // With s = σ(x) the slope is s + x (s - s²).
  siluGrad: (writer, [x, ct]) => {
    const { add, sub, mul } = arithmetic(writer, x);
    const s = writer.node("Sigmoid", [x], x);
    return [mul(add(mul(sub(s, mul(s, s)), x), s), ct)];
  },
  rmsNorm: (
    writer,
    [x, scale],
    { epsilon, offset },
  ) => [rmsNormalize(writer, x, gain(writer, scale, offset), epsilon).y],
  // With n = x/rms(x) and g = ct · gain: dx = (g - n · mean(g n)) / rms(x), dscale = Σ ct n.
  rmsNormGrad: (writer, [x, scale, ct], { epsilon, offset }) => {
    const { sub, mul } = arithmetic(writer, x);
    const ones = writer.expand(writer.constant(x.dtype, [], [1]), scale.shape);
    const { y: normal, inverse } = rmsNormalize(writer, x, ones, epsilon);
    const g = mul(ct, gain(writer, scale, offset));
    const mean = writer.node("ReduceMean", [mul(g, normal), writer.list([x.shape.length - 1])], inverse);
    const dx = mul(sub(g, mul(normal, mean)), inverse);
    const rows = x.shape.slice(0, -1).map((_, axis) => axis);
    if (rows.length === 0) return [dx, mul(ct, normal)];
    const dscale = writer.node("ReduceSum", [mul(ct, normal), writer.list(rows)], scale, {
      attributes: { keepdims: 0 },
    });
    return [dx, dscale];
  },
  softmax: (writer, [x], _, node) => [writer.node("Softmax", [x], resultType(node), { attributes: { axis: -1 } })],
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
    const column = { dtype: logits.dtype, shape: [...labels.shape, 1] };
    const axis = labels.shape.length;
    const logs = writer.node("LogSoftmax", [logits], logits, { attributes: { axis: -1 } });
    const chosen = writer.node("GatherElements", [logs, writer.reshape(labels, column.shape)], column, {
      attributes: { axis },
    });
    return [writer.reshape(writer.node("Neg", [chosen], column), labels.shape)];
  },
  crossEntropyGrad: "decompose",
};
