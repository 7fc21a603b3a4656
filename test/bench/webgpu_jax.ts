/** The benchmark's programs as one writes them with jax-js, compiled by its `jit`. */
import { blockUntilReady, defaultDevice, grad, init, jit, nn, numpy as np, random } from "@jax-js/jax";
import { blockInputs, type BlockShape, type Cases } from "./webgpu_shape.ts";

type Weights = Record<string, np.Array>;

function rmsNorm(x: np.Array, scale: np.Array): np.Array {
  const mean = np.mean(np.square(x.ref), -1, { keepdims: true });
  return x.div(np.sqrt(mean.add(1e-6))).mul(scale);
}

function attend(query: np.Array, key: np.Array, value: np.Array): np.Array {
  return nn.dotProductAttention(query, key, value, { isCausal: true });
}

function block({ time, heads, headDim }: BlockShape, x: np.Array, w: Weights): np.Array {
  const normed = rmsNorm(x.ref, w.scale1!);
  const project = (kernel: np.Array) => np.matmul(normed.ref, kernel).reshape([1, time, heads, headDim]);
  const mixed = attend(project(w.query!), project(w.key!), project(w.value!));
  normed.dispose();
  const attended = x.add(np.matmul(mixed.reshape([time, heads * headDim]), w.output!));
  const again = rmsNorm(attended.ref, w.scale2!);
  const gate = np.matmul(again.ref, w.gate!);
  const hidden = nn.silu(gate).mul(np.matmul(again, w.up!));
  return attended.add(np.matmul(hidden, w.down!));
}

/** jax-js's programs. */
export async function jaxCases(shape: BlockShape): Promise<Cases> {
  await init("webgpu");
  defaultDevice("webgpu");
  const { time, width, heads, headDim } = shape;
  let seed = 0;
  const make = (...lengths: number[]) => random.normal(random.key(seed++), lengths).mul(0.05);
  const { x: _, ...lengths } = blockInputs(shape);
  const x = make(time, width);
  const weights: Weights = Object.fromEntries(Object.entries(lengths).map(([name, own]) => [name, make(...own)]));
  /** Operands belong to what they are given to, so each run gives away references. */
  const refs = (): Weights => Object.fromEntries(Object.entries(weights).map(([name, own]) => [name, own.ref]));
  const program = (compute: () => np.Array) => async () => {
    const result = compute();
    await blockUntilReady(result.ref);
    result.dispose();
  };
  const matmul = jit((a: np.Array, b: np.Array) => np.matmul(a, b));
  const [a, b] = [make(width, width), make(width, width)];
  const [halfA, halfB] = [a.ref.astype(np.float16), b.ref.astype(np.float16)];
  const norm = jit(rmsNorm);
  const attention = jit(attend);
  const [q, k, v] = [make(1, time, heads, headDim), make(1, time, heads, headDim), make(1, time, heads, headDim)];
  const forward = jit((x: np.Array, w: Weights) => block(shape, x, w));
  const backward = jit(grad((x: np.Array, w: Weights) => np.sum(np.square(block(shape, x, w)))));
  return {
    "matmul float32": program(() => matmul(a.ref, b.ref)),
    "matmul float16": program(() => matmul(halfA.ref, halfB.ref)),
    "rmsNorm": program(() => norm(x.ref, weights.scale1!.ref)),
    "attention": program(() => attention(q.ref, k.ref, v.ref)),
    "block forward": program(() => forward(x.ref, refs())),
    "block forward and backward": program(() => backward(x.ref, refs()) as np.Array),
  };
}
