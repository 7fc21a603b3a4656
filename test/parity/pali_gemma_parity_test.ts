/** PaliGemma's logits, loss and greedy tokens against Transformers, on checkpoints made by `test/oracle/make_pali_gemma.py`. */
import assert from "node:assert/strict";
import { imageTensor } from "@tessera/train";
import { CausalLM, openBackend } from "tessera";
import { withFolder } from "../support/models.ts";
import { assertPaliGemma, readGolden } from "../support/pali_goldens.ts";

const goldens = new URL("../goldens/pali_gemma/", import.meta.url);
const tolerance = 2e-4;
const backend = await openBackend("cpu");

for (const { name, isDirectory } of Deno.readDirSync(goldens)) {
  if (!isDirectory) continue;
  const folder = new URL(name, goldens).pathname;

  Deno.test(
    `${name} has the logits, the loss and the greedy tokens of Transformers`,
    () => assertPaliGemma(backend, folder, tolerance),
  );

  Deno.test(`${name} is the same after it has been saved and loaded`, async () => {
    const { file, tokenIds, rawImages } = await readGolden(folder);
    file.close();
    await withFolder(async (copy) => {
      const lm = await CausalLM.fromPreset(folder, { backend });
      await lm.saveToPreset(copy);
      const again = await CausalLM.fromPreset(copy, { backend });
      const images = imageTensor(rawImages);
      assert.deepEqual(await again.score({ tokenIds, images }), await lm.score({ tokenIds, images }));
      lm.dispose();
      again.dispose();
    });
  });
}
