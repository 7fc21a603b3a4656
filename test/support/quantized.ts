/** Adapters on quantized weights, and on the floats that these stand for. */
import { hostTensor, toFloat32 } from "@tessera/core";
import type { QuantizationName, Variable } from "@tessera/nn";
import { adamW, type Backend, CausalLM, createDataset } from "tessera";
import { countingRows, examplesOf } from "./models.ts";

/** The floats that the codes of a variable stand for, in their stored order. */
async function floatsOf({ value, size, quantization }: Variable): Promise<Float32Array<ArrayBuffer>> {
  const { bits, run, scale } = quantization!;
  const [codes, scales] = [(await value!.read()).data, (await scale.value!.read()).data];
  return Float32Array.from({ length: size }, (_, i) => {
    const code = bits === 8 ? codes[i]! - 128 : (codes[i >> 1]! >> 4 * (i & 1) & 15) - 8;
    return code * scales[Math.floor(i / run)]!;
  });
}

/** What training an adapter came to: the loss of each step, and the factors that begin as zeros. */
export interface Trained {
  /** The loss of each step. */
  readonly losses: readonly number[];
  /** The second factors of the adapters, one after the other. */
  readonly factors: readonly number[];
}

async function train(lm: CausalLM, length: number): Promise<Trained> {
  lm.enableLora({ rank: 4, layout: "peft", seed: 5 });
  lm.compile({ optimizer: adamW({ learningRate: 5e-3 }) });
  const dataset = createDataset(examplesOf(countingRows([length, length, length, length])), {
    batchSize: 4,
    buckets: [length],
  });
  const { steps } = await lm.fit(dataset, { epochs: 8 });
  const seconds = lm.variables.filter(({ path, trainable }) => trainable && /b$/.test(path));
  const factors = await Promise.all(seconds.map(async ({ value }) => [...toFloat32(await value!.read())]));
  return { losses: steps.map(({ loss }) => loss), factors: factors.flat() };
}

/** Trains the same adapter on quantized weights of a checkpoint, and in float32 on the numbers that they stand for. */
export async function trainOnBoth(
  folder: string,
  backend: Backend,
  options: { readonly quantize: QuantizationName; readonly length: number },
): Promise<{ readonly quantized: Trained; readonly floats: Trained }> {
  const { quantize, length } = options;
  const lm = await CausalLM.fromPreset(folder, { backend, quantize });
  const plain = await CausalLM.fromPreset(folder, { backend });
  for (const [i, variable] of lm.variables.entries()) {
    if (variable.quantization === null) continue;
    const own = plain.variables[i]!;
    own.value!.dispose();
    own.value = backend.upload(hostTensor("float32", own.storedShape, await floatsOf(variable)));
  }
  const found = { quantized: await train(lm, length), floats: await train(plain, length) };
  lm.dispose();
  plain.dispose();
  return found;
}

/** The cosine between two lists of numbers. */
export function cosineOf(a: readonly number[], b: readonly number[]): number {
  const dot = (x: readonly number[], y: readonly number[]) => x.reduce((sum, value, i) => sum + value * y[i]!, 0);
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
}
