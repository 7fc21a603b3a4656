/** A sharded key/value cache that grows while it is generated from: tokens are those of one device. */
import assert from "node:assert/strict";
import { CausalLM, Llama3Backbone, ModelParallel, openBackend } from "tessera";
import { watchBuffers } from "../support/live_buffers.ts";
import { distributions, meshOf } from "../support/meshes.ts";
import { countingRows, tinyLlama, tinyModel, withFolder } from "../support/models.ts";

const one = await openBackend("cpu", { threads: 1 });
const { backend: many, live } = watchBuffers(await openBackend("cpu", { threads: 1, deviceCount: 4 }));

/** The longer row passes 256 tokens, where caches begin, early on; the shorter one after the cache has grown. */
const prompts = countingRows([3, 240]);
const options = { maxNewTokens: 270, stopTokenIds: [] };
const text = { contextLength: 600, eosTokenIds: [] };
const published = distributions["the published map"]!;
const makers = {
  Gemma: { make: tinyModel, distribute: published },
  Llama: {
    make: tinyLlama,
    distribute: (mesh: Parameters<typeof published>[0]) =>
      new ModelParallel({ layoutMap: Llama3Backbone.getLayoutMap(mesh), batchDimName: "batch", kvHeads: "replicate" }),
  },
} as const;

for (const [name, { make, distribute }] of Object.entries(makers)) {
  Deno.test(`${name}'s cache grows on meshes as on one device`, async () => {
    await withFolder(async (folder) => {
      const lm = make(one, {}, { text });
      await lm.saveToPreset(folder);
      const wanted = await lm.generateTokens(prompts, options);
      lm.dispose();
      for (const [batch, model] of [[1, 2], [2, 1], [2, 2]] as const) {
        const distribution = distribute(meshOf(many, batch, model));
        const sharded = await CausalLM.fromPreset(folder, { backend: many, distribution });
        const held: number[] = [];
        const onProgress = () => void held.push(live.size);
        assert.deepEqual(
          await sharded.generateTokens(prompts, { ...options, onProgress }),
          wanted,
          `${batch}×${model}`,
        );
        // Nothing of the shorter cache is left over, nor anything of a step; the first compiled the program of the others.
        assert.equal(new Set(held.slice(1)).size, 1, `${held} buffers are held while tokens are generated`);
        sharded.dispose();
      }
    });
  });
}
