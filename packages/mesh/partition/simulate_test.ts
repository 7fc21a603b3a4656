import assert from "node:assert/strict";
import { emit, type Graph, type Tensor, trace } from "@tessera/core";
import type { MeshShape, Sharding } from "../sharding/sharding.ts";
import { simulate } from "./simulate.ts";

const mesh: MeshShape = { axes: [{ name: "x", size: 2 }, { name: "y", size: 2 }] };
const whole: Sharding = { dims: [[]], partial: [] };

function local(length: number, body: (x: Tensor) => Tensor): Graph {
  return trace("local", { x: { shape: [length], dtype: "float32" } }, ({ x }) => ({ y: body(x) }));
}

function run(graph: Graph, input: Sharding, output: Sharding, ...elements: number[]): number[] {
  return [...simulate({ graph, inputs: [input], outputs: [output] }, mesh, [Float64Array.from(elements)])[0]!];
}

Deno.test("simulate() runs each collective as its name says", () => {
  const split = { dims: [["x", "y"]], partial: [] };
  const group = { meshAxes: ["x", "y"], size: 4 };
  const collective = (op: "allReduce" | "allGather" | "reduceScatter" | "shardSlice", attrs: object) => (x: Tensor) =>
    emit(op, [x], { ...group, ...attrs })[0]!;
  const sum = local(1, collective("allReduce", { reduce: "sum" }));
  const max = local(1, collective("allReduce", { reduce: "max" }));
  assert.deepEqual(run(sum, split, whole, 1, 2, 3, 4), [10]);
  assert.deepEqual(run(max, split, whole, 1, 2, 9, 4), [9]);
  assert.deepEqual(run(local(1, collective("allGather", { axis: 0 })), split, whole, 1, 2, 3, 4), [1, 2, 3, 4]);
  assert.deepEqual(run(local(4, collective("reduceScatter", { axis: 0 })), whole, split, 1, 2, 3, 4), [4, 8, 12, 16]);
  assert.deepEqual(run(local(4, collective("shardSlice", { axis: 0 })), whole, split, 1, 2, 3, 4), [1, 2, 3, 4]);
});

Deno.test("simulate() moves a split from one axis to another", () => {
  const graph = trace("turn", { x: { shape: [2, 2], dtype: "float32" } }, ({ x }) => ({
    y: emit("allToAll", [x], { meshAxes: ["x"], size: 2, splitAxis: 1, concatAxis: 0 })[0]!,
  }));
  const rows = { dims: [["x"], []], partial: [] };
  const columns = { dims: [[], ["x"]], partial: [] };
  const elements = Float64Array.from({ length: 8 }, (_, i) => i);
  assert.deepEqual([...simulate({ graph, inputs: [rows], outputs: [columns] }, mesh, [elements])[0]!], [...elements]);
});

Deno.test("simulate() reduces partial inputs and outputs once", () => {
  const partial = { dims: [[]], partial: ["x"] };
  assert.deepEqual(run(local(2, (x) => x.mul(3)), partial, partial, 1, 2), [3, 6]);
});

Deno.test("simulate() says when devices disagree on what they should all have", () => {
  const split = { dims: [["x"]], partial: [] };
  assert.throws(() => run(local(1, (x) => x.neg()), split, whole, 1, 2), {
    message: 'Device 2 has -2 in output "y" [-], another device has -1',
  });
});
