import assert from "node:assert/strict";
import { DeviceMesh, virtualDevices } from "./device_mesh.ts";
import { formatSpec, TensorLayout } from "./tensor_layout.ts";

const mesh = new DeviceMesh([2, 8], ["batch", "model"], virtualDevices(16));

Deno.test("TensorLayout gives a sharding of the tensor's rank, trailing dimensions whole", () => {
  const layout = new TensorLayout(["model", null], mesh);
  assert.deepEqual(layout.sharding(3), { dims: [["model"], [], []], partial: [] });
  assert.equal(layout.isReplicated, false);
});

Deno.test("TensorLayout shards one dimension over two axes, the first outermost", () => {
  const layout = new TensorLayout([null, ["batch", "model"]], mesh);
  assert.deepEqual(layout.sharding(2), { dims: [[], ["batch", "model"]], partial: [] });
  assert.equal(String(layout), "PartitionSpec(None, ('batch', 'model'))");
});

Deno.test("TensorLayout of axes of size one is replicated", () => {
  const flat = new DeviceMesh([1, 8], ["batch", "model"], virtualDevices(8));
  assert(new TensorLayout(["batch", null], flat).isReplicated);
});

Deno.test("TensorLayout rejects unknown axes, at compile time and when it runs", () => {
  assert.throws(
    // @ts-expect-error the mesh has no such axis
    () => new TensorLayout(["modle", null], mesh),
    {
      name: "RangeError",
      message:
        `Cannot lay a tensor out as PartitionSpec('modle', None): the mesh has the axes "batch" (2), "model" (8) ` +
        `and no "modle", did you mean "model"?`,
    },
  );
});

Deno.test("TensorLayout rejects an axis that is used twice", () => {
  const message = /mesh axis "model" can split only one dimension, once/;
  assert.throws(() => new TensorLayout(["model", "model"], mesh), message);
  assert.throws(() => new TensorLayout([["model", "model"]], mesh), message);
});

Deno.test("TensorLayout rejects a tensor with fewer dimensions than entries", () => {
  assert.throws(
    () => new TensorLayout(["model", null, null], mesh).sharding(2),
    /rank 2 out as PartitionSpec\('model', None, None\): the layout has 3 entries/,
  );
});

Deno.test("formatSpec() prints as JAX does", () => {
  assert.equal(formatSpec({ dims: [["model"], [], []], partial: [] }), "PartitionSpec('model', None, None)");
  assert.equal(formatSpec({ dims: [[]], partial: [] }), "PartitionSpec(None,)");
  assert.equal(formatSpec({ dims: [], partial: [] }), "PartitionSpec()");
  assert.equal(formatSpec({ dims: [[], []], partial: ["model"] }), "PartitionSpec(None, None, unreduced={'model'})");
});
