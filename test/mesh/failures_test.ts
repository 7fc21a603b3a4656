/** What goes wrong with meshes elsewhere: here it works, or fails with what is wrong before anything moves. */
import assert from "node:assert/strict";
import { assertAllClose } from "@tessera/core/testing";
import { hostTensor } from "@tessera/core";
import { distributeTensor, ShardedBuffer } from "@tessera/runtime";
import {
  adamW,
  CausalLM,
  createDataset,
  DataParallel,
  DeviceMesh,
  type Distribution,
  GemmaBackbone,
  LayoutMap,
  listDevices,
  ModelParallel,
  openBackend,
  setDistribution,
  TensorLayout,
  withDistribution,
} from "tessera";
import { assertFails } from "../support/failures.ts";
import { watchBuffers } from "../support/live_buffers.ts";
import { meshOf } from "../support/meshes.ts";
import { countingRows, examplesOf, golden, largestDifference, withFolder } from "../support/models.ts";

const backend = await openBackend("cpu", { threads: 1, deviceCount: 8 });
const folder = golden("gemma/gemma2_gqa");
const rows = countingRows([12, 12, 12, 12], 36);
const dataset = createDataset(examplesOf(rows), { batchSize: 4, buckets: [12] });

const published = (mesh: DeviceMesh<"batch" | "model">) =>
  new ModelParallel({ layoutMap: GemmaBackbone.getLayoutMap(mesh), batchDimName: "batch" });

function load(distribution: Distribution | null): Promise<CausalLM> {
  return CausalLM.fromPreset(folder, { backend, distribution });
}

function mapped(set: (map: LayoutMap<"batch" | "model">) => unknown): ModelParallel<"batch" | "model"> {
  const layoutMap = new LayoutMap(meshOf(backend, 2, 4));
  set(layoutMap);
  return new ModelParallel({ layoutMap, batchDimName: "batch" });
}

Deno.test("fromPreset() rejects a key that matches nothing and names the nearest path; nothing was loaded", async () => {
  const { backend: watched, live } = watchBuffers(backend);
  const distribution = mapped((map) => map.set("decoder_block.*atention.*query.kernel", ["model", null, null]));
  await assertFails(() => CausalLM.fromPreset(folder, { backend: watched, distribution }), TypeError, [
    "decoder_block.*atention.*query.kernel",
    /nearest is "decoder_block_\d\/attention\/query\/kernel"/,
  ]);
  assert.equal(live.size, 0);
});

Deno.test("fromPreset() rejects a key for an activation that there is not, and takes one that there is", async () => {
  const wrong = mapped((map) => map.set("decoder_blok_0/output", ["batch", "model", null]));
  await assertFails(() => load(wrong), TypeError, ["decoder_blok_0/output", 'nearest is "decoder_block_0/output"']);
  const right = mapped((map) => map.set("decoder_block_./output", ["batch", "model", null]));
  const [lm, one] = await Promise.all([load(right), load(null)]);
  const [found, wanted] = await Promise.all([lm, one].map((model) => model.score({ tokenIds: rows })));
  assert(largestDifference(found!, wanted!) < 1e-5);
});

Deno.test("two keys that match one path are an error that names both", async () => {
  const distribution = mapped((map) => map.set(".*query.kernel", ["model"]).set(".*attention.*kernel", ["model"]));
  await assertFails(() => load(distribution), TypeError, [".*query.kernel", ".*attention.*kernel", "at most one key"]);
});

Deno.test("axes that are unknown or named twice, and meshes of the wrong size, are errors where they are made", async () => {
  const devices = listDevices(backend);
  const mesh = meshOf(backend, 2, 4);
  const name = "modle" as "model";
  await assertFails(() => new LayoutMap(mesh).set("x", [name]), RangeError, ['"modle"', 'did you mean "model"']);
  await assertFails(() => new LayoutMap(mesh).set("x", ["model", "model"]), TypeError, ['"model"']);
  await assertFails(() => new DeviceMesh([2, 8], ["batch", "model"], devices), RangeError, ["16 devices, found 8"]);
  await assertFails(() => new DeviceMesh([2, 4], ["model", "model"], devices), TypeError, ['"model"']);
});

Deno.test("a mesh of devices that the backend lacks is an error that says how to open it", async () => {
  const mesh = new DeviceMesh([2, 8], ["batch", "model"], Array.from({ length: 16 }, (_, i) => `cpu:${i}`));
  await assertFails(() => load(new DataParallel({ mesh })), RangeError, ['"cpu:8"', "deviceCount: 16"]);
});

Deno.test("key/value heads that do not divide are an error, or are replicated when asked to", async () => {
  const mesh = meshOf(backend, 1, 4);
  await assertFails(() => load(published(mesh)), RangeError, ["key/kernel", "2 heads", '"model" (4)', "not divisible"]);
  const lm = await load(
    new ModelParallel({ layoutMap: GemmaBackbone.getLayoutMap(mesh), batchDimName: "batch", kvHeads: "replicate" }),
  );
  assert.match(lm.printSharding({ layer: "decoder_block_1" }), /key\/kernel .* PartitionSpec\(None, 'batch', None\)/);
});

