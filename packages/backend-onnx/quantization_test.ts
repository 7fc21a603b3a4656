import assert from "node:assert/strict";
import {
  emptyRuns,
  evaluate,
  type HostTensor,
  hostTensor,
  type QuantizationBits,
  quantizedEinsum,
  quantizeRuns,
  sizeOf,
  toElements,
  trace,
} from "@tessera/core";
import type { DeviceBuffer } from "@tessera/runtime";
import { onnxBackend } from "./backend.ts";
import { cpuSupport, lower, prepare } from "./lowering/lower.ts";
import { float, sample } from "./testing/run.ts";

interface Case {
  readonly bits: QuantizationBits;
  readonly spec: string;
  readonly x: readonly number[];
  readonly weight: readonly number[];
  /** How many neighbors share a scale. */
  readonly run: number;
  readonly roundInput: boolean;
}

function graphOf({ spec, x, weight, bits, run, roundInput }: Case) {
  const summed = weight.length - 1;
  const scales = run >= weight[summed]!
    ? weight.map((length, axis) => sizeOf(weight.slice(axis)) <= run ? 1 : length)
    : weight.with(-1, weight[summed]! / run);
  const types = {
    x: float(...x),
    codes: { shape: weight.with(-1, weight[summed]! * bits / 8), dtype: "uint8" },
    scales: float(...scales),
  } as const;
  const graph = trace("quantized", types, ({ x, codes, scales }) => ({
    y: quantizedEinsum(spec, x, { codes, scales, bits }, { roundInput }),
  }));
  const runs = emptyRuns(sizeOf(weight), run, bits);
  quantizeRuns(sample(sizeOf(weight), 3), run, bits, runs);
  const inputs: HostTensor[] = [
    hostTensor("float32", x, sample(sizeOf(x), 2)),
    hostTensor("uint8", types.codes.shape, runs.codes),
    hostTensor("float32", scales, runs.scales),
  ];
  return { graph, inputs };
}

function opsOf(one: Case, residents: readonly number[]): string[] {
  return lower(prepare(graphOf(one).graph, cpuSupport), residents).model.nodes.map(({ op }) => op);
}

/** Runs a graph with its weight as a resident, or as any other input. */
async function runOn(one: Case, isResident: boolean): Promise<{ found: HostTensor; expected: HostTensor }> {
  const { graph, inputs } = graphOf(one);
  const backend = onnxBackend({ threads: 2 });
  const buffers = inputs.map((tensor) => backend.upload(tensor));
  const residents = new Map<number, DeviceBuffer>(isResident ? [[1, buffers[1]!], [2, buffers[2]!]] : []);
  const program = await backend.compile(graph, { device: backend.devices[0]!, residents });
  const [y] = await program.run(buffers);
  const found = await y!.read();
  [y!, ...buffers, program].forEach((each) => each.dispose());
  backend.dispose();
  return { found, expected: evaluate(graph, inputs)[0]! };
}

/** The length of the difference over the length of what is expected. */
function errorOf({ found, expected }: { found: HostTensor; expected: HostTensor }): number {
  const [a, b] = [toElements(found), toElements(expected)];
  const length = (values: Float64Array) => Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
  return length(a.map((value, i) => value - b[i]!)) / length(b);
}

const few = { spec: "bti,oi->bto", x: [1, 3, 256], weight: [24, 256] };
const some = { ...few, x: [2, 20, 256] };
const many = { ...few, x: [2, 40, 256] };
const heads = { spec: "btnh,dnh->btd", x: [1, 3, 4, 64], weight: [24, 4, 64] };
const int8 = { bits: 8, run: 256, roundInput: true } as const;
const int4 = { bits: 4, run: 32, roundInput: true } as const;

/** How a case is computed, with its weight as a resident and without. */
const cases: readonly [name: string, one: Case, resident: string, other: string][] = [
  ["int8, few rows", { ...few, ...int8 }, "MatMulNBits", "MatMulIntegerToFloat"],
  ["int8, some rows", { ...some, ...int8 }, "MatMulIntegerToFloat", "MatMulIntegerToFloat"],
  ["int8, many rows", { ...many, ...int8 }, "MatMulIntegerToFloat", "MatMulIntegerToFloat"],
  ["int8, heads", { ...heads, ...int8 }, "MatMulNBits", "MatMulIntegerToFloat"],
  ["int4, few rows", { ...few, ...int4 }, "MatMulNBits", "Gemm"],
  ["int4, some rows", { ...some, ...int4 }, "MatMulNBits", "Gemm"],
  ["int4, many rows", { ...many, ...int4 }, "MatMulIntegerToFloat", "MatMulIntegerToFloat"],
  [
    "int4, many rows of heads",
    { ...heads, x: [2, 40, 4, 64], ...int4 },
    "MatMulIntegerToFloat",
    "MatMulIntegerToFloat",
  ],
  ["int4, many rows, other blocks", { ...many, ...int4, run: 8 }, "MatMulIntegerToFloat", "MatMulIntegerToFloat"],
  ["int4, heads", { ...heads, ...int4 }, "MatMulNBits", "Gemm"],
  ["int4, blocks that no kernel takes", { ...few, ...int4, run: 8 }, "Gemm", "Gemm"],
  ["int8, input as it is", { ...few, ...int8, roundInput: false }, "Gemm", "Gemm"],
];

