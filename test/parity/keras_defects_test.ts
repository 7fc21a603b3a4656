/** Failures of Keras that no other test would see: adapters that never train again after loading, and labels above 256 in bfloat16. */
import assert from "node:assert/strict";
import { toFloat32 } from "@tessera/core";
import { adamW, createDataset, openBackend } from "tessera";
import { countingRows, examplesOf, tinyModel, withFolder } from "../support/models.ts";

const backend = await openBackend("cpu");

Deno.test("an adapter that was loaded trains on, in both of its factors", async () => {
  await withFolder(async (folder) => {
    const lm = tinyModel(backend);
    lm.enableLora({ rank: 2, layout: "peft" });
    lm.compile({ optimizer: adamW({ learningRate: 1e-2 }) });
    const dataset = createDataset(examplesOf(countingRows([12, 12])), { batchSize: 2, buckets: [12] });
    await lm.fit(dataset, { epochs: 2 });
    await lm.saveAdapter(`${folder}/adapter`);
    lm.dispose();

    const again = tinyModel(backend);
    await again.loadAdapter(`${folder}/adapter`);
    const factors = again.variables.filter(({ trainable }) => trainable);
    assert(factors.length > 0);
    const read = () => Promise.all(factors.map(async ({ value }) => toFloat32(await value!.read())));
    const before = await read();
    again.compile({ optimizer: adamW({ learningRate: 1e-2 }) });
    const { steps } = await again.fit(dataset, { epochs: 3 });
    assert(steps.at(-1)!.loss < steps[0]!.loss);
    for (const [i, values] of (await read()).entries()) {
      assert(before[i]!.some((value) => value !== 0), `${factors[i]} was loaded as zeros`);
      assert(values.some((value, j) => value !== before[i]![j]), `${factors[i]} was not trained`);
    }
    again.dispose();
  });
});

Deno.test("labels above 256 and counts above 256 are exact in bfloat16", async () => {
  const lm = tinyModel(backend, { vocabularySize: 700 }, { dtype: "bfloat16", text: { contextLength: 400 } });
  // Neighbors that bfloat16 would round to one number.
  const rows = [513, 514, 515].map((token) => Array.from({ length: 300 }, (_, t) => t % 2 === 0 ? 5 : token));
  const losses = await lm.score({ tokenIds: rows, mode: "loss" });
  for (const [row, tokenIds] of rows.entries()) {
    const evaluation = await lm.evaluate(createDataset(examplesOf([tokenIds]), { batchSize: 1, buckets: [300] }));
    assert.equal(evaluation.tokens, 299);
    const found = losses.data.subarray(row * 300, (row + 1) * 300);
    const mean = found.reduce((sum, loss) => sum + loss, 0) / 299;
    assert(Math.abs(evaluation.loss - mean) < 1e-3 * mean, `row ${row}: ${evaluation.loss}, ${mean}`);
    const others = rows.filter((_, other) => other !== row).map((_, i) => losses.data[(i < row ? i : i + 1) * 300 + 1]);
    assert(others.every((loss) => loss !== found[1]), "neighboring labels must have other losses");
  }
  lm.dispose();
});
