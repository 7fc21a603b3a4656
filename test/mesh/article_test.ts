/** The article's example, line by line: Gemma 2 on sixteen virtual devices, two rows of eight. */
import assert from "node:assert/strict";
import {
  adamW,
  createDataset,
  DeviceMesh,
  GemmaBackbone,
  GemmaCausalLM,
  LayoutMap,
  listDevices,
  ModelParallel,
  openBackend,
  setDistribution,
} from "tessera";
import { countingRows, examplesOf, tinyModel, withFolder } from "../support/models.ts";

const dataset = createDataset(examplesOf(countingRows([8, 8])), { batchSize: 2, buckets: [8] });

Deno.test("the article's example runs on 16 virtual devices, and prints the article's listings", async () => {
  await withFolder(async (preset) => {
    const backend = await openBackend("cpu", { threads: 1, deviceCount: 16 });
    const small = tinyModel(backend, { vocabularySize: 64, numQueryHeads: 8, numKeyValueHeads: 8 });
    await small.saveToPreset(preset);
    small.dispose();

    const devices = listDevices(backend);
    const deviceMesh = new DeviceMesh([2, 8], ["batch", "model"], devices);
    const layoutMap = GemmaBackbone.getLayoutMap(deviceMesh);
    const modelParallel = new ModelParallel({ layoutMap, batchDimName: "batch" });
    setDistribution(modelParallel);
    try {
      const gemma2 = await GemmaCausalLM.fromPreset(preset, { backend });
      gemma2.compile({ optimizer: adamW({ learningRate: 1e-3 }) });
      const text = gemma2.printSharding({ layer: "decoder_block_1" });
      for (
        const line of [
          "decoder_block_1/attention/query/kernel (8, 32, 12) PartitionSpec('model', 'batch', None)",
          "decoder_block_1/ffw_gating/kernel (32, 48) PartitionSpec('batch', 'model')",
          "decoder_block_1/pre_ffw_norm/scale (32,) PartitionSpec(None,)",
          "adamw/decoder_block_1_attention_query_kernel_momentum (8, 32, 12) PartitionSpec('model', 'batch', None)",
          "adamw/decoder_block_1_attention_query_kernel_velocity (8, 32, 12) PartitionSpec('model', 'batch', None)",
        ]
      ) assert(text.replaceAll(/ +/g, " ").split("\n").includes(line), `${line} is not in\n${text}`);

      gemma2.enableLora({ rank: 4, layout: "keras" });
      const { steps } = await gemma2.fit(dataset, { epochs: 3 });
      assert(steps.at(-1)!.loss < steps[0]!.loss);
      gemma2.dispose();
    } finally {
      setDistribution(null);
    }
  });
});

Deno.test("a map in the article's own words says the same of the query kernel", () => {
  const devices = Array.from({ length: 16 }, (_, i) => `cpu:${i}`);
  const mesh = new DeviceMesh([2, 8], ["data", "model"], devices);
  const layoutMap = new LayoutMap(mesh)
    .set("token_embedding/embeddings", ["model", "data"])
    .set("decoder_block.*attention.*(query|key|value).kernel", ["model", "data", null])
    .set("decoder_block.*attention_output.kernel", ["model", null, "data"]);
  assert.equal(
    String(layoutMap.get("decoder_block_1/attention/query/kernel")),
    "PartitionSpec('model', 'data', None)",
  );
});
