/** Gemma 3 with images against Transformers: small random checkpoints, made by `test/oracle/make_gemma3_vision.py`. */
import assert from "node:assert/strict";
import { imageTensor } from "@tessera/train";
import { CausalLM, ModelParallel, openBackend } from "tessera";
import { assertGemma3Vision, readGemma3Golden } from "../support/gemma3_goldens.ts";
import { meshOf } from "../support/meshes.ts";
import { golden, largestDifference, withFolder } from "../support/models.ts";

const backend = await openBackend("cpu", { threads: 1 });
const many = await openBackend("cpu", { threads: 1, deviceCount: 4 });
const names = [...Deno.readDirSync(golden("gemma3_vision"))].map(({ name }) => name).sort();
assert(names.length >= 4);

for (const name of names) {
  const folder = golden(`gemma3_vision/${name}`);

  Deno.test(
    `${name} has the logits, the loss and the greedy tokens of Transformers`,
    () => assertGemma3Vision(backend, folder, 2e-4),
  );

  Deno.test(`${name} is the same after it has been saved and loaded`, async () => {
    await withFolder(async (saved) => {
      const { file, tokenIds, images } = await readGemma3Golden(folder);
      file.close();
      const scored = async (from: string) => {
        const lm = await CausalLM.fromPreset(from, { backend });
        const logits = await lm.score({ tokenIds, images: imageTensor(images) });
        if (from !== saved) await lm.saveToPreset(saved);
        lm.dispose();
        return logits;
      };
      const before = await scored(folder);
      assert.equal(largestDifference(await scored(saved), before), 0);
    });
  });
}

Deno.test("on 2×2: logits, loss and greedy tokens are those of Transformers", async () => {
  await assertGemma3Vision(many, golden("gemma3_vision/gemma3v_nine_tokens"), 2e-4, (lm) =>
    new ModelParallel({
      layoutMap: lm.backbone.getLayoutMap(meshOf(many, 2, 2)),
      batchDimName: "batch",
      kvHeads: "replicate",
    }));
});
