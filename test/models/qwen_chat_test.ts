/** Qwen from conversations to answers: no token begins a text, a thought stands before an answer, and a padded vocabulary. */
import assert from "node:assert/strict";
import { initialize } from "@tessera/nn";
import { adamW, CausalLM, type ChatMessage, openBackend, Qwen2CausalLM, Qwen3CausalLM } from "tessera";
import { withFolder } from "../support/models.ts";

const backend = await openBackend("cpu");
const tokenizers = new URL("../../packages/tokenizer/testdata/qwen/", import.meta.url);

/** The vocabulary is padded to a multiple of 16, as checkpoints have it; the tokenizer has 407 tokens. */
const sizes = {
  vocabularySize: 416,
  numLayers: 2,
  numQueryHeads: 4,
  numKeyValueHeads: 2,
  headDim: 16,
  hiddenDim: 64,
  intermediateDim: 96,
  ropeMaxWavelength: 1_000_000,
};
// As base models say: <|endoftext|> ends a text, and stands for the beginning, which none has.
const text = { contextLength: 256, bosTokenId: 400, eosTokenIds: [400] };
const makers = {
  "Qwen 2.5": () => Qwen2CausalLM.fromConfig(sizes, { backend, text }),
  "Qwen 3": () => Qwen3CausalLM.fromConfig(sizes, { backend, text }),
};

const conversations = ["the bridge", "the river", "the train"].map((thing, i): { messages: ChatMessage[] } => ({
  messages: [{ role: "user", content: thing }, { role: "assistant", content: ["closed.", "rose.", "left."][i]! }],
}));

for (const [name, make] of Object.entries(makers)) {
  Deno.test(`a ${name} learns conversations in its own template, its thoughts included, and ends its turn`, async () => {
    await withFolder(async (folder) => {
      const made = make();
      initialize(made.variables, backend, { seed: 1 });
      await made.saveToPreset(folder);
      made.dispose();
      for (const file of ["tokenizer.json", "tokenizer_config.json"]) {
        await Deno.copyFile(new URL(file, tokenizers), `${folder}/${file}`);
      }
      const lm = await CausalLM.fromPreset(folder, { backend });
      assert.equal(lm.tokenizer.startId, null);
      lm.compile({ optimizer: adamW({ learningRate: 1e-2, globalClipNorm: 1 }) });
      const data = await lm.dataset(conversations, { batchSize: 3, maxLength: 128 });
      const { steps } = await lm.fit(data, { epochs: 120, seed: 0 });
      assert(steps.at(-1)!.loss < 0.1, `the last loss is ${steps.at(-1)!.loss}`);
      // That <|im_end|> ends a turn is known from the tokenizer, whatever the config says.
      assert.deepEqual(lm.text.eosTokenIds, [400]);
      assert.equal(await lm.chat("the river", { maxNewTokens: 24 }), "<think>\n\n</think>\n\nrose.");
      const templateVariables = { enable_thinking: false };
      assert.equal(await lm.chat("the bridge", { maxNewTokens: 24, templateVariables }), "closed.");
      lm.dispose();
    });
  });
}
