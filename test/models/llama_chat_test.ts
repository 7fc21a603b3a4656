/** Llama from conversations to answers: its own special tokens, several that end a text, and those that fine-tunes add. */
import assert from "node:assert/strict";
import { initialize } from "@tessera/nn";
import { adamW, CausalLM, type ChatMessage, Llama3CausalLM, openBackend } from "tessera";
import { withFolder } from "../support/models.ts";

const backend = await openBackend("cpu");
const tokenizers = new URL("../../packages/tokenizer/testdata/", import.meta.url);

/** A small Llama 3.1 whose vocabulary is padded to a multiple of 16, as checkpoints have it. */
async function withChatModel(tokenizer: string, ends: number[], run: (lm: CausalLM) => Promise<void>): Promise<void> {
  await withFolder(async (folder) => {
    const made = Llama3CausalLM.fromConfig({
      vocabularySize: 416,
      numLayers: 2,
      numQueryHeads: 4,
      numKeyValueHeads: 2,
      hiddenDim: 64,
      intermediateDim: 96,
      ropeMaxWavelength: 500_000,
      ropeFrequencyAdjustmentFactor: 8,
      ropeLowFreqFactor: 1,
      ropeHighFreqFactor: 4,
      ropePretrainingSequenceLength: 64,
    }, { backend, text: { contextLength: 256, bosTokenId: 400, eosTokenIds: ends } });
    initialize(made.variables, backend, { seed: 1 });
    await made.saveToPreset(folder);
    made.dispose();
    for (const file of ["tokenizer.json", "tokenizer_config.json"]) {
      await Deno.copyFile(new URL(`${tokenizer}/${file}`, tokenizers), `${folder}/${file}`);
    }
    const lm = await CausalLM.fromPreset(folder, { backend });
    try {
      await run(lm);
    } finally {
      lm.dispose();
    }
  });
}

const conversations = ["the bridge", "the river", "the train"].map((thing, i): { messages: ChatMessage[] } => ({
  messages: [{ role: "user", content: thing }, { role: "assistant", content: ["closed.", "rose.", "left."][i]! }],
}));

/** Trains on the conversations until they are known. */
async function learn(lm: CausalLM): Promise<void> {
  lm.compile({ optimizer: adamW({ learningRate: 1e-2, globalClipNorm: 1 }) });
  const data = await lm.dataset(conversations, { batchSize: 3, maxLength: 128 });
  const { steps } = await lm.fit(data, { epochs: 120, seed: 0 });
  assert(steps.at(-1)!.loss < 0.1, `the last loss is ${steps.at(-1)!.loss}`);
}

/** What follows a question, special tokens and all, when nothing ends it. */
async function unended(lm: CausalLM, content: string): Promise<string> {
  const prompt = lm.tokenizer.applyChatTemplate([{ role: "user", content }], { addGenerationPrompt: true });
  const [tokens] = await lm.generateTokens([lm.tokenizer.encode(prompt)], { maxNewTokens: 6, stopTokenIds: [] });
  return lm.tokenizer.decode(tokens!);
}

Deno.test("a Llama learns conversations in its own template and ends its turn", async () => {
  // The config ends texts by <|end_of_text|> and <|eom_id|>; that <|eot_id|> ends a turn is known from the tokenizer.
  await withChatModel("llama3", [401, 405], async (lm) => {
    assert.deepEqual(lm.text.eosTokenIds, [401, 405]);
    await learn(lm);
    assert.equal(await lm.chat("the bridge", { maxNewTokens: 12 }), "closed.");
    assert.equal(await lm.chat("the train", { maxNewTokens: 12 }), "left.");
    assert.match(await unended(lm, "the river"), /^rose\.<\|eot_id\|>/);
  });
});

Deno.test("a fine-tune of Llama with tokens of its own ends its turn with them", async () => {
  await withChatModel("hermes", [401], async (lm) => {
    assert.equal(lm.tokenizer.idToToken(lm.tokenizer.eosId!), "<|im_end|>");
    await learn(lm);
    assert.equal(await lm.chat("the river", { maxNewTokens: 12 }), "rose.");
    assert.match(await unended(lm, "the bridge"), /^closed\.<\|im_end\|>/);
  });
});

Deno.test("a vocabulary that is padded beyond the tokenizer's tokens does not end generation", async () => {
  await withChatModel("llama3", [401], async (lm) => {
    assert.equal(lm.tokenizer.vocabularySize, 408);
    const options = { maxNewTokens: 120, temperature: 100, seed: 3, stopTokenIds: [] };
    const [tokens] = await lm.generateTokens([[400, 65]], options);
    assert(tokens!.some((token) => token >= 408), "none of the tokens is beyond the tokenizer's");
    const first = lm.tokenizer.decode([65]);
    const text = await lm.generate(first, { ...options, keepPrompt: true });
    assert(text.startsWith(first) && text.length > 100, text);
  });
});
