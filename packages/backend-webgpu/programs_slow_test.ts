/** Programs on sizes that take several tiles, groups of threads and loops, which the samples of the conformance suite are too small for. */
import assert from "node:assert/strict";
import { apply, einsum, type Graph, hostTensor, sizeOf, trace } from "@tessera/core";
import { runOnce } from "@tessera/runtime/testing";
import { webgpuBackend } from "./backend.ts";
import { openDevice } from "./engine/device.ts";
import type { Value } from "./engine/engine.ts";
import { withGpu } from "./testing.ts";
import { assertAgrees, blocks, programCases } from "./testing/program_cases.ts";
import { webgpuEngine } from "./engine/webgpu_engine.ts";
import { einsumProduct, einsumProgram } from "./wgsl/products/matmul.ts";
import { blockProgram } from "./wgsl/products/matmul_blocks.ts";
import { piecesOf } from "./wgsl/program.ts";

const float = (...shape: number[]) => ({ shape, dtype: "float32" }) as const;
const ints = (...shape: number[]) => ({ shape, dtype: "int32" }) as const;

for (const [spec, a, b] of blocks) {
  Deno.test(`einsum "${spec}" has a program in blocks`, () => {
    const value = (shape: readonly number[]): Value => ({ ...float(...shape), dataId: {} });
    assert.notEqual(blockProgram(einsumProduct(spec, value(a), value(b), 0.5)), null);
  });
}

await withGpu(async () => {
  const gpu = await webgpuBackend({ programs: "gpu" });
  const processor = await webgpuBackend({ programs: "processor" });

  for (const one of programCases) {
    Deno.test(one.name, async () => {
      const { maxBindingBytes, programs } = one;
      if (maxBindingBytes === undefined) return await assertAgrees(programs === "gpu" ? gpu : processor, one);
      const small = await webgpuBackend({ programs, maxBindingBytes });
      await assertAgrees(small, one);
      small.dispose();
    });
  }

  const many: readonly (readonly [string, "gpu" | "processor", number[], number[]])[] = [
    ["bi,bi->b", "gpu", [70_000, 3], [70_000, 3]],
    ["bij,bjk->bik", "gpu", [66_000, 9, 1], [66_000, 1, 9]],
    ["bij,bjk->bik", "processor", [66_000, 1, 4], [66_000, 4, 4]],
  ];
  for (const [spec, programs, a, b] of many) {
    Deno.test(`einsum "${spec}" of more products than groups fit along an axis, for a ${programs}`, async () => {
      const graph = trace("many", { a: float(...a), b: float(...b) }, (x) => ({ y: einsum(spec, x.a, x.b) }));
      const inputs = graph.inputs.map(({ shape }, i) =>
        hostTensor("float32", shape, Float32Array.from({ length: sizeOf(shape) }, (_, at) => (at * (7 + i)) % 13 - 6))
      );
      await assertAgrees(programs === "gpu" ? gpu : processor, { name: spec, programs, graph, inputs });
    });
  }

  Deno.test("A product that is long work runs in pieces, with the same result", async () => {
    const engine = webgpuEngine(await openDevice());
    const values = (seed: number) => Float32Array.from({ length: 200 * 90 }, (_, i) => (i * seed) % 17 - 8);
    const [a, b] = [7, 5].map((seed) => engine.upload(hostTensor("float32", [200, 90], values(seed)))) as [
      Value,
      Value,
    ];
    const program = einsumProgram("mk,nk->mn", a, b, 1);
    assert.deepEqual(piecesOf(program).length, 1);
    const long = { ...program, work: 2 ** 37 };
    assert.ok(piecesOf(long).length >= 4);
    const found = await engine.read(engine.run(long));
    assert.deepEqual(found.data, (await engine.read(engine.run(program))).data);
    assert.notDeepEqual(found.data.slice(-200), new Float32Array(200));
    engine.dispose();
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

  Deno.test("A table in pieces is read as a whole", async () => {
    const small = await webgpuBackend({ maxBindingBytes: 5000 });
    const values = Float32Array.from({ length: 90 * 24 }, (_, i) => i);
    const table = small.upload(hostTensor("float32", [90, 24], values));
    assert.deepEqual((await table.read()).data, values);
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
