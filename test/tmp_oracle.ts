import { adamW, CausalLM, createDataset, openBackend, writeSafetensors, hostTensor } from "tessera";
import { countingRows, examplesOf, golden } from "./support/models.ts";
const backend = await openBackend("cpu");
const out = "/tmp/oracle_out";
await Deno.mkdir(out, { recursive: true });
const tokens = hostTensor("int32", [2, 20], Int32Array.from({ length: 40 }, (_, i) => (i * 13 + 7) % 90));
for (const base of ["gemma2_gqa", "gemma1_gqa_bf16_padded", "gemma1_mqa_old", "gemma2_bf16_shards"]) {
  for (const [kind, targets] of [["default", undefined], ["partial", ["decoder_block_1/attention/.*", "ffw_linear"]]] as const) {
    const lm = await CausalLM.fromPreset(golden(`gemma/${base}`), { backend });
    lm.enableLora({ rank: 3, alpha: 7, layout: "peft", ...(targets ? { targets } : {}) });
    lm.compile({ optimizer: adamW({ learningRate: 2e-2 }) });
    const h = await lm.fit(createDataset(examplesOf(countingRows([20, 17, 20, 11])), { batchSize: 2, buckets: [20] }), { epochs: 4 });
    const logits = await lm.score({ tokenIds: tokens });
    const save = (p: string, l: typeof logits) => writeSafetensors(p, [{ name: "input_ids", type: tokens, read: () => tokens }, { name: "logits", type: l, read: () => l }]);
    const f = `${out}/${base}_${kind}`;
    await lm.saveAdapter(`${f}/adapter`);
    await save(`${f}/golden.safetensors`, logits);
    await lm.mergeLora();
    await lm.saveToPreset(`${f}/merged_f32`);
    await lm.saveToPreset(`${f}/merged_bf16`, { dtype: "bfloat16", maxShardBytes: 20000 });
    const again = await CausalLM.fromPreset(`${f}/merged_bf16`, { backend });
    await save(`${f}/golden_bf16.safetensors`, await again.score({ tokenIds: tokens }));
    again.dispose();
    console.log(base, kind, h.steps[0]!.loss, h.steps.at(-1)!.loss);
    lm.dispose();
  }
}
