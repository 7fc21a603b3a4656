/** Searches and long texts on a mesh: rows move between devices and caches grow there, and the tokens are those of one device. */
import assert from "node:assert/strict";
import { CausalLM, type GenerateOptions, openBackend } from "tessera";
import { distributions, meshOf } from "../support/meshes.ts";
import { countingRows, golden } from "../support/models.ts";

const one = await openBackend("cpu", { threads: 1 });
const many = await openBackend("cpu", { threads: 1, deviceCount: 4 });
const prompts = countingRows([11, 4], 36);

const searches: Readonly<Record<string, GenerateOptions>> = {
  "beam search": { numBeams: 4 },
  "contrastive search": { penaltyAlpha: 0.6, topK: 4 },
  "a draw": { temperature: 1.5, topP: 0.95, seed: 3 },
};

for (const [name, make] of Object.entries(distributions)) {
  for (const [batch, model] of [[1, 2], [2, 1], [2, 2]] as const) {
    Deno.test(`${name} on ${batch}×${model}: searches give the tokens of one device`, async (t) => {
      const distribution = make(meshOf(many, batch, model));
      const alone = await CausalLM.fromPreset(golden("gemma/gemma2_gqa"), { backend: one, distribution: null });
      const lm = await CausalLM.fromPreset(golden("gemma/gemma2_gqa"), { backend: many, distribution });
      for (const [search, options] of Object.entries(searches)) {
        await t.step(search, async () => {
          const settings = { ...options, maxNewTokens: 8, stopTokenIds: [] };
          assert.deepEqual(
            await lm.generateTokens(prompts, settings),
            await alone.generateTokens(prompts, settings),
          );
        });
      }
      lm.dispose();
      alone.dispose();
    });
  }
}
