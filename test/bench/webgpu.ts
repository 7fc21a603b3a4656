/**
 * Programs on one GPU adapter: ours, plain tfjs's and jax-js's, in turns, each the best of several.
 *
 * jax-js opens a device of its own on the same adapter. What a peer cannot do is left out: tfjs has no 16-bit floats and, in its
 * core, no gradients; neither has weights of 4 bits.
 */
import { webgpuBackend } from "@tessera/backend-webgpu";
import {
  attention,
  einsum,
  foldIn,
  gradients,
  type Graph,
  type HostTensor,
  hostTensor,
  normal,
  quantizedEinsum,
  randomKey,
  rmsNorm,
  sizeOf,
  type Tensor,
  type TensorType,
  trace,
} from "@tessera/core";
import type { DeviceBuffer } from "@tessera/runtime";
import { formatTable } from "@tessera/text";
import { jaxCases } from "./webgpu_jax.ts";
import { blockInputs, type BlockShape, type Cases, shapes } from "./webgpu_shape.ts";
import { tfjsCases } from "./webgpu_tfjs.ts";

/** Numbers that look random, the same in every run. */
function inputOf({ shape, dtype }: Graph["inputs"][number], i: number): HostTensor {
  const numbers = normal(foldIn(randomKey(1), i), sizeOf(shape)).map((x) => x * 0.05);
  if (dtype === "float32") return hostTensor(dtype, shape, numbers);
  if (dtype === "uint8") return hostTensor(dtype, shape, Uint8Array.from(numbers, (x) => Math.abs(x * 1e5)));
  if (dtype === "int32") return hostTensor(dtype, shape, Int32Array.from(numbers, (_, at) => at % shape.at(-1)!));
  return hostTensor(dtype, shape, new Uint16Array(numbers.length).fill(0x2e66));
}

type Inputs = Readonly<Record<string, Tensor>>;

/** A decoder block: normalization, attention and a gated feed-forward layer, each added to what came in. */
function block({ heads, headDim, time }: BlockShape, x: Inputs): Tensor {
  const normed = rmsNorm(x.x!, x.scale1!, { epsilon: 1e-6 });
  const project = (kernel: Tensor) => einsum("td,de->te", normed, kernel).reshape([1, time, heads, headDim]);
  const mixed = attention({
    query: project(x.query!),
    key: project(x.key!),
    value: project(x.value!),
    queryPositions: x.positions!,
    keyPositions: x.positions!,
  }, { scale: headDim ** -0.5, softCap: null, window: null });
  const attended = x.x!.add(einsum("te,ed->td", mixed.reshape([time, heads * headDim]), x.output!));
  const again = rmsNorm(attended, x.scale2!, { epsilon: 1e-6 });
  const gate = einsum("td,df->tf", again, x.gate!);
  const hidden = gate.sigmoid().mul(gate).mul(einsum("td,df->tf", again, x.up!));
  return attended.add(einsum("tf,fd->td", hidden, x.down!));
}

