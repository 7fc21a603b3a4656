/** What adapters do to a model: nothing at first, then what they learned; merged, unloaded, accumulated. */
import assert from "node:assert/strict";
import { hostTensor, toFloat32 } from "@tessera/core";
import { loraAdapters } from "@tessera/lora";
import { adamW, type CausalLM, createDataset, type LoraOptions, openBackend } from "tessera";
import { countingRows, examplesOf, largestDifference, tinyModel, withFolder } from "../support/models.ts";

const backend = await openBackend("cpu");
const tokenIds = hostTensor("int32", [2, 16], Int32Array.from({ length: 32 }, (_, i) => (i * 13 + 7) % 480));
const everyLayer = ["query", "key", "value", "attention_output", "ffw_gating", "ffw_gating_2", "ffw_linear"];

async function trainBriefly(lm: CausalLM, epochs = 6): Promise<{ first: number; last: number }> {
  const dataset = createDataset(examplesOf(countingRows([16, 12, 16, 9])), { batchSize: 4, buckets: [16] });
  lm.compile({ optimizer: adamW({ learningRate: 2e-2 }) });
  const { steps } = await lm.fit(dataset, { epochs });
  return { first: steps[0]!.loss, last: steps.at(-1)!.loss };
}

/** Values of all variables by path. */
async function valuesOf(lm: CausalLM): Promise<Map<string, Float32Array>> {
  const entries = lm.variables.map(async ({ path, value }) => [path, toFloat32(await value!.read())] as const);
  return new Map(await Promise.all(entries));
}

function largestChange(before: Map<string, Float32Array>, after: Map<string, Float32Array>): number {
  assert.deepEqual([...after.keys()], [...before.keys()]);
  let largest = 0;
  for (const [path, values] of before) {
    const others = after.get(path)!;
    values.forEach((value, i) => largest = Math.max(largest, Math.abs(value - others[i]!)));
  }
  return largest;
}

const kinds: Readonly<Record<string, LoraOptions>> = {
  "Keras's layout": { rank: 3 },
  "Keras's layout on every layer, alpha 7": { rank: 2, alpha: 7, targets: everyLayer },
  "PEFT's layout": { rank: 3, layout: "peft" },
  "PEFT's layout on every layer, alpha 7": { rank: 2, alpha: 7, targets: everyLayer, layout: "peft" },
};

for (const [kind, options] of Object.entries(kinds)) {
  Deno.test(`${kind}: a fresh adapter changes nothing, a trained one does, merging keeps and unloading drops that`, async () => {
    const lm = tinyModel(backend);
    const base = await lm.score({ tokenIds });
    lm.enableLora(options);
    assert.deepEqual(await lm.score({ tokenIds }), base);
    const frozen = await valuesOf(lm);
    const { first, last } = await trainBriefly(lm);
    assert(last < first - 0.5, `the loss goes from ${first} to ${last} only`);
    const trained = await lm.score({ tokenIds });
    assert(largestDifference(trained, base) > 0.1);
    for (const [path, values] of await valuesOf(lm)) {
      if (!path.includes("lora")) assert.deepEqual(values, frozen.get(path), `${path} was frozen`);
    }

    await lm.mergeLora();
    const merged = await lm.score({ tokenIds });
    assert(largestDifference(merged, trained) <= 1e-4, `merging moves logits by ${largestDifference(merged, trained)}`);
    lm.dispose();
  });

  Deno.test(`${kind}: unloading gives the base model back, exactly`, async () => {
    const lm = tinyModel(backend);
    const [base, values] = [await lm.score({ tokenIds }), await valuesOf(lm)];
    lm.enableLora(options);
    await trainBriefly(lm, 2);
    lm.unloadLora();
    assert.deepEqual(await lm.score({ tokenIds }), base);
    assert.equal(largestChange(values, await valuesOf(lm)), 0);
    assert(lm.variables.every(({ trainable }) => trainable));
    lm.dispose();
  });
}

Deno.test("enableLora() can follow a merge, and starts from the merged model", async () => {
  const lm = tinyModel(backend);
  lm.enableLora({ rank: 2, layout: "peft" });
  await trainBriefly(lm);
  await lm.mergeLora();
  const merged = await lm.score({ tokenIds });
  lm.enableLora({ rank: 4, layout: "keras" });
  assert.deepEqual(await lm.score({ tokenIds }), merged);
  const { first, last } = await trainBriefly(lm, 3);
  assert(last < first);
  lm.dispose();
});

