import assert from "node:assert/strict";
import { withFolder } from "@tessera/files/testing";
import { readGenerationConfig } from "./generation_config.ts";

Deno.test("readGenerationConfig() reads one end token or several, or nothing", async () => {
  await withFolder({}, async (folder) => assert.equal(await readGenerationConfig(folder), null));
  const unsaid = {
    eosTokenIds: [],
    doSample: null,
    temperature: null,
    topK: null,
    topP: null,
    minP: null,
    repetitionPenalty: null,
  };
  const cases: [object, object][] = [
    [{}, unsaid],
    [{ eos_token_id: 1, top_h: 3 }, { ...unsaid, eosTokenIds: [1] }],
    [
      { eos_token_id: [1, 107], do_sample: true, temperature: 0.7, top_k: 64, top_p: 0.95 },
      { ...unsaid, eosTokenIds: [1, 107], doSample: true, temperature: 0.7, topK: 64, topP: 0.95 },
    ],
    [{ min_p: 0.1, repetition_penalty: 1.05 }, { ...unsaid, minP: 0.1, repetitionPenalty: 1.05 }],
  ];
  for (const [file, expected] of cases) {
    await withFolder({ "generation_config.json": file }, async (folder) => {
      assert.deepEqual(await readGenerationConfig(folder), expected);
    });
  }
  await withFolder({ "generation_config.json": { eos_token_id: "x" } }, async (folder) => {
    await assert.rejects(readGenerationConfig(folder), /generation_config.json": "eos_token_id" is "x"/);
  });
});
