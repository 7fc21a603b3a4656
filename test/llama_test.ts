/** Llama as a task: presets, folders that are saved and loaded again, and folders that do not fit. */
import assert from "node:assert/strict";
import {
  buildPreset,
  CausalLM,
  type HostTensor,
  Llama3Backbone,
  Llama3CausalLM,
  openBackend,
  openCheckpoint,
  openSafetensors,
  writeSafetensors,
} from "tessera";
import { assertFails } from "./support/failures.ts";
import { watchBuffers } from "./support/live_buffers.ts";
import { golden, largestDifference, withFolder } from "./support/models.ts";

const backend = await openBackend("cpu");

const names = [...Deno.readDirSync(golden("llama"))].map(({ name }) => name);

/** The logits of a folder for the tokens of a golden. */
async function logitsOf(folder: string, name: string): Promise<HostTensor> {
  const file = await openSafetensors(golden(`llama/${name}/golden.safetensors`));
  const lm = await Llama3CausalLM.fromPreset(folder, { backend });
  try {
    return await lm.score({ tokenIds: file.read("input_ids") as HostTensor<"int32"> });
  } finally {
    lm.dispose();
    file.close();
  }
}

for (const name of names) {
  Deno.test(`${name} is the same after it is saved and loaded again`, async () => {
    await withFolder(async (folder) => {
      const lm = await CausalLM.fromPreset(golden(`llama/${name}`), { backend });
      await lm.saveToPreset(folder);
      lm.dispose();
      const [saved, from] = await Promise.all([openCheckpoint(folder), openCheckpoint(golden(`llama/${name}`))]);
      // A tied head is written once.
      const kept = [...from.tensors.keys()].filter((tensor) => !name.includes("tied") || tensor !== "lm_head.weight");
      assert.deepEqual([...saved.tensors.keys()].sort(), kept.sort());
      saved.close();
      from.close();
      const before = await logitsOf(golden(`llama/${name}`), name);
      assert.equal(largestDifference(await logitsOf(folder, name), before), 0);
    });
  });
}
