/** Programs on sizes that take several tiles, groups of threads and loops, which the samples of the conformance suite are too small for. */
import assert from "node:assert/strict";
import {
  apply,
  attention,
  type AttentionAttrs,
  crossEntropy,
  einsum,
  foldIn,
  fromFloat32,
  gradients,
  type Graph,
  type HostTensor,
  hostTensor,
  normal,
  quantizedEinsum,
  randomKey,
  rmsNorm,
  sizeOf,
  type TensorType,
  trace,
} from "@tessera/core";
import { assertAllClose } from "@tessera/core/testing";
import type { Backend } from "@tessera/runtime";
import { runOnce } from "@tessera/runtime/testing";
import { tfjsCpuBackend, webgpuBackend } from "./backend.ts";
import type { Value } from "./engine.ts";
import { withGpu } from "./testing.ts";
import { einsumProduct } from "./wgsl/matmul.ts";
import { blockProgram } from "./wgsl/matmul_blocks.ts";

const float = (...shape: number[]) => ({ shape, dtype: "float32" }) as const;
const ints = (...shape: number[]) => ({ shape, dtype: "int32" }) as const;

/** Every pair of the elements of two lists. */
function product<A, B>(left: readonly A[], right: readonly B[]): (readonly [A, B])[] {
  return left.flatMap((a) => right.map((b) => [a, b] as const));
}

/** Tensors that look random, the same in every run; integers count up to a limit. */
function inputsOf(graph: Graph, limit = 1): HostTensor[] {
  return graph.inputs.map(({ shape, dtype }, i) => {
    const numbers = normal(foldIn(randomKey(3), i), sizeOf(shape));
    if (dtype === "float32") return hostTensor(dtype, shape, numbers);
    if (dtype === "uint8") return hostTensor(dtype, shape, Uint8Array.from(numbers, (x) => Math.abs(x * 1e4) % 256));
    if (dtype === "bfloat16") return fromFloat32(dtype, shape, numbers);
    return hostTensor("int32", shape, Int32Array.from(numbers, (x) => Math.abs(x * 1e4) % limit));
  });
}

/** Requires that the GPU computes what tfjs's plain JavaScript kernels do from the definitions. */
async function assertAgrees(
  gpu: Backend,
  graph: Graph,
  inputs: readonly HostTensor[],
  tolerance = 1e-4,
): Promise<void> {
  const oracle = tfjsCpuBackend();
  const expected = await runOnce(oracle, graph, inputs);
  const found = await runOnce(gpu, graph, inputs);
  oracle.dispose();
  expected.forEach((tensor, i) => assertAllClose(found[i]!, tensor, { absolute: tolerance, relative: tolerance }));
}

