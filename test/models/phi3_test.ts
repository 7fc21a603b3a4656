/** Phi-3 as a task: adapters of some of the layers that one tensor holds, and texts that outgrow those of pretraining. */
import assert from "node:assert/strict";
import { openSafetensors } from "@tessera/files";
import { adamW, CausalLM, createDataset, openBackend } from "tessera";
import { countingRows, examplesOf, golden, largestDifference, withFolder } from "../support/models.ts";

const backend = await openBackend("cpu");
const fused = golden("phi3/phi3_gqa_bf16_shards_padded");

Deno.test("an adapter of query and value alone is one of all of qkv_proj in PEFT's file, and computes the same", async () => {
  await withFolder(async (folder) => {
    const lm = await CausalLM.fromPreset(fused, { backend });
    lm.enableLora({ rank: 3, alpha: 6, layout: "peft", targets: ["query", "value", "feedforward_gate_dense"] });
    lm.compile({ optimizer: adamW({ learningRate: 2e-2 }) });
    const rows = countingRows([16, 12, 16, 9], 36);
    const { steps } = await lm.fit(createDataset(examplesOf(rows), { batchSize: 4, buckets: [16] }), { epochs: 6 });
    assert(steps.at(-1)!.loss < steps[0]!.loss - 0.1, `${steps.map(({ loss }) => loss)}`);
    const before = await lm.score({ tokenIds: [rows[0]!] });
    await lm.saveAdapter(folder);
    const file = await openSafetensors(`${folder}/adapter_model.safetensors`);
    const block = "base_model.model.model.layers.0";
    const shapes = [...file.tensors].filter(([name]) => name.startsWith(block)).map(([name, { shape }]) =>
      [name.slice(block.length + 1), shape] as const
    );
    assert.deepEqual(Object.fromEntries(shapes), {
      "self_attn.qkv_proj.lora_A.weight": [3, 48],
      "self_attn.qkv_proj.lora_B.weight": [96, 3],
      "mlp.gate_up_proj.lora_A.weight": [3, 48],
      "mlp.gate_up_proj.lora_B.weight": [80, 3],
    });
    file.close();
    const trainable = lm.variables.filter((variable) => variable.trainable).map(({ path }) => path);
    lm.dispose();

    const again = await CausalLM.fromPreset(fused, { backend });
    assert(largestDifference(await again.score({ tokenIds: [rows[0]!] }), before) > 0.1);
    await again.loadAdapter(folder);
    assert.deepEqual(again.variables.filter((variable) => variable.trainable).map(({ path }) => path), trainable);
    assert(largestDifference(await again.score({ tokenIds: [rows[0]!] }), before) <= 1e-5);
    again.dispose();
  });
});

const searches = {
  greedy: {},
  beam: { numBeams: 3 },
  contrastive: { penaltyAlpha: 0.6, topK: 4 },
} as const;

for (const [search, options] of Object.entries(searches)) {
  Deno.test(`rows that outgrow the texts of pretraining at different steps say what each says alone, ${search}`, async () => {
    const lm = await CausalLM.fromPreset(golden("phi3/phi3_long"), { backend });
    // Texts of more than 12 tokens are long.
    const prompts = [countingRows([9], 36)[0]!, countingRows([4], 36)[0]!.toReversed(), countingRows([14], 36)[0]!];
    const request = { ...options, maxNewTokens: 12, stopTokenIds: [] };
    const together = await lm.generateTokens(prompts, request);
    for (const [row, prompt] of prompts.entries()) {
      assert.deepEqual(together[row], (await lm.generateTokens([prompt], request))[0], `row ${row}`);
    }
    lm.dispose();
  });
}
