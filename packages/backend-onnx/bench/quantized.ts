/**
 * Measures products `x · Wᵀ` with weights of 32, 8 and 4 bits, as models ask for them: with one row, as in decoding, and with many, as in
 * prefill and training. Run it with `deno run -A bench/quantized.ts [threads] [rounds]`.
 *
 * Each program multiplies by several weights, which together do not fit into the processor's caches. The floor of a product with one
 * row is the time in which its weight can be read; the first line says how fast that is, by the fastest reduction there is.
 * Programs take turns and the best of all rounds counts, so that other work on the machine counts as little as possible.
 */

import {
  einsum,
  emptyRuns,
  type Graph,
  type HostTensor,
  hostTensor,
  quantizedEinsum,
  quantizeRuns,
  type Tensor,
  type TensorType,
  trace,
} from "@tessera/core";
import type { Backend, DeviceBuffer } from "@tessera/runtime";
import { onnxBackend } from "../backend.ts";
import { float, sample } from "../testing/run.ts";

const [inputs, outputs, copies] = [2048, 8192, 4];
const weightSize = inputs * outputs;

/** A way to store a weight: its tensors, and how it is multiplied by. */
interface Format {
  readonly name: string;
  /** Bits per element, scales included. */
  readonly bits: number;
  readonly tensors: (backend: Backend) => HostTensor[];
  readonly product: (x: Tensor, stored: readonly Tensor[]) => Tensor;
}

const elements = sample(weightSize, 1);

function quantized(bits: 4 | 8, run: number): Format {
  return {
    name: `${bits} bits, a scale per ${run}`,
    bits: bits + 32 / run,
    tensors() {
      const runs = emptyRuns(weightSize, run, bits);
      quantizeRuns(elements, run, bits, runs);
      return [
        hostTensor("uint8", [outputs, inputs * bits / 8], runs.codes),
        hostTensor("float32", [outputs, inputs / run], runs.scales),
      ];
    },
    product: (x, [codes, scales]) =>
      quantizedEinsum("ti,oi->to", x, { codes: codes!, scales: scales!, bits }, { roundInput: true }),
  };
}

function plain(name: string, place: (backend: Backend) => Float32Array<ArrayBufferLike>): Format {
  return {
    name,
    bits: 32,
    tensors(backend) {
      const array = place(backend);
      array.set(elements);
      return [hostTensor("float32", [outputs, inputs], array)];
    },
    product: (x, [weight]) => einsum("ti,oi->to", x, weight!),
  };
}

const formats: readonly Format[] = [
  plain("float32, small pages", () => new Float32Array(weightSize)),
  plain("float32, huge pages", (backend) => backend.hostArray!("float32", weightSize)),
  quantized(8, inputs),
  quantized(4, 32),
];

/** A program, ready to run. */
interface Timer {
  readonly name: string;
  readonly operations: number;
  readonly bytes: number;
  readonly run: () => Promise<void>;
  best: number;
}

async function newTimer(backend: Backend, { name, bits, tensors, product }: Format, rows: number): Promise<Timer> {
  const weights = Array.from({ length: copies }, () => tensors(backend));
  const types: Record<string, TensorType> = { x: float(rows, inputs) };
  weights.forEach((parts, i) => parts.forEach((part, j) => types[`w${i}_${j}`] = part));
  const graph: Graph = trace("products", types, (symbols) =>
    Object.fromEntries(weights.map((parts, i) => [
      `y${i}`,
      product(symbols.x!, parts.map((_, j) => symbols[`w${i}_${j}`]!)),
    ])));
  const buffers: DeviceBuffer[] = [hostTensor("float32", [rows, inputs], sample(rows * inputs, 2)), ...weights.flat()]
    .map((tensor) => backend.upload(tensor));
  const device = backend.devices[0]!;
  const residents = new Map(buffers.map((buffer, i) => [i, buffer] as const).slice(1));
  const program = await backend.compile(graph, { device, residents });
  return {
    name,
    operations: 2 * rows * weightSize * copies,
    bytes: weightSize * copies * bits / 8,
    run: async () => (await program.run(buffers)).forEach((buffer) => buffer.dispose()),
    best: Infinity,
  };
}

async function newReader(backend: Backend): Promise<Timer> {
  const size = copies * weightSize;
  const graph = trace("read", { w: float(copies * outputs, inputs) }, ({ w }) => ({ y: w.max(1) }));
  const array = backend.hostArray!("float32", size);
  for (let i = 0; i < copies; i++) array.set(elements, i * weightSize);
  const buffer = backend.upload(hostTensor("float32", [copies * outputs, inputs], array));
  const program = await backend.compile(graph, { device: backend.devices[0]! });
  return {
    name: "read",
    operations: 0,
    bytes: 4 * size,
    run: async () => (await program.run([buffer])).forEach((result) => result.dispose()),
    best: Infinity,
  };
}

async function measure(timers: readonly Timer[], rounds: number): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    for (const timer of timers) {
      const start = performance.now();
      await timer.run();
      timer.best = Math.min(timer.best, performance.now() - start);
    }
  }
}

const threads = Number(Deno.args[0] ?? navigator.hardwareConcurrency);
const rounds = Number(Deno.args[1] ?? 25);
const backend = onnxBackend({ threads });
const reader = await newReader(backend);
const timers = await Promise.all(formats.map((format) => newTimer(backend, format, 1)));
await measure([reader, ...timers], rounds);
const floor = reader.bytes / reader.best / 1e6;
console.log(`${"reading".padEnd(28)} ${floor.toFixed(1)} GB/s`);
for (const { name, operations, bytes, best } of timers) {
  const speed = bytes / best / 1e6;
  const share = (100 * speed / floor).toFixed(0);
  console.log(
    `${name.padEnd(28)}    1 row  ${(operations / best / 1e6).toFixed(0).padStart(5)} GOP/s  ` +
      `${speed.toFixed(1).padStart(5)} GB/s of weights, ${share} % of reading`,
  );
}
for (const rows of [16, 64, 256]) {
  const many = await Promise.all(formats.slice(1).map((format) => newTimer(backend, format, rows)));
  await measure(many, Math.ceil(rounds / 3));
  for (const { name, operations, best } of many) {
    console.log(
      `${name.padEnd(28)} ${`${rows}`.padStart(4)} rows ${(operations / best / 1e6).toFixed(0).padStart(5)} GOP/s`,
    );
  }
}
backend.dispose();
