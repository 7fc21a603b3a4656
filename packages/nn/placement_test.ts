import assert from "node:assert/strict";
import {
  DataParallel,
  DeviceMesh,
  formatSharding,
  LayoutMap,
  ModelParallel,
  trafficOf,
  virtualDevices,
} from "@tessera/mesh";
import { einsumDense } from "./dense.ts";
import { zeros } from "./initializers.ts";
import { layoutOf, storedSharding } from "./placement.ts";
import { activation, assign, traceProgram } from "./program.ts";
import { quantizeVariables } from "./quantization.ts";
import { Scope } from "./scope.ts";
import { shardProgram } from "./shard_program.ts";
import { type Follows, Variable } from "./variable.ts";

const mesh = new DeviceMesh([2, 4], ["batch", "model"], virtualDevices(8));
const initializer = zeros();

function kernel(): Variable {
  return new Variable("query/kernel", { shape: [8, 64, 16], order: [0, 2, 1], initializer });
}

function follower(path: string, shape: readonly number[], follows: Follows): Variable {
  return new Variable(path, { shape, initializer, follows });
}

function parallel(...entries: [key: string, dims: ("batch" | "model" | null)[]][]) {
  const layoutMap = new LayoutMap(mesh);
  entries.forEach(([key, dims]) => layoutMap.set(key, dims));
  return new ModelParallel({ layoutMap, batchDimName: "batch" });
}

Deno.test("a variable lies as the key that names it says, its stored axes in their own order", () => {
  const distribution = parallel(["query/kernel", ["model", "batch", null]]);
  assert.equal(String(layoutOf(kernel(), distribution)), "PartitionSpec('model', 'batch', None)");
  assert.equal(formatSharding(storedSharding(kernel(), distribution)), "[model, -, batch]");
});

Deno.test("layoutOf() refuses to cut blocks of codes that share a scale, and bytes that hold two", () => {
  const quantized = (width: number, quantize: "int8" | "int4") => {
    const shape = [8, width, 16];
    const variable = new Variable("query/kernel", { shape, summed: [1], order: [0, 2, 1], initializer });
    quantizeVariables([variable], quantize);
    return variable;
  };
  const distribution = parallel(["query/kernel", [null, "model", null]]);
  const sharding = (variable: Variable) => formatSharding(storedSharding(variable, distribution));
  const whole = quantized(128, "int4");
  assert.deepEqual([sharding(whole), sharding(whole.quantization!.scale)], ["[-, -, model]", "[-, -, model]"]);
  // One block is one scale, which every device has.
  const single = quantized(24, "int4");
  assert.deepEqual([sharding(single), sharding(single.quantization!.scale)], ["[-, -, model]", "[-, -, -]"]);
  assert.equal(sharding(quantized(64, "int8")), "[-, -, model]");
  assert.throws(() => layoutOf(quantized(64, "int4"), distribution), {
    name: "RangeError",
    message:
      'Cannot shard "query/kernel" in int4 axis 1 (64) over 4 devices: its 2 blocks of 32, which share a scale each, ' +
      "are not divisible by 4; split it over fewer devices, or quantize to int8",
  });
  assert.throws(() => layoutOf(quantized(12, "int4"), distribution), /its 6 pairs of codes are not divisible by 4/);
});

Deno.test("a variable that no key names lies as the one that it follows", () => {
  const variable = kernel();
  const distribution = parallel(["query/kernel", ["model", "batch", null]]);
  const slot = follower("adamw/query_kernel_momentum", [8, 64, 16], { variable, axes: [0, 1, 2] });
  assert.equal(String(layoutOf(slot, distribution)), "PartitionSpec('model', 'batch', None)");
  const a = follower("query/lora_kernel_a", [8, 64, 4], { variable, axes: [0, 1, null], spareBatchAxes: true });
  assert.equal(String(layoutOf(a, distribution)), "PartitionSpec('model', None, None)");
  // A variable that follows a follower lies there too.
  const momentum = follower("adamw/lora_a_momentum", [8, 64, 4], { variable: a, axes: [0, 1, 2] });
  assert.equal(String(layoutOf(momentum, distribution)), "PartitionSpec('model', None, None)");
  const cache = follower("cache/key", [2, 32, 8, 16], { variable, axes: ["batch", null, 0, 2], spareBatchAxes: true });
  assert.equal(String(layoutOf(cache, distribution)), "PartitionSpec('batch', None, 'model', None)");
});

Deno.test("a key goes before what is followed; what follows nothing is replicated", () => {
  const variable = kernel();
  const distribution = parallel(["query/kernel", ["model", "batch", null]], ["adamw.*", ["model", null, null]]);
  const slot = follower("adamw/query_kernel_momentum", [8, 64, 16], { variable, axes: [0, 1, 2] });
  assert.equal(String(layoutOf(slot, distribution)), "PartitionSpec('model', None, None)");
  assert(layoutOf(new Variable("scale", { shape: [64], initializer }), distribution).isReplicated);
  assert(layoutOf(slot, new DataParallel({ mesh })).isReplicated);
});

Deno.test("shardProgram() shards batches, variables and the activations that the map names", () => {
  const scope = new Scope();
  const up = einsumDense(scope, "up", { equation: "bd,df->bf", shape: [8, 16], dtype: "float32", initializer });
  const traced = traceProgram("step", { x: { shape: [4, 8], dtype: "float32" } }, ({ x }) => {
    const y = activation("middle", x.mul(up.kernel.read().sum(1).reshape([1, 8])));
    assign(up.kernel, up.kernel.raw().add(1));
    return { total: y.sum() };
  });
  assert.deepEqual(traced.activations.map(({ path }) => path), ["middle/output"]);
  const plain = shardProgram(traced, parallel(["up/kernel", [null, "model"]]));
  assert.deepEqual(plain.inputs.map(formatSharding), ["[batch, -]", "[-, model]"]);
  assert.deepEqual(plain.outputs.map(formatSharding), ["[]", "[-, model]"]);
  const asked = shardProgram(traced, parallel(["up/kernel", [null, "model"]], ["middle/output", [null, "batch"]]));
  assert.notDeepEqual(trafficOf(asked.graph), trafficOf(plain.graph));
});

Deno.test("shardProgram() replicates a batch that does not divide, and whole axes of activations that do not", () => {
  const x = { shape: [3, 6], dtype: "float32" } as const;
  const traced = traceProgram("odd", { x }, ({ x }) => ({ y: activation("double", x.mul(2)) }));
  const { inputs, outputs } = shardProgram(traced, parallel(["double/output", ["batch", "model"]]));
  assert.deepEqual([...inputs, ...outputs].map(formatSharding), ["[-, -]", "[-, -]"]);
});
