/** Gemma 4 checkpoints with towers for images and sound: only the text decoder is loaded. */
import assert from "node:assert/strict";
import { adamW, CausalLM, createDataset, openBackend } from "tessera";
import { assertLikeTransformers } from "../support/goldens.ts";
import { countingRows, examplesOf, golden, largestDifference, withFolder } from "../support/models.ts";

const backend = await openBackend("cpu");
const rows = countingRows([12, 12], 36);

/** The modules of the towers, and how many tensors they hold. */
const cases = {
  "gemma4/gemma4_with_towers_published": [
    99,
    '"model.audio_tower", "model.embed_audio", "model.embed_vision", "model.vision_tower"',
  ],
  "gemma4/gemma4_unified_with_towers_published": [
    11,
    '"model.embed_audio", "model.embed_vision", "model.vision_embedder"',
  ],
} as const;

for (const [name, [count, modules]] of Object.entries(cases)) {
  Deno.test(`${name} gives texts the logits and the greedy tokens of Transformers, and says what is left out`, async () => {
    const warnings: string[] = [];
    await assertLikeTransformers(backend, name, 2e-4, { onWarning: (message) => warnings.push(message) });
    assert.deepEqual(warnings, [
      `"${
        golden(name)
      }" is loaded without its towers for images and sound: ${count} tensors of ${modules} are left out`,
    ]);
  });

  Deno.test(`${name} is saved without its towers, and then loads without a warning`, async () => {
    await withFolder(async (folder) => {
      const lm = await CausalLM.fromPreset(golden(name), { backend, onWarning: () => {} });
      const before = await lm.score({ tokenIds: rows });
      await lm.saveToPreset(folder);
      lm.dispose();
      const config = JSON.parse(await Deno.readTextFile(`${folder}/config.json`));
      assert.deepEqual([config.vision_config, config.audio_config], [null, null]);
      const saved = await CausalLM.fromPreset(folder, { backend, onWarning: assert.fail });
      assert.equal(largestDifference(await saved.score({ tokenIds: rows }), before), 0);
      saved.dispose();
    });
  });

  Deno.test(`${name}: an adapter names modules in full, as towers have modules of the same last names`, async () => {
    await withFolder(async (folder) => {
      const load = () => CausalLM.fromPreset(golden(name), { backend, onWarning: () => {} });
      const lm = await load();
      lm.enableLora({ rank: 2, layout: "peft", targets: "query" });
      lm.compile({ optimizer: adamW({ learningRate: 1e-2 }) });
      await lm.fit(createDataset(examplesOf(rows), { batchSize: 2 }), { epochs: 3 });
      const trained = await lm.score({ tokenIds: rows });
      await lm.saveAdapter(folder);
      lm.dispose();
      const { target_modules: targets } = JSON.parse(await Deno.readTextFile(`${folder}/adapter_config.json`));
      const layers = Array.from({ length: 4 }, (_, i) => `model.language_model.layers.${i}.self_attn.q_proj`);
      assert.deepEqual(targets, layers);
      const again = await load();
      await again.loadAdapter(folder);
      assert.equal(largestDifference(await again.score({ tokenIds: rows }), trained), 0);
      again.dispose();
    });
  });
}
