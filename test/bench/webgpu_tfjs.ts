/** The benchmark's programs as one writes them with tfjs. */
import * as tf from "@tensorflow/tfjs-core";
import { WebGPUBackend } from "@tensorflow/tfjs-backend-webgpu";
import { blockInputs, type BlockShape, type Cases } from "./webgpu_shape.ts";

/** Opens tfjs's WebGPU backend on a device that we can wait for, in place of the one that it registered by itself. */
async function open(): Promise<{ readonly backend: WebGPUBackend; readonly device: GPUDevice }> {
  const adapter = (await navigator.gpu.requestAdapter())!;
  const { maxStorageBufferBindingSize, maxBufferSize, maxComputeWorkgroupStorageSize } = adapter.limits;
  const device = await adapter.requestDevice({
    requiredLimits: { maxStorageBufferBindingSize, maxBufferSize, maxComputeWorkgroupStorageSize },
  });
  const backend = new WebGPUBackend(device as never, adapter.info as never);
  tf.removeBackend("webgpu");
  tf.registerBackend("webgpu", () => backend);
  await tf.setBackend("webgpu");
  return { backend, device };
}

/** tfjs's programs. */
export async function tfjsCases(shape: BlockShape): Promise<Cases> {
  const { backend, device } = await open();
  const { time, width, heads, headDim } = shape;
  const random = (...lengths: number[]) => tf.randomNormal(lengths, 0, 0.05);
  const program = (compute: () => tf.Tensor) => async () => {
    const result = tf.tidy(compute);
    backend.ensureCommandEncoderReady();
    backend.endComputePassEncoder();
    backend.submitQueue();
    await device.queue.onSubmittedWorkDone();
    result.dispose();
  };
  const rmsNorm = (x: tf.Tensor, scale: tf.Tensor) =>
    tf.mul(tf.mul(x, tf.rsqrt(tf.add(tf.mean(tf.square(x), -1, true), 1e-6))), scale);
  const mask = tf.tidy(() => {
    const at = tf.range(0, time);
    const seen = tf.greaterEqual(tf.reshape(at, [time, 1]), tf.reshape(at, [1, time]));
    return tf.mul(tf.sub(1, tf.cast(seen, "float32")), -1e30);
  });
  const attend = (query: tf.Tensor, key: tf.Tensor, value: tf.Tensor) => {
    const [q, k, v] = [query, key, value].map((x) => tf.transpose(x, [0, 2, 1, 3])) as [
      tf.Tensor,
      tf.Tensor,
      tf.Tensor,
    ];
    const scores = tf.add(tf.mul(tf.matMul(q, k, false, true), headDim ** -0.5), mask);
    return tf.transpose(tf.matMul(tf.softmax(scores), v), [0, 2, 1, 3]);
  };
  const x = Object.fromEntries(Object.entries(blockInputs(shape)).map(([name, lengths]) => [name, random(...lengths)]));
  const block = () => {
    const normed = rmsNorm(x.x!, x.scale1!);
    const project = (kernel: tf.Tensor) => tf.reshape(tf.matMul(normed, kernel), [1, time, heads, headDim]);
    const mixed = attend(project(x.query!), project(x.key!), project(x.value!));
    const attended = tf.add(x.x!, tf.matMul(tf.reshape(mixed, [time, heads * headDim]), x.output!));
    const again = rmsNorm(attended, x.scale2!);
    const gate = tf.matMul(again, x.gate!);
    const hidden = tf.mul(tf.mul(tf.sigmoid(gate), gate), tf.matMul(again, x.up!));
    return tf.add(attended, tf.matMul(hidden, x.down!));
  };
  const [a, b] = [random(width, width), random(width, width)];
  const [q, k, v] = [1, 2, 3].map(() => random(1, time, heads, headDim)) as [tf.Tensor, tf.Tensor, tf.Tensor];
  return {
    "matmul float32": program(() => tf.matMul(a, b)),
    "rmsNorm": program(() => rmsNorm(x.x!, x.scale1!)),
    "attention": program(() => attend(q, k, v)),
    "block forward": program(block),
  };
}
