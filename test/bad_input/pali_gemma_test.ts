/** PaliGemma's checkpoints that lack something or have too much: each an error before anything is loaded. */
import assert from "node:assert/strict";
import type { HostTensor } from "@tessera/core";
import { CausalLM, openBackend } from "tessera";
import { type CheckpointChanges, withChanged } from "../support/changed_checkpoint.ts";
import { assertFails } from "../support/failures.ts";
import { watchBuffers } from "../support/live_buffers.ts";

const { backend, live } = watchBuffers(await openBackend("cpu"));
const [old, today] = ["pali_gemma/pali1_mqa_old_names", "pali_gemma/pali2_gqa_window"];
const projection = "multi_modal_projector.linear.bias";

function only(change: (tensors: Map<string, HostTensor>) => void): CheckpointChanges {
  return { tensors: change };
}

/** Changes of a golden, and what the message must say. */
const cases: readonly (readonly [
  what: string,
  golden: string,
  changes: CheckpointChanges,
  kind: new () => Error,
  parts: readonly string[],
])[] = [
  [
    "no projection",
    old,
    only((tensors) => tensors.delete(projection)),
    Error,
    ["lacks 1 of", '"model.multi_modal_projector.linear.bias" (for "image_classifier/bias")'],
  ],
  [
    "no norm of a block of the tower",
    today,
    only((tensors) => tensors.delete([...tensors.keys()].find((name) => name.includes("layers.1.layer_norm2.bias"))!)),
    Error,
    ["lacks 1 of", "layers.1.layer_norm2.bias", '(for "image_encoder/encoder_block_1/layer_norm_2/beta")'],
  ],
  [
    "a tensor that nothing takes",
    old,
    only((tensors) => tensors.set("vision_tower.vision_model.encoder.layers.9.mlp.fc1.bias", tensors.get(projection)!)),
    Error,
    ["nothing in the model takes 1 of its tensors", "layers.9.mlp.fc1.bias"],
  ],
  [
    "a tensor under both of its names",
    old,
    only((tensors) => tensors.set(`model.${projection}`, tensors.get(projection)!)),
    Error,
    [`"${projection}" and "model.${projection}" are one`],
  ],
  [
    "a head that differs from the embedding",
    old,
    only((tensors) => {
      const embedding = tensors.get("language_model.model.embed_tokens.weight")!;
      tensors.set(
        "language_model.lm_head.weight",
        { ...embedding, data: embedding.data.map((x) => x + 1) } as HostTensor,
      );
    }),
    TypeError,
    ['"lm_head.weight" differs from "model.language_model.embed_tokens.weight"'],
  ],
  [
    "position embeddings of another image",
    today,
    { config: { vision_config: { ...(await visionOf(today)), image_size: 35 } } },
    TypeError,
    ["position_embedding.weight", "[25,24]", "[16,24]"],
  ],
];

async function visionOf(name: string): Promise<Record<string, unknown>> {
  return JSON.parse(await Deno.readTextFile(new URL(`../goldens/${name}/config.json`, import.meta.url))).vision_config;
}

for (const [what, name, changes, kind, parts] of cases) {
  Deno.test(`fromPreset() rejects a PaliGemma with ${what}`, async () => {
    await withChanged(name, changes, async (folder) => {
      await assertFails(() => CausalLM.fromPreset(folder, { backend }), kind, [folder, ...parts]);
      assert.equal(live.size, 0);
    });
  });
}

Deno.test("a PaliGemma loads with the pooling head of SigLIP in its file, which it has no use for", async () => {
  const change = (tensors: Map<string, HostTensor>) =>
    tensors.set("vision_tower.vision_model.head.probe", tensors.get(projection)!);
  await withChanged(old, only(change), async (folder) => {
    const lm = await CausalLM.fromPreset(folder, { backend });
    assert.equal(lm.name, "pali_gemma_causal_lm");
    lm.dispose();
  });
});
