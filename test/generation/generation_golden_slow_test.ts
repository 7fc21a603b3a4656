/** Searches give the tokens that Transformers gives, and filters the distributions; see `test/oracle/make_generation.py`. */
import assert from "node:assert/strict";
import { openSafetensors } from "@tessera/files";
import { filterLogits } from "@tessera/models";
import { CausalLM, type GenerateOptions, openBackend } from "tessera";
import { golden } from "../support/models.ts";

const backend = await openBackend("cpu");

interface Case {
  readonly checkpoint: string;
  readonly prompt: number[];
  readonly options: GenerateOptions;
  readonly stops: number[];
  readonly answer: number[];
}

const { cases } = JSON.parse(await Deno.readTextFile(golden("generation/golden.json"))) as { cases: Case[] };

for (const [checkpoint, all] of Map.groupBy(cases, ({ checkpoint }) => checkpoint)) {
  Deno.test(`greedy, beam and contrastive search give the reference's tokens, ${checkpoint}`, async (t) => {
    const lm = await CausalLM.fromPreset(golden(checkpoint), { backend });
    for (const [options, same] of Map.groupBy(all, ({ options }) => JSON.stringify(options))) {
      await t.step(options, async () => {
        const settings = (one: Case) => ({ ...one.options, stopTokenIds: one.stops, maxNewTokens: 20 });
        for (const one of same) {
          assert.deepEqual(await lm.generateTokens([one.prompt], settings(one)), [one.answer]);
        }
        // In one batch, prompts of unequal lengths get what they get alone; one checkpoint, with a window, is enough to see it.
        if (checkpoint !== "gemma/gemma2_gqa") return;
        const [first] = same as [Case, ...Case[]];
        const prompts = same.map(({ prompt }) => prompt);
        const together = await lm.generateTokens(prompts, settings(first));
        for (const [row, prompt] of prompts.entries()) {
          assert.deepEqual([together[row]], await lm.generateTokens([prompt], settings(first)), `row ${row}`);
        }
      });
    }
    lm.dispose();
  });
}

Deno.test("filterLogits() leaves the distribution that the reference leaves", async (t) => {
  const file = await openSafetensors(golden("generation/filters.safetensors"));
  const logits = file.read("logits");
  const [rows, width] = logits.shape as [number, number];
  for (const name of file.tensors.keys()) {
    if (name === "logits") continue;
    await t.step(name, () => {
      const settings = { temperature: 1, topK: null, topP: null, minP: null, ...JSON.parse(name) };
      const expected = file.read(name).data as Float32Array;
      for (let row = 0; row < rows; row++) {
        const at = [row * width, (row + 1) * width] as const;
        const found = filterLogits((logits.data as Float32Array).subarray(...at), settings);
        assertSameDistribution(found, expected.subarray(...at), `row ${row}`);
      }
    });
  }
  file.close();
});

function assertSameDistribution(found: Float32Array, expected: Float32Array, what: string): void {
  const [p, q] = [found, expected].map((logits) => {
    const top = Math.max(...logits);
    const weights = Array.from(logits, (logit) => Math.exp(logit - top));
    const sum = weights.reduce((total, weight) => total + weight, 0);
    return weights.map((weight) => weight / sum);
  }) as [number[], number[]];
  p.forEach((share, token) => {
    assert.equal(share > 0, q[token]! > 0, `${what}, token ${token}: ${share}, ${q[token]}`);
    assert(Math.abs(share - q[token]!) < 1e-6, `${what}, token ${token}: ${share}, ${q[token]}`);
  });
}
