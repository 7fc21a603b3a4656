/** Opening a model without its weights, and loading it afterwards. */
import assert from "node:assert/strict";
import { CausalLM, enableLora, openBackend, openPreset } from "tessera";
import { countingRows, golden, largestDifference } from "../support/models.ts";

const backend = await openBackend("cpu");
const folder = golden("gemma/gemma2_gqa");
const tokenIds = countingRows([10, 10], 36);

Deno.test("openPreset() and its load() give what fromPreset() gives", async () => {
  using direct = await CausalLM.fromPreset(folder, { backend });
  const opened = await openPreset(folder);
  assert.equal(opened.backbone.variables.some(({ value }) => value !== null), false);
  using lm = await opened.load({ backend });
  assert.equal(lm.backbone, opened.backbone);
  assert.equal(largestDifference(await lm.score({ tokenIds }), await direct.score({ tokenIds })), 0);
});

Deno.test("what was opened can be adapted before it is loaded, and loaded again beside itself", async () => {
  const opened = await openPreset(folder);
  enableLora(opened.backbone, { rank: 2 });
  using first = await opened.load({ backend });
  using second = await opened.load({ backend });
  assert.equal(first.variables.filter(({ trainable }) => trainable).length > 0, true);
  assert(first.variables.every(({ value }) => value !== null));
  // The second is as the files are; an adapter that was not trained changes nothing.
  assert.notEqual(second.backbone, opened.backbone);
  assert.equal(second.variables.some(({ path }) => path.includes("lora")), false);
  assert(largestDifference(await first.score({ tokenIds }), await second.score({ tokenIds })) < 1e-6);
});

Deno.test("load() stores in fewer bits what was opened in floats", async () => {
  using lm = await (await openPreset(folder)).load({ backend, quantize: "int8" });
  assert(lm.variables.some(({ quantization }) => quantization?.name === "int8"));
});