Deno.test("alpha scales what an adapter adds, by alpha over rank", async () => {
  const deltas: Float32Array[] = [];
  for (const alpha of [2, 6]) {
    const lm = tinyModel(backend, { attentionLogitSoftCap: null, finalLogitSoftCap: null });
    // An adapter on the last layer acts almost linearly on what a norm makes of it, so its delta itself is compared.
    lm.enableLora({ rank: 2, alpha, targets: ["ffw_linear"], layout: "peft" });
    const { adapter } = loraAdapters(lm).at(-1)!;
    const b = adapter.b.stored;
    adapter.b.value!.dispose();
    adapter.b.value = backend.upload(hostTensor("float32", b.shape, new Float32Array(64).fill(0.1)));
    const before = toFloat32(await lm.denses.at(-1)!.kernel.value!.read());
    await lm.mergeLora();
    const after = toFloat32(await lm.denses.at(-1)!.kernel.value!.read());
    deltas.push(after.map((value, i) => value - before[i]!));
    lm.dispose();
  }
  const [small, large] = deltas as [Float32Array, Float32Array];
  assert(Math.max(...small.map(Math.abs)) > 0.01);
  small.forEach((value, i) => assert(Math.abs(3 * value - large[i]!) < 1e-6));
});

Deno.test("a regular expression adapts some layers only, and the saved adapter names them in full", async () => {
  const lm = tinyModel(backend);
  lm.enableLora({ rank: 2, layout: "peft", targets: [/decoder_block_1\/attention\/.*/g, "ffw_linear"] });
  assert.deepEqual(loraAdapters(lm).map(({ layer }) => layer.path), [
    "decoder_block_0/ffw_linear",
    ...["query", "key", "value", "attention_output"].map((name) => `decoder_block_1/attention/${name}`),
    "decoder_block_1/ffw_linear",
  ]);
  await withFolder(async (folder) => {
    await lm.saveAdapter(folder);
    const { target_modules } = JSON.parse(await Deno.readTextFile(`${folder}/adapter_config.json`));
    // PEFT would otherwise adapt the modules of block 0, too, for which the file has nothing.
    const inBlock1 = ["k_proj", "o_proj", "q_proj", "v_proj"].map((name) => `model.layers.1.self_attn.${name}`);
    assert.deepEqual(target_modules, ["down_proj", ...inBlock1]);
  });
  lm.dispose();
});

for (const full of [false, true]) {
  const what = full ? "all weights" : "an adapter";
  Deno.test(`gradient accumulation over unequal batches trains ${what} as one big batch does`, async () => {
    const examples = examplesOf(countingRows([30, 3, 25, 5, 2, 31]));
    const runs = [{ batchSize: 6, every: 1, buckets: [32] }, { batchSize: 1, every: 6, buckets: [4, 32] }];
    const [big, small] = await Promise.all(runs.map(async ({ batchSize, every, buckets }) => {
      const lm = tinyModel(backend);
      if (!full) lm.enableLora({ rank: 2, targets: everyLayer });
      // A large epsilon: AdamW else blows rounding errors up to steps of the learning rate.
      const optimizer = adamW({ learningRate: 1e-2, epsilon: 1e-2, globalClipNorm: 0.5 });
      lm.compile({ optimizer, gradientAccumulationSteps: every });
      const { steps } = await lm.fit(createDataset(examples, { batchSize, buckets }), { epochs: 3 });
      const values = await valuesOf(lm);
      lm.dispose();
      return { steps, values };
    }));
    assert.equal(big!.steps.length, 3);
    assert.equal(small!.steps.length, 3);
    small!.steps.forEach(({ loss, gradientNorm, tokens }, i) => {
      assert(Math.abs(loss - big!.steps[i]!.loss) <= 1e-5, `loss ${loss}, expected ${big!.steps[i]!.loss}`);
      assert(Math.abs(gradientNorm - big!.steps[i]!.gradientNorm) <= 1e-5 * gradientNorm);
      assert.equal(tokens, 96);
    });
    assert(big!.steps[2]!.loss < big!.steps[0]!.loss);
    const off = largestChange(big!.values, small!.values);
    assert(off <= 1e-5, `weights differ by ${off}`);
  });
}

for (const dtype of ["bfloat16", "mixed_bfloat16", "float16"] as const) {
  Deno.test(`an adapter trains, merges and is saved on a model of dtype policy ${dtype}`, async () => {
    const lm = tinyModel(backend, {}, { dtype });
    lm.enableLora({ rank: 3, layout: "peft" });
    assert(lm.variables.every((variable) => !variable.path.includes("lora") || variable.dtype === "float32"));
    const { first, last } = await trainBriefly(lm);
    assert(last < first - 0.5, `the loss goes from ${first} to ${last} only`);
    const trained = await lm.score({ tokenIds });
    await withFolder(async (folder) => {
      await lm.saveAdapter(folder);
      await lm.loadAdapter(folder);
      assert.deepEqual(await lm.score({ tokenIds }), trained);
    });
    await lm.mergeLora();
    // The kernels round what is added to them.
    const off = largestDifference(await lm.score({ tokenIds }), trained);
    assert(off <= (dtype === "float16" ? 0.03 : 0.2), `merging moves logits by ${off}`);
    lm.dispose();
  });

  Deno.test(`all weights train on a model of dtype policy ${dtype}`, async () => {
    const lm = tinyModel(backend, {}, { dtype });
    const { first, last } = await trainBriefly(lm, 8);
    assert(last < first - 0.5, `the loss goes from ${first} to ${last} only`);
    lm.dispose();
  });
}
