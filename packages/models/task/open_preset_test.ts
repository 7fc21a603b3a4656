import assert from "node:assert/strict";
import { enableLora } from "@tessera/lora";
import { countParameters } from "@tessera/nn";
import { openPreset } from "./open_preset.ts";

Deno.test("openPreset() describes a preset without any file, adapters and all", async () => {
  const opened = await openPreset("gemma2_9b_en", { part: "config", dtype: "bfloat16" });
  assert.equal(opened.folder, null);
  assert.equal(opened.tokenizer, null);
  assert.equal(opened.text.contextLength, 8192);
  enableLora(opened.backbone, { rank: 4, layout: "keras" });
  assert.match(opened.summary(), /Trainable params: 14,536,704/);
  assert.equal(countParameters(opened.backbone.variables).total, 9_241_705_984 + 14_536_704);
  assert(opened.backbone.variables.every(({ value }) => value === null));
});

Deno.test("OpenedPreset.enableLora() takes PEFT's words, and makes as many parameters as PEFT does", async () => {
  for (
    const [targets, trainable] of [
      ["all-linear", 5_636_096],
      [["q_proj", "v_proj"], 851_968],
      [["query", "value"], 851_968],
      [["gate_proj", "up_proj", "down_proj"], 3_932_160],
    ] as const
  ) {
    const opened = await openPreset("llama3.2_1b", { part: "config", dtype: "bfloat16" });
    opened.enableLora({ rank: 8, targets });
    assert.equal(countParameters(opened.backbone.variables).trainable, trainable, `${targets}`);
  }
});

Deno.test("OpenedPreset.load() ends at once when it is cancelled before it begins", async () => {
  const opened = await openPreset("llama3.2_1b", { part: "config" });
  const reason = new Error("no more");
  await assert.rejects(opened.load({ loadWeights: false, signal: AbortSignal.abort(reason) }), reason);
  await assert.rejects(openPreset("llama3.2_1b", { part: "config", signal: AbortSignal.abort(reason) }), reason);
});

Deno.test("openPreset() proposes the handle of what looks like a repository", async () => {
  await assert.rejects(
    openPreset("Qwen/Qwen2.5-0.5B"),
    /there is no such folder, did you mean "hf:\/\/Qwen\/Qwen2.5-0.5B"\?/,
  );
  await assert.rejects(openPreset("/no/such/folder"), /there is no such folder; expected the name of a preset/);
});
