import assert from "node:assert/strict";
import type { TensorType } from "@tessera/core";
import {
  axisSize,
  blockOf,
  checkSharding,
  coordinatesOf,
  deviceCount,
  formatSharding,
  groupIndex,
  groupOf,
  isReplicated,
  localType,
  type MeshShape,
  replicated,
  sameSharding,
  withoutTrivialAxes,
} from "./sharding.ts";

const mesh: MeshShape = { axes: [{ name: "batch", size: 2 }, { name: "model", size: 4 }] };
const kernel: TensorType = { shape: [8, 6], dtype: "float32" };

Deno.test("devices are numbered row-major", () => {
  assert.equal(deviceCount(mesh), 8);
  assert.deepEqual([...coordinatesOf(mesh, 6)], [["model", 2], ["batch", 1]]);
  assert.equal(groupIndex(mesh, ["batch", "model"], 6), 6);
  assert.equal(groupIndex(mesh, ["model", "batch"], 6), 5);
  assert.deepEqual(groupOf(mesh, ["batch"], 6), [2, 6]);
  assert.deepEqual(groupOf(mesh, ["model", "batch"], 0), [0, 4, 1, 5, 2, 6, 3, 7]);
});

Deno.test("localType() and blockOf() give a device's part, the first mesh axis outermost", () => {
  const sharding = { dims: [["model", "batch"], []], partial: [] };
  assert.deepEqual(localType(kernel, sharding, mesh), { shape: [1, 6], dtype: "float32" });
  assert.deepEqual(blockOf(kernel, sharding, mesh, 6), { starts: [5, 0], shape: [1, 6] });
});

Deno.test("shardings are compared and printed", () => {
  assert.ok(isReplicated(replicated(2)));
  assert.ok(!isReplicated({ dims: [[]], partial: ["model"] }));
  assert.ok(sameSharding({ dims: [], partial: ["a", "b"] }, { dims: [], partial: ["b", "a"] }));
  assert.ok(!sameSharding({ dims: [["a", "b"]], partial: [] }, { dims: [["b", "a"]], partial: [] }));
  assert.equal(
    formatSharding({ dims: [["batch"], [], ["model", "data"]], partial: ["x"] }),
    "[batch, -, model+data] partial(x)",
  );
  const one = { axes: [{ name: "batch", size: 1 }, { name: "model", size: 2 }] };
  assert.deepEqual(withoutTrivialAxes({ dims: [["batch", "model"]], partial: [] }, one).dims, [["model"]]);
});

Deno.test("a sharding that does not fit says what would", () => {
  const refuse = (dims: string[][], message: string) =>
    assert.throws(() => checkSharding('"dense/kernel"', kernel, { dims, partial: [] }, mesh), {
      name: "RangeError",
      message,
    });
  refuse(
    [[], ["model"]],
    'Cannot shard "dense/kernel" axis 1 (6) over mesh axis "model" (4): 6 is not divisible by 4',
  );
  refuse([["model"], ["model"]], 'Cannot shard "dense/kernel" as [model, model]: mesh axis "model" is used twice');
  refuse([[]], 'Cannot shard "dense/kernel" as [-]: that names 1 axes, float32[8,6] has 2');
  assert.throws(() => axisSize(mesh, "modle"), {
    name: "RangeError",
    message: 'Cannot shard over mesh axis "modle": the mesh has axes "batch", "model"',
  });
});
