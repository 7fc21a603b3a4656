import assert from "node:assert/strict";
import { DeviceMesh, virtualDevices } from "./device_mesh.ts";
import { DataParallel, distribution, ModelParallel, setDistribution, withDistribution } from "./distribution.ts";
import { LayoutMap } from "./layout_map.ts";

const mesh = new DeviceMesh([2, 8], ["batch", "model"], virtualDevices(16));
const layoutMap = new LayoutMap(mesh)
  .set("decoder_block.*attention.*(query|key|value).kernel", ["model", "batch", null])
  .set("decoder_block.*/output", ["batch", null, "model"]);

Deno.test("ModelParallel lays variables out as the map says and replicates the rest", () => {
  const parallel = new ModelParallel({ layoutMap, batchDimName: "batch" });
  assert.equal(parallel.mesh, mesh);
  assert.equal(parallel.numModelReplicas, 2);
  const query = { path: "decoder_block_0/attention/query/kernel", shape: [16, 3072, 256] };
  assert.deepEqual(parallel.getVariableLayout(query).dims, [["model"], ["batch"], []]);
  const scale = parallel.getVariableLayout({ path: "final_normalization/scale", shape: [3072] });
  assert.equal(String(scale), "PartitionSpec(None,)");
  assert.deepEqual(parallel.getTensorLayout("decoder_block_0/output")!.dims, [["batch"], [], ["model"]]);
  assert.equal(parallel.getTensorLayout("final_normalization/output"), undefined);
});

Deno.test("ModelParallel shards batches over the first axis unless another is named", () => {
  assert.deepEqual(new ModelParallel({ layoutMap }).getDataLayout([4, 512]).dims, [["batch"], []]);
  assert.equal(new ModelParallel({ layoutMap, batchDimName: "model" }).numModelReplicas, 8);
  const both = new ModelParallel({ layoutMap, batchDimName: ["batch", "model"] });
  assert.deepEqual(both.getDataLayout([16, 512]).dims, [["batch", "model"], []]);
  assert.equal(both.numModelReplicas, 16);
});

Deno.test("ModelParallel replicates an entry of a batch that is a scalar", () => {
  assert.deepEqual(new ModelParallel({ layoutMap }).getDataLayout([]).dims, []);
});

Deno.test("ModelParallel checks the batch axis when it is made", () => {
  assert.throws(
    // @ts-expect-error the mesh has no such axis
    () => new ModelParallel({ layoutMap, batchDimName: "bacth" }),
    {
      message: 'Cannot shard batches over mesh axis "bacth": the mesh has the axes "batch" (2), "model" (8) and no ' +
        '"bacth", did you mean "batch"?',
    },
  );
  assert.throws(() => new ModelParallel({ layoutMap, batchDimName: [] }), /name one of the mesh axes/);
});

Deno.test("ModelParallel rejects options that it does not know", () => {
  assert.throws(
    // @ts-expect-error no such option
    () => new ModelParallel({ layoutMap, batch_dim_name: "batch" }),
    { message: 'Cannot make model parallelism: "batch_dim_name" is not an option; did you mean "batchDimName"?' },
  );
});

Deno.test("ModelParallel replicates key/value heads that do not divide where it is told so", () => {
  const key = { path: "decoder_block_0/attention/key/kernel", shape: [4, 2304, 256] };
  assert.throws(() => new ModelParallel({ layoutMap }).getVariableLayout(key), /4 is not divisible by 8/);
  const parallel = new ModelParallel({ layoutMap, kvHeads: "replicate" });
  assert.deepEqual(parallel.getVariableLayout(key).dims, [[], ["batch"], []]);
  parallel.check([key]);
});

Deno.test("DataParallel of devices replicates variables and shards batches", () => {
  const parallel = new DataParallel({ devices: virtualDevices(4) });
  assert.deepEqual(parallel.mesh.axes, [{ name: "batch", size: 4 }]);
  assert.equal(parallel.numModelReplicas, 4);
  assert.deepEqual(parallel.getDataLayout([8, 512]).dims, [["batch"], []]);
  assert.deepEqual(parallel.getDataLayout([]).dims, []);
  assert(parallel.getVariableLayout({ path: "a/kernel", shape: [3, 5] }).isReplicated);
});

Deno.test("DataParallel of a mesh with two axes shards batches over both, or over the one that is named", () => {
  const all = new DataParallel({ mesh });
  assert.equal(all.numModelReplicas, 16);
  assert.deepEqual(all.getDataLayout([32, 512]).dims, [["batch", "model"], []]);
  const one = new DataParallel({ mesh, batchDimName: "batch" });
  assert.equal(one.numModelReplicas, 2);
  assert.deepEqual(one.getDataLayout([32, 512]).dims, [["batch"], []]);
});

Deno.test("withDistribution() sets the earlier distribution again, whatever happens", async () => {
  const [outer, inner] = [new DataParallel({ mesh }), new ModelParallel({ layoutMap })];
  assert.equal(distribution(), null);
  setDistribution(outer);
  try {
    assert.equal(withDistribution(inner, () => distribution()), inner);
    assert.equal(distribution(), outer);
    assert.throws(() =>
      withDistribution(inner, () => {
        throw new Error("Stop");
      }), /Stop/);
    assert.equal(distribution(), outer);
    const later = withDistribution(inner, async () => {
      await Promise.resolve();
      return distribution();
    });
    assert.equal(distribution(), inner);
    assert.equal(await later, inner);
    assert.equal(distribution(), outer);
  } finally {
    setDistribution(null);
  }
});