Deno.test("one dimension is sharded over two axes, a mesh of two axes splits batches, and scalars are replicated", async () => {
  const distribution = mapped((map) => map.set(".*ffw_linear.kernel", [["model", "batch"], null]));
  const [lm, one] = await Promise.all([load(distribution), load(null)]);
  const value = lm.variables.find(({ path }) => path.endsWith("ffw_linear/kernel"))!.value as ShardedBuffer;
  assert.deepEqual(value.parts.map(({ type }) => type.shape), Array(8).fill([32, 8]));
  const [found, wanted] = await Promise.all([lm, one].map((model) => model.score({ tokenIds: rows })));
  assert(largestDifference(found!, wanted!) < 1e-5);
  const both = new DataParallel({ mesh: meshOf(backend, 2, 2) });
  assert.equal(both.numModelReplicas, 4);
  assert(both.getDataLayout([]).isReplicated);
});

Deno.test("a distribution that is set after a model was made, or loaded, or trained, moves it at the next use", async () => {
  const lm = await CausalLM.fromPreset(folder, { backend });
  const wanted = await lm.score({ tokenIds: rows });
  lm.compile({ optimizer: adamW({ learningRate: 1e-3 }) });
  const losses = async (model: CausalLM) => (await model.fit(dataset)).steps[0]!.loss;
  try {
    setDistribution(published(meshOf(backend, 2, 2)));
    assert(largestDifference(await lm.score({ tokenIds: rows }), wanted) < 1e-5);
    assert(lm.variables.every(({ value }) => value instanceof ShardedBuffer));
    const first = await losses(lm);
    // Slots move along, to a mesh of another shape and back to one device.
    setDistribution(new DataParallel({ mesh: meshOf(backend, 4, 1) }));
    const second = await losses(lm);
    setDistribution(null);
    const third = await losses(lm);
    assert(lm.variables.every(({ value }) => !(value instanceof ShardedBuffer)));
    const plain = await CausalLM.fromPreset(folder, { backend });
    plain.compile({ optimizer: adamW({ learningRate: 1e-3 }) });
    for (const loss of [first, second, third]) assert(Math.abs(await losses(plain) - loss) < 1e-5);
  } finally {
    setDistribution(null);
  }
});

Deno.test("adapters that are enabled before a distribution is set, or after, lie with their kernels", async () => {
  const distribution = published(meshOf(backend, 2, 2));
  const before = await CausalLM.fromPreset(folder, { backend });
  before.enableLora({ rank: 2, layout: "keras" });
  const after = await withDistribution(distribution, () => CausalLM.fromPreset(folder, { backend }));
  after.enableLora({ rank: 2, layout: "keras" });
  const layer = "decoder_block_0/attention/query";
  const expected = [
    /query\/kernel +\(4, 32, 12\) +PartitionSpec\('model', 'batch', None\)/,
    /lora_kernel_a +\(4, 32, 2\) +PartitionSpec\('model', None, None\)/,
    /lora_kernel_b +\(2, 12\) +PartitionSpec\(None, None\)/,
  ];
  for (const lm of [before, after]) {
    const text = withDistribution(distribution, () => lm.printSharding({ layer }));
    for (const line of expected) assert.match(text, line);
  }
});

Deno.test("accumulated gradients, merging, adapters and saving are the same on a mesh", async () => {
  const results = await Promise.all(
    [null, published(meshOf(backend, 2, 2))].map((distribution) =>
      withFolderOf(async (path) => {
        const lm = await load(distribution);
        lm.enableLora({ rank: 2, layout: "peft" });
        lm.compile({ optimizer: adamW({ learningRate: 1e-2 }), gradientAccumulationSteps: 2 });
        const halves = createDataset(examplesOf(rows), { batchSize: 2, buckets: [12] });
        const { steps } = await lm.fit(halves, { epochs: 2 });
        await lm.saveAdapter(`${path}/adapter`);
        const other = await load(distribution);
        await other.loadAdapter(`${path}/adapter`);
        const adapted = await other.score({ tokenIds: rows });
        await lm.mergeLora();
        await lm.saveToPreset(`${path}/model`);
        const merged = await CausalLM.fromPreset(`${path}/model`, { backend, distribution: null });
        return { losses: steps.map(({ loss }) => loss), adapted, merged: await merged.score({ tokenIds: rows }) };
      })
    ),
  );
  const [one, mesh] = results as [typeof results[0], typeof results[0]];
  assertAllClose(mesh.losses, one.losses, { absolute: 0, relative: 1e-5 });
  for (const what of ["adapted", "merged"] as const) {
    assert(largestDifference(mesh[what], one[what]) < 3e-5, what);
    assert(largestDifference(mesh.adapted, mesh[what]) < 3e-5, what);
  }
});

async function withFolderOf<T>(run: (path: string) => Promise<T>): Promise<T> {
  let result: T;
  await withFolder(async (path) => {
    result = await run(path);
  });
  return result!;
}

Deno.test("distributeTensor() splits one tensor as a layout says", async () => {
  const mesh = meshOf(backend, 2, 4);
  const tensor = hostTensor("int32", [4, 2], Int32Array.from([0, 1, 2, 3, 4, 5, 6, 7]));
  const buffer = distributeTensor(tensor, new TensorLayout(["model", "batch"], mesh), backend);
  const parts = await Promise.all(buffer.parts.map((part) => part.read()));
  assert.deepEqual(parts.map(({ data }) => [...data]), [[0], [2], [4], [6], [1], [3], [5], [7]]);
  assert.deepEqual(await buffer.read(), tensor);
});