for (const [name, one, ...ops] of cases) {
  Deno.test(`a quantized product, ${name}, is ${ops.join(" or ")} and near the exact one`, async () => {
    for (const [op, isResident] of [[ops[0], true], [ops[1], false]] as const) {
      assert.ok(opsOf(one, isResident ? [1, 2] : []).includes(op), `${op} is missing`);
      const error = errorOf(await runOn(one, isResident));
      const most = op === "Gemm" ? 1e-6 : 0.01;
      assert.ok(error <= most, `${op} is off by ${error}`);
    }
  });
}

Deno.test("a row of zeros, and a row of large numbers beside one of small ones, keep their precision", async () => {
  const one: Case = { ...some, ...int8 };
  const { graph, inputs } = graphOf(one);
  const x = inputs[0]!.data as Float32Array;
  x.fill(0, 0, 256);
  for (let i = 256; i < 512; i++) x[i]! *= 1e6;
  const backend = onnxBackend({ threads: 2 });
  const program = await backend.compile(graph, { device: backend.devices[0]! });
  const buffers = inputs.map((tensor) => backend.upload(tensor));
  const [y] = await program.run(buffers);
  const found = (await y!.read()).data as Float32Array;
  const expected = evaluate(graph, inputs)[0]!.data as Float32Array;
  assert.ok(found.subarray(0, 24).every((value) => value === 0));
  for (let row = 1; row < 40; row++) {
    const [own, wanted] = [found, expected].map((all) =>
      hostTensor("float32", [24], all.subarray(24 * row, 24 * row + 24))
    );
    assert.ok(errorOf({ found: own!, expected: wanted! }) < 0.01, `row ${row}`);
  }
  [y!, ...buffers, program].forEach((each) => each.dispose());
  backend.dispose();
});

Deno.test("large weights are made floats a piece at a time, forwards and in the gradient", async () => {
  for (const bits of [8, 4] as const) {
    const run = bits === 8 ? 4096 : 32;
    const shape = { weight: [6000, 4096], bits, run, roundInput: false };
    for (const [spec, width] of [["ti,oi->to", 4096], ["to,oi->ti", 6000]] as const) {
      const one: Case = { ...shape, spec, x: [2, width] };
      const { graph, inputs } = graphOf(one);
      const { nodes } = lower(prepare(graph, cpuSupport)).model;
      const floats = nodes.filter(({ op }) => op === "DequantizeLinear").map(({ outputs }) =>
        sizeOf(outputs[0]!.shape)
      );
      assert.equal(floats.reduce((sum, size) => sum + size, 0), 6000 * 4096);
      assert.ok(Math.max(...floats) <= 2 ** 24);
      const backend = onnxBackend({ threads: 2 });
      const program = await backend.compile(graph, { device: backend.devices[0]! });
      const buffers = inputs.map((tensor) => backend.upload(tensor));
      const [y] = await program.run(buffers);
      const found = (await y!.read()).data as Float32Array;
      const [x, codes, scales] = inputs.map((tensor) => tensor.data) as [Float32Array, Uint8Array, Float32Array];
      const weight = (o: number, i: number) => {
        const at = o * 4096 + i;
        const code = bits === 8 ? codes[at]! - 128 : (codes[at >> 1]! >> 4 * (at & 1) & 15) - 8;
        return code * scales[Math.floor(at / run)]!;
      };
      // A few places, on both sides of the cut.
      for (const at of [0, 1, 4095, 5999, 4096, 3001].filter((place) => place < found.length / 2)) {
        let expected = 0;
        for (let k = 0; k < width; k++) expected += x[k]! * (spec === "ti,oi->to" ? weight(at, k) : weight(k, at));
        assert.ok(Math.abs(found[at]! - expected) < 1e-3 * Math.sqrt(width), `${found[at]} for ${expected}`);
      }
      [y!, ...buffers, program].forEach((each) => each.dispose());
      backend.dispose();
    }
  }
});