await withGpu(async () => {
  const gpu = await webgpuBackend({ programs: "gpu" });
  const processor = await webgpuBackend({ programs: "processor" });

  const products: readonly (readonly [string, number[], number[]])[] = [
    ["mk,kn->mn", [150, 70], [70, 130]],
    ["mk,nk->nm", [70, 33], [150, 33]],
    ["btd,nhd->btnh", [2, 50, 40], [3, 17, 40]],
    ["btmgh,bsmh->bmgts", [2, 70, 2, 2, 20], [2, 90, 2, 20]],
    ["td,vd->tv", [3, 200], [500, 200]],
    ["tr,td->rd", [700, 8], [700, 30]],
  ];
  for (const [spec, a, b] of products) {
    Deno.test(`einsum "${spec}" of several tiles`, async () => {
      const graph = trace("product", { a: float(...a), b: float(...b) }, (x) => ({ y: einsum(spec, x.a, x.b) }));
      await assertAgrees(gpu, graph, inputsOf(graph));
    });
  }

  const blocks: readonly (readonly [string, number[], number[]])[] = [
    ["mk,kn->mn", [150, 72], [72, 132]],
    ["mk,nk->nm", [68, 36], [148, 36]],
    ["btd,nhd->btnh", [2, 50, 40], [3, 20, 40]],
    ["btnh,nhd->btd", [2, 50, 3, 20], [3, 20, 36]],
    ["btmgh,bsmh->bmgts", [2, 70, 2, 2, 20], [2, 92, 2, 20]],
    ["bti,bto->io", [3, 52, 12], [3, 52, 28]],
    ["bti,bto->oi", [3, 52, 12], [3, 52, 28]],
    ["td,vd->tv", [3, 200], [500, 200]],
  ];
  for (const [spec, a, b] of blocks) {
    Deno.test(`einsum "${spec}" in blocks`, async () => {
      const value = (shape: readonly number[]): Value => ({ ...float(...shape), dataId: {} });
      assert.notEqual(blockProgram(einsumProduct(spec, value(a), value(b), 0.5)), null);
      const types = { a: float(...a), b: float(...b) };
      const graph = trace("product", types, (x) => ({ y: einsum(spec, x.a, x.b, { scale: 0.5 }) }));
      await assertAgrees(processor, graph, inputsOf(graph));
    });
  }

  for (const bits of [4, 8] as const) {
    Deno.test(`quantizedEinsum of several tiles with ${bits} bits, forward and backward`, async () => {
      const [outputs, inner, blocks] = [90, 160, 5];
      const types: Record<string, TensorType> = {
        x: float(2, 40, inner),
        codes: { shape: [outputs, inner * bits / 8], dtype: "uint8" },
        scales: float(outputs, blocks),
      };
      const graph = trace("quantized", types, ({ x, codes, scales }) => {
        const y = quantizedEinsum("bti,oi->bto", x!, { codes: codes!, scales: scales!.mul(0.01), bits });
        return { y, dx: gradients(y.square().sum(), [x!])[0]! };
      });
      await assertAgrees(gpu, graph, inputsOf(graph), 1e-3);
    });
  }

  interface AttentionCase extends Partial<AttentionAttrs> {
    readonly prefix?: number;
    /** [time, keys, headDim]. */
    readonly lengths?: readonly [number, number, number];
    /** The position of a query, its own number unless given. */
    readonly place?: (query: number) => number;
  }
  const cases: Readonly<Record<string, AttentionCase>> = {
    causal: {},
    "with a window and a soft cap": { window: 20, softCap: 2 },
    "with a prefix": { prefix: 30 },
    "with heads wider than a tile": { lengths: [40, 70, 200] },
    // Of 150 keys the queries see some of one or two tiles of three, and each seventh none.
    "of which queries see a few, or none": {
      lengths: [40, 150, 24],
      window: 9,
      place: (query) => query % 7 === 0 ? -1 : 60 + query,
    },
    "of which the few queries see the last": { lengths: [3, 150, 24], window: 20, place: (query) => 144 + query },
  };
  const kinds = [["over several tiles", gpu], ["by threads", processor]] as const;
  for (
    const [[name, { prefix = 0, lengths, place, ...attrs }], [how, backend]] of product(Object.entries(cases), kinds)
  ) {
    Deno.test(`attention ${how} ${name}, forward and backward`, async () => {
      const [batch, heads, keyHeads] = [2, 4, 2];
      const [time, keys, wide] = lengths ?? [41, 45, 72];
      const headDim = backend === gpu ? wide : 12;
      const types = {
        query: float(batch, time, heads, headDim),
        key: float(batch, keys, keyHeads, headDim),
        value: float(batch, keys, keyHeads, headDim),
        queryPositions: ints(batch, time),
        keyPositions: ints(batch, keys),
        prefix: ints(batch),
      };
      const graph = trace("attention", types, (x) => {
        const y = attention(x, { scale: 0.2, softCap: null, window: null, ...attrs });
        const [dq, dk, dv] = gradients(y.square().sum(), [x.query, x.key, x.value]);
        return { y, dq: dq!, dk: dk!, dv: dv! };
      });
      const queryPlaces = Int32Array.from({ length: batch * time }, (_, i) => place?.(i % time) ?? i % time);
      // The last keys of a text are hidden.
      const keyPlaces = Int32Array.from({ length: batch * keys }, (_, i) => i % keys < keys - 3 ? i % keys : -1);
      const inputs = inputsOf(graph).with(3, hostTensor("int32", [batch, time], queryPlaces))
        .with(4, hostTensor("int32", [batch, keys], keyPlaces))
        .with(5, hostTensor("int32", [batch], Int32Array.of(prefix, 0)));
      await assertAgrees(backend, graph, inputs);
    });
  }

  Deno.test("rmsNorm and crossEntropy of rows longer than a group, forward and backward", async () => {
    const types = { x: float(3, 40, 300), scale: float(300), labels: ints(3, 40) };
    const graph = trace("rows", types, ({ x, scale, labels }) => {
      const loss = crossEntropy(rmsNorm(x, scale, { epsilon: 1e-6, offset: 1 }), labels).mean();
      const [dx, dscale] = gradients(loss, [x, scale]);
      return { loss, dx: dx!, dscale: dscale! };
    });
    await assertAgrees(gpu, graph, inputsOf(graph, 300));
    const frozen = { ...graph, outputs: graph.outputs.slice(0, 2), outputNames: graph.outputNames.slice(0, 2) };
    await assertAgrees(processor, frozen, inputsOf(graph, 300));
  });

  Deno.test("Reductions, argMax and elementwise chains of many elements", async () => {
    const types = { x: float(70, 300), row: float(300), column: float(70, 1) };
    const graph = trace("many", types, ({ x, row, column }) => {
      const y = x.mul(row).add(column).tanh().mul(x.sin()).add(0.5);
      return {
        y,
        rows: y.sum(1),
        columns: y.max(0),
        all: y.min([0, 1]),
        first: apply("argMax", [y], { axis: 1 }),
        later: apply("argMax", [y], { axis: 0 }),
        running: apply("cumSum", [y], { axis: 1 }),
        down: apply("cumSum", [y], { axis: 0 }),
      };
    });
    await assertAgrees(gpu, graph, inputsOf(graph));
  });

  Deno.test("int32 is exact beyond what float32 holds", async () => {
    const type = ints(4);
    const graph = trace("exact", { a: type, b: type }, ({ a, b }) => ({
      sum: a.add(b),
      product: a.mul(3),
      quotient: a.div(b),
      total: a.sum(0),
      totals: apply("cumSum", [a], { axis: 0 }),
      moved: a.reshape([2, 2]).transpose([1, 0]),
    }));
    const inputs = [[2 ** 24 + 1, -(2 ** 30) - 7, 123456789, -1], [1, 3, -1000, 2]].map((values) =>
      hostTensor("int32", [4], Int32Array.from(values))
    );
    const found = (await runOnce(gpu, graph, inputs)).map(({ data }) => [...data]);
    assert.deepEqual(found, [
      [16777218, -1073741828, 123455789, 1],
      [50331651, 1073741803, 370370367, -3],
      [16777217, -357913943, -123456, 0],
      [16777217 - 1073741831 + 123456789 - 1],
      [16777217, 16777217 - 1073741831, 16777217 - 1073741831 + 123456789, 16777217 - 1073741831 + 123456789 - 1],
      [16777217, 123456789, -1073741831, -1],
    ]);
  });

  Deno.test("Tables and weights larger than a binding are kept in pieces, and read as a whole", async () => {
    const small = await webgpuBackend({ maxBindingBytes: 5000 });
    const types: Record<string, TensorType> = {
      tokens: ints(2, 5),
      table: float(90, 24),
      halves: { shape: [120, 25], dtype: "bfloat16" },
      codes: { shape: [90, 60], dtype: "uint8" },
      scales: float(45, 5),
      x: float(2, 5, 120),
    };
    const graph = trace("pieces", types, ({ tokens, table, halves, codes, scales, x }) => {
      const rows = table!.gather(tokens!);
      // A logit per row of the table, and back from the logits: rows of the result, and rows that are summed over.
      const logits = einsum("btd,vd->btv", rows, table!, { scale: 0.5 });
      const back = einsum("btv,vd->btd", logits, table!);
      const narrow = halves!.gather(tokens!);
      const weight = { codes: codes!, scales: scales!.mul(0.01), bits: 4 } as const;
      const quantized = quantizedEinsum("btd,vd->btv", x!, weight);
      const dx = quantizedEinsum("btv,vd->btd", quantized, weight);
      return { rows, logits, back, narrow, products: einsum("btd,vd->btv", narrow, halves!), quantized, dx };
    });
    const inputs = inputsOf(graph, 90);
    const oracle = tfjsCpuBackend();
    const expected = await runOnce(oracle, graph, inputs);
    const found = await runOnce(small, graph, inputs);
    expected.forEach((tensor, i) => {
      const tolerance = tensor.dtype === "bfloat16" ? 3e-2 : 1e-3;
      assertAllClose(found[i]!, tensor, { absolute: tolerance, relative: tolerance });
    });
    const table = small.upload(inputs[1]!);
    assert.deepEqual((await table.read()).data, inputs[1]!.data);
    table.dispose();
    small.dispose();
  });

  Deno.test("compile() refuses what is larger than a binding and cannot be in pieces", async () => {
    const small = await webgpuBackend({ maxBindingBytes: 4096 });
    const compile = (graph: Graph) => small.compile(graph, { device: small.devices[0]! });
    const types = { x: float(40, 40), y: float(2, 2000) };
    await assert.rejects(compile(trace("large", types, ({ x }) => ({ z: x.mul(2) }))), {
      name: "RangeError",
      message:
        'Cannot compile "large": input "x", float32[40,40], takes 6.25 KiB, and a program there reads and writes at most ' +
        "4.00 KiB of one tensor; use a smaller batch, shorter sequences, or LoRA instead of training the whole table",
    });
    await assert.rejects(compile(trace("long", types, ({ y }) => ({ z: einsum("ab,cb->ac", y, y) }))), /input "y"/);
    await assert.rejects(
      compile(trace("wide", { x: float(40) }, ({ x }) => ({ z: einsum("a,b->ab", x, x) }))),
      /result of einsum/,
    );
    small.dispose();
  });
});