/** Our programs. */
async function ourCases(shape: BlockShape): Promise<Cases> {
  const backend = await webgpuBackend();
  const { time, width, heads, headDim } = shape;
  const float = (...lengths: number[]) => ({ shape: lengths, dtype: "float32" }) as const;
  const positions = { shape: [1, time], dtype: "int32" } as const;
  const qkv = float(1, time, heads, headDim);
  const types: Readonly<Record<string, TensorType>> = {
    ...Object.fromEntries(Object.entries(blockInputs(shape)).map(([k, s]) => [k, float(...s)])),
    positions,
  };
  const graphs = {
    "matmul float32": trace("matmul", { a: float(width, width), b: float(width, width) }, (x) => ({
      y: einsum("ab,bc->ac", x.a, x.b),
    })),
    "matmul float16": trace(
      "matmul",
      { a: float(width, width), b: { shape: [width, width], dtype: "float16" } },
      (x) => ({
        y: einsum("ab,bc->ac", x.a, x.b.cast("float32")),
      }),
    ),
    "matmul int4": trace("matmul", {
      a: float(width, width),
      codes: { shape: [width, width / 2], dtype: "uint8" },
      scales: float(width, width / 32),
    }, ({ a, codes, scales }) => ({ y: quantizedEinsum("ab,cb->ac", a, { codes, scales, bits: 4 }) })),
    "rmsNorm": trace("rmsNorm", { x: float(time, width), scale: float(width) }, ({ x, scale }) => ({
      y: rmsNorm(x, scale, { epsilon: 1e-6 }),
    })),
    "attention": trace(
      "attention",
      { query: qkv, key: qkv, value: qkv, positions },
      ({ query, key, value, positions }) => ({
        y: attention({ query, key, value, queryPositions: positions, keyPositions: positions }, {
          scale: headDim ** -0.5,
          softCap: null,
          window: null,
        }),
      }),
    ),
    "block forward": trace("block", types, (x) => ({ y: block(shape, x) })),
    "block forward and backward": trace("block", types, (x) => {
      const [dx] = gradients(block(shape, x).square().sum(), [x.x!]);
      return { dx: dx! };
    }),
  };
  const cases = Object.entries(graphs).map(async ([name, graph]) => {
    const program = await backend.compile(graph, { device: backend.devices[0]! });
    const inputs: DeviceBuffer[] = graph.inputs.map((input, i) => backend.upload(inputOf(input, i)));
    const run = async () => (await program.run(inputs)).forEach((output) => output.dispose());
    return [name, run] as const;
  });
  return Object.fromEntries(await Promise.all(cases));
}

/** The best time of some runs, in milliseconds, after one that compiles. */
async function best(contenders: readonly (() => Promise<void>)[], runs: number): Promise<number[]> {
  for (const run of contenders) await run();
  const times = contenders.map(() => Infinity);
  for (let i = 0; i < runs; i++) {
    for (const [at, run] of contenders.entries()) {
      const start = performance.now();
      await run();
      times[at] = Math.min(times[at]!, performance.now() - start);
    }
  }
  return times;
}

async function run(args: readonly string[]): Promise<boolean> {
  const value = (flag: string) => args.includes(flag) ? args[args.indexOf(flag) + 1] : undefined;
  const shape = shapes[value("--shape") ?? "small"];
  if (shape === undefined) {
    console.error(`There is no shape "${value("--shape")}": choose ${Object.keys(shapes).join(" or ")}`);
    return false;
  }
  const runs = Number(value("--runs") ?? 5);
  const adapter = await navigator.gpu.requestAdapter();
  console.log(`${adapter?.info.description || "GPU"} · ${JSON.stringify(shape)} · best of ${runs}\n`);
  const [ours, tfjs, jax] = [await ourCases(shape), await tfjsCases(shape), await jaxCases(shape)];
  const rows: string[][] = [];
  let ahead = true;
  for (const [name, run] of Object.entries(ours)) {
    const peers = [tfjs[name], jax[name]];
    const times = await best([run, ...peers.filter((peer) => peer !== undefined)], runs);
    const [own, ...others] = times as [number, ...number[]];
    const cells = peers.map((peer) => {
      if (peer === undefined) return "–";
      const time = others.shift()!;
      ahead &&= time >= own;
      return `${time.toFixed(1)} (${(time / own).toFixed(2)}×)`;
    });
    rows.push([name, own.toFixed(1), ...cells]);
  }
  console.log(formatTable(rows, {
    columns: [{ header: "Milliseconds" }, { header: "Tessera", align: "right" }, { header: "tfjs", align: "right" }, {
      header: "jax-js",
      align: "right",
    }],
  }));
  return ahead;
}

/** The benchmark; `--shape large` is meant for real GPUs, and `--runs` says how often each program runs. */
export const webgpu = {
  purpose: "Programs on one GPU adapter: Tessera, tfjs, jax-js",
  run,
};
