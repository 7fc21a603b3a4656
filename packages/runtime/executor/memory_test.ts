import assert from "node:assert/strict";
import { einsum, trace } from "@tessera/core";
import { DataParallel, DeviceMesh, shardGraph, virtualDevices } from "@tessera/mesh";
import { memoryOfSteps } from "./memory.ts";
import { cutSteps } from "./steps.ts";

const float = (...shape: number[]) => ({ shape, dtype: "float32" } as const);

Deno.test("memoryOfSteps() adds what a step allocates to what earlier steps left for later ones", () => {
  const graph = trace("layers", { x: float(8, 8), up: float(8, 8), down: float(8, 8) }, ({ x, up, down }) => {
    const y = einsum("bd,df->bf", x, up).tanh();
    const z = einsum("bf,fd->bd", y, down);
    return { out: z.tanh().add(z) };
  });
  const { mesh } = new DataParallel({ mesh: new DeviceMesh([2], ["model"], virtualDevices(2)) });
  const [, up, down] = graph.inputs;
  const known = new Map([
    [up!, { dims: [[], ["model"]], partial: [] }],
    [down!, { dims: [["model"], []], partial: [] }],
  ]);
  const local = shardGraph(graph, mesh, known, [{ dims: [[], []], partial: [] }]).graph;
  const steps = cutSteps(local);
  assert.deepEqual(steps.steps.map(({ kind }) => kind), ["segment", "exchange", "segment"]);
  // A product, summed over devices, of 256 bytes; what the segments allocate is said here.
  const own = [1000, 500];
  assert.equal(memoryOfSteps(steps, () => own.shift()!), 1000);
  const others = [100, 5000];
  // The sum is there while the last segment runs, the part that went into it is not.
  assert.equal(memoryOfSteps(steps, () => others.shift()!), 256 + 5000);
  // While devices exchange, a device has its part and the sum.
  assert.equal(memoryOfSteps(steps, () => 0), 512);
});

Deno.test("memoryOfSteps() asks once for segments that compute the same, and leaves out what overwrites an input", () => {
  const graph = trace("update", { x: float(8, 8), y: float(8, 8) }, ({ x, y }) => ({ next: x.add(y.mul(2)) }));
  const steps = cutSteps(graph, new Map([[0, 0]]));
  assert.equal(memoryOfSteps(steps, (_, donate) => 256 * (2 - donate.size)), 256);
});
