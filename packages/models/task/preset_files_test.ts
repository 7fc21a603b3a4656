import assert from "node:assert/strict";
import { configText } from "./preset_files.ts";

Deno.test("configText() writes numbers as Transformers wants them", () => {
  const config = {
    head_dim: 12,
    attn_logit_softcapping: 50,
    final_logit_softcapping: null,
    rms_norm_eps: 1e-6,
    rope_parameters: { rope_theta: 10000, rope_type: "default" },
    eos_token_id: [1, 107],
    attention_dropout: 0,
  };
  const text = configText(config, new Set(["attn_logit_softcapping", "rope_theta", "attention_dropout"]));
  assert.deepEqual(JSON.parse(text), config);
  for (
    const part of [
      '"head_dim": 12,',
      '"attn_logit_softcapping": 50.0,',
      '"rope_theta": 10000.0,',
      '"attention_dropout": 0.0\n',
    ]
  ) {
    assert(text.includes(part), text);
  }
});