Deno.test("a large weight of 4 bits is widened to 8 a piece at a time, whatever the sizes of its rows", async () => {
  const [count, rows, columns] = [66, 4500, 2048];
  const { graph, inputs } = graphOf({ spec: "ti,oi->to", x: [count, columns], weight: [rows, columns], ...int4 });
  const [x, codes, scales] = inputs.map(({ data }) => data) as [Float32Array, Uint8Array, Float32Array];
  // Rows of very different sizes, on both sides of the cut, and one of zeros.
  for (let row = 0; row < rows; row++) {
    const factor = row === 7 ? 0 : 10 ** (row % 5 - 2);
    for (let i = 0; i < columns / 32; i++) scales[row * columns / 32 + i]! *= factor;
  }
  const { nodes } = lower(prepare(graph, cpuSupport)).model;
  const floats = nodes.filter(({ op }) => op === "QuantizeLinear").map(({ outputs }) => sizeOf(outputs[0]!.shape));
  assert.ok(Math.max(...floats) <= 2 ** 22);
  assert.equal(nodes.filter(({ op }) => op === "MatMulIntegerToFloat").length, 3);
  const backend = onnxBackend({ threads: 2 });
  const program = await backend.compile(graph, { device: backend.devices[0]! });
  const buffers = inputs.map((tensor) => backend.upload(tensor));
  const [y] = await program.run(buffers);
  const found = (await y!.read()).data as Float32Array;
  for (const row of [0, 1, 2, 3, 4, 7, 2047, 2048, 4499]) {
    let [off, all] = [0, 0];
    for (const t of [0, 1, 33, 65]) {
      let expected = 0;
      for (let i = 0; i < columns; i++) {
        const at = row * columns + i;
        const term = x[t * columns + i]! * ((codes[at >> 1]! >> 4 * (at & 1) & 15) - 8) * scales[at >> 5]!;
        expected += term;
        // Terms of either sign may cancel, their errors do not.
        all += term ** 2;
      }
      off += (found[t * rows + row]! - expected) ** 2;
    }
    assert.ok(off <= 0.01 ** 2 * all, `row ${row} is off by ${Math.sqrt(off / all)}`);
  }
  [y!, ...buffers, program].forEach((each) => each.dispose());
  backend.dispose();
});

Deno.test("programs over one weight share what a kernel made of it, and want that weight in every run", async () => {
  const { graph, inputs } = graphOf({ ...few, ...int4 });
  const backend = onnxBackend({ threads: 2 });
  const buffers = inputs.map((tensor) => backend.upload(tensor));
  const other = backend.upload(inputs[1]!);
  const options = { device: backend.devices[0]!, residents: new Map([[1, buffers[1]!], [2, buffers[2]!]]) };
  const [one, two] = await Promise.all([backend.compile(graph, options), backend.compile(graph, options)]);
  const run = async (program: typeof one) => {
    const [y] = await program.run(buffers);
    const { data } = await y!.read();
    y!.dispose();
    return data;
  };
  assert.deepEqual(await run(one), await run(two));
  await assert.rejects(async () => await one.run(buffers.with(1, other)), {
    name: "TypeError",
    message: /input "codes" must be the buffer that it was compiled for/,
  });
  one.dispose();
  await run(two);
  two.dispose();
  other.dispose();
  await assert.rejects(
    backend.compile(graph, { ...options, residents: new Map([[1, other], [2, buffers[2]!]]) }),
    /disposed/,
  );
  buffers.forEach((buffer) => buffer.dispose());
  backend.dispose();
});

/** The memory that this process has touched and that is no file's, in bytes. */
function anonymousBytes(): number {
  return Number(/^RssAnon:\s+(\d+) kB$/m.exec(Deno.readTextFileSync("/proc/self/status"))![1]) * 1024;
}

for (const bits of [4, 8] as const) {
  Deno.test({
    name: `programs over weights in ${bits} bits take the memory of one`,
    ignore: Deno.build.os !== "linux",
    async fn() {
      const weight = [4096, 4096];
      const { graph, inputs } = graphOf({
        spec: "ti,oi->to",
        x: [1, 4096],
        weight,
        ...(bits === 4 ? int4 : { ...int8, run: 4096 }),
      });
      const backend = onnxBackend({ threads: 2 });
      const buffers = inputs.map((tensor) => backend.upload(tensor));
      const options = { device: backend.devices[0]!, residents: new Map([[1, buffers[1]!], [2, buffers[2]!]]) };
      const size = sizeOf(weight) * bits / 8;
      const first = await backend.compile(graph, options);
      const alone = anonymousBytes();
      const others = [];
      for (let i = 0; i < 8; i++) others.push(await backend.compile(graph, options));
      const together = anonymousBytes();
      assert.ok(
        together - alone < 2 * size,
        `eight more programs take ${together - alone} bytes, the weight has ${size}`,
      );
      [first, ...others, ...buffers].forEach((one) => one.dispose());
      backend.dispose();
    },
  });
}
