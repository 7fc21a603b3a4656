/** Requests that make no sense: what data sets, generation, training and scoring say to them. */
import assert from "node:assert/strict";
import { hostTensor } from "@tessera/core";
import { encodeExamples } from "@tessera/train";
import {
  adamW,
  CausalLM,
  createDataset,
  GemmaBackbone,
  GemmaCausalLM,
  type GemmaConfig,
  type GenerateOptions,
  openBackend,
} from "tessera";
import { assertFails } from "../support/failures.ts";
import { countingRows, examplesOf, tinyConfig, tinyModel, withCheckpoint, withFolder } from "../support/models.ts";

const backend = await openBackend("cpu");

/** A test with a tiny model that has a tokenizer and a context of 32 tokens. */
function withText(name: string, run: (lm: CausalLM, folder: string) => Promise<void>): void {
  Deno.test(name, async () => {
    await withCheckpoint(backend, async (folder) => {
      const lm = await CausalLM.fromPreset(folder, { backend });
      try {
        await run(lm, folder);
      } finally {
        lm.dispose();
      }
    }, { text: { contextLength: 32 } });
  });
}

/** A test with a tiny model without a tokenizer. */
function withTokens(name: string, run: (lm: CausalLM) => Promise<void>): void {
  Deno.test(name, async () => {
    const lm = tinyModel(backend, {}, { text: { contextLength: 32 } });
    try {
      await run(lm);
    } finally {
      lm.dispose();
    }
  });
}

withText("dataset() names file and line of malformed JSON", async (lm, folder) => {
  const path = `${folder}/train.jsonl`;
  await Deno.writeTextFile(path, '{"prompt": "a", "response": "b"}\n\n{"prompt": "a", "response" "b"}\n');
  await assertFails(() => lm.dataset(path, { batchSize: 1 }), SyntaxError, [`${path}:3`, "malformed JSON"]);
});

withText("dataset() names file, line and field of a record that is no example", async (lm, folder) => {
  const path = `${folder}/train.jsonl`;
  await Deno.writeTextFile(path, '{"prompt": "a", "response": "b"}\n{"prompt": "a", "respone": "b"}\n');
  await assertFails(() => lm.dataset(path, { batchSize: 1 }), TypeError, [`${path}:2`, '"respone"', '"response"']);
});

withText("dataset() rejects an empty data set", async (lm, folder) => {
  const path = `${folder}/train.jsonl`;
  await Deno.writeTextFile(path, "\n");
  await assertFails(() => lm.dataset(path, { batchSize: 1 }), RangeError, ["empty data set", path]);
  await assertFails(() => lm.dataset([], { batchSize: 1 }), RangeError, ["empty data set"]);
});

withText("dataset() rejects a file that is not there", async (lm) => {
  await assertFails(() => lm.dataset("no/train.jsonl", { batchSize: 1 }), Error, ['"no/train.jsonl"', "no such file"]);
});

withText("dataset() rejects a prompt that is longer than the context", async (lm) => {
  const records = [{ prompt: "ok", response: "ok" }, { prompt: "far too long ".repeat(20), response: "no" }];
  await assertFails(() => lm.dataset(records, { batchSize: 1 }), RangeError, [
    "examples[1]",
    "no room for a response",
    "(32)",
  ]);
});

withText("dataset() rejects a maxLength beyond the context", async (lm) => {
  const records = [{ text: "ok" }];
  await assertFails(() => lm.dataset(records, { batchSize: 1, maxLength: 64 }), RangeError, [
    "64",
    "context holds 32",
    "maxLength",
  ]);
});

withText("dataset() rejects batches of no examples", async (lm) => {
  await assertFails(() => lm.dataset([{ text: "ok" }], { batchSize: 0 }), RangeError, ["batches of 0 examples"]);
});

withText("dataset() rejects a chat without a chat template", async (lm, folder) => {
  const config = JSON.parse(await Deno.readTextFile(`${folder}/tokenizer_config.json`));
  delete config.chat_template;
  await Deno.writeTextFile(`${folder}/tokenizer_config.json`, JSON.stringify(config));
  const plain = await CausalLM.fromPreset(folder, { backend });
  const records = [{ messages: [{ role: "user", content: "a" }, { role: "assistant", content: "b" }] }];
  await assertFails(() => plain.dataset(records, { batchSize: 1 }), TypeError, ["examples[0]", "chat template"]);
  assert.equal((await lm.dataset(records, { batchSize: 1 })).examples.length, 1);
  plain.dispose();
});

withText("generate() rejects a prompt that is longer than the context", async (lm) => {
  const long = "far too long ".repeat(20);
  await assertFails(() => lm.generate(["ok", long]), RangeError, ["prompt 1", "context of 32", "shorten the prompt"]);
  await assertFails(() => lm.generate("four words of prompt", { maxLength: 3 }), RangeError, [
    "context of 3",
    "raise maxLength",
  ]);
});

withTokens("generate() and dataset() need a tokenizer", async (lm) => {
  await assertFails(() => lm.generate("hello"), Error, ["no tokenizer.json"]);
  await assertFails(() => lm.dataset([{ text: "ok" }], { batchSize: 1 }), Error, ["no tokenizer.json"]);
});

withTokens("generateTokens() rejects empty prompts and unknown tokens", async (lm) => {
  await assertFails(() => lm.generateTokens([[5], []]), RangeError, ["prompt 1 has no tokens"]);
  for (const token of [480, -1, 1.5, NaN]) {
    await assertFails(() => lm.generateTokens([[5, token]]), RangeError, [`token ${token}`, "0 to 479"]);
  }
  assert.deepEqual(await lm.generateTokens([]), []);
});

for (
  const [options, words] of [
    [{ temperature: -1 }, ["temperature", "-1"]],
    [{ temperature: NaN }, ["temperature", "NaN"]],
    [{ temperature: Infinity }, ["temperature", "Infinity"]],
    [{ topK: 0 }, ["topK", "0"]],
    [{ topK: 2.5 }, ["topK", "2.5"]],
    [{ topP: 0 }, ["topP", "0"]],
    [{ topP: 1.5 }, ["topP", "1.5"]],
    [{ topP: NaN }, ["topP", "NaN"]],
    [{ minP: 0 }, ["minP", "0"]],
    [{ minP: 1.1 }, ["minP", "1.1"]],
    [{ repetitionPenalty: 0 }, ["repetitionPenalty", "0"]],
    [{ numBeams: 0 }, ["numBeams", "0"]],
    [{ numBeams: 2.5 }, ["numBeams", "2.5"]],
    [{ numBeams: 2, lengthPenalty: NaN }, ["lengthPenalty", "NaN"]],
    [{ numBeams: 2, temperature: 0.5 }, ["temperature 0.5", "numBeams 2"]],
    [{ numBeams: 2, penaltyAlpha: 0.5, topK: 4 }, ["numBeams 2", "penaltyAlpha 0.5"]],
    [{ penaltyAlpha: 2, topK: 4 }, ["penaltyAlpha", "2"]],
    [{ penaltyAlpha: 0.5 }, ["penaltyAlpha 0.5", "topK", "at least 2"]],
    [{ earlyStopping: "always" as never }, ["earlyStopping", "always"]],
    [{ sampler: "topk" as never }, ['no sampler "topk"', 'did you mean "top_k"?', '"beam"']],
    [{ seed: 0.5 }, ["seed", "0.5"]],
    [{ seed: -1 }, ["seed", "-1"]],
    [{ maxNewTokens: 0 }, ["maxNewTokens", "0"]],
    [{ maxNewTokens: 1.5 }, ["maxNewTokens", "1.5"]],
    [{ maxNewTokens: NaN }, ["maxNewTokens", "NaN"]],
    [{ maxLength: NaN }, ["maxLength", "NaN"]],
    [{ maxLength: -3 }, ["maxLength", "-3"]],
    [{ stopTokenIds: [480] }, ["token 480"]],
  ] satisfies [GenerateOptions, string[]][]
) {
  const text = Object.entries(options).map(([name, value]) => `${name} ${value}`).join();
  withTokens(`generateTokens() rejects ${text}`, async (lm) => {
    await assertFails(() => lm.generateTokens([[5]], options), RangeError, words);
  });
}

withTokens("score() rejects unknown tokens, ragged rows and rows beyond the context", async (lm) => {
  await assertFails(() => lm.score({ tokenIds: [[5, 480]] }), RangeError, ["token 480", "0 to 479"]);
  await assertFails(() => lm.score({ tokenIds: [[5, 6], [7]] }), RangeError, ["2, 1 tokens", "padding mask"]);
  await assertFails(() => lm.score({ tokenIds: [] }), RangeError, ["no tokens"]);
  await assertFails(() => lm.score({ tokenIds: [new Array(33).fill(5)] }), RangeError, ["33", "context holds 32"]);
  const paddingMask = hostTensor("bool", [1, 3], Uint8Array.of(1, 1, 1));
  await assertFails(() => lm.score({ tokenIds: [[5, 6]], paddingMask }), TypeError, ["[1,2]", "[1,3]"]);
});

const dataset = createDataset(examplesOf(countingRows([8, 8])), { batchSize: 2 });

withTokens("fit() needs compile()", async (lm) => {
  await assertFails(() => lm.fit(dataset), Error, ["compile("]);
});

withTokens("fit() rejects tokens that the vocabulary lacks, before it trains", async (lm) => {
  lm.compile({ optimizer: adamW({ learningRate: 1e-3 }) });
  const wrong = createDataset(examplesOf([[5, 6, 7], [5, 480, 7]]), { batchSize: 2 });
  await assertFails(() => lm.fit(wrong), RangeError, ["row 1", "480", "479"]);
  await assertFails(() => lm.evaluate(wrong), RangeError, ["row 1", "480", "479"]);
});

withTokens("fit() rejects a model of which nothing is trainable", async (lm) => {
  lm.variables.forEach((variable) => variable.trainable = false);
  lm.compile({ optimizer: adamW({ learningRate: 1e-3 }) });
  await assertFails(() => lm.fit(dataset), Error, ["none of its variables is trainable", "enable LoRA"]);
});

withTokens("fit() rejects numbers of epochs and steps that are none", async (lm) => {
  lm.compile({ optimizer: adamW({ learningRate: 1e-3 }) });
  for (const epochs of [0, -1, 1.5, NaN]) {
    await assertFails(() => lm.fit(dataset, { epochs }), RangeError, ["epochs", String(epochs)]);
  }
  await assertFails(() => lm.fit(dataset, { maxSteps: 0 }), RangeError, ["maxSteps", "0"]);
  await assertFails(() => lm.fit(dataset, { seed: 0.5 }), RangeError, ["seed", "0.5"]);
});

withTokens("compile() rejects numbers of batches per update that are none", async (lm) => {
  for (const gradientAccumulationSteps of [0, 1.5, NaN]) {
    const settings = { optimizer: adamW({ learningRate: 1e-3 }), gradientAccumulationSteps };
    await assertFails(() => lm.compile(settings), RangeError, [
      "gradientAccumulationSteps",
      String(gradientAccumulationSteps),
    ]);
  }
});

Deno.test("fit() and score() need values", async () => {
  const lm = GemmaCausalLM.fromConfig(tinyConfig, { backend });
  lm.compile({ optimizer: adamW({ learningRate: 1e-3 }) });
  await assertFails(() => lm.fit(dataset), TypeError, [
    "token_embedding/embeddings",
    "has no value",
    "load or initialize",
  ]);
  await assertFails(() => lm.score({ tokenIds: [[5]] }), TypeError, ["has no value", "load or initialize"]);
  await withFolder(async (folder) => {
    await assertFails(() => lm.saveToPreset(folder), TypeError, ["has no value", "load or initialize"]);
  });
  lm.dispose();
});

Deno.test("fit() stops where the loss is no number, and says what to do", async () => {
  const lm = tinyModel(backend, { finalLogitSoftCap: null });
  lm.compile({ optimizer: adamW({ learningRate: 1e30 }) });
  await assertFails(() => lm.fit(dataset, { epochs: 9 }), Error, [
    /the loss of update [1-8] is/,
    "lower the learning rate",
  ]);
  lm.dispose();
});

for (
  const [wrong, words] of [
    [{ learningRate: -1 }, ["-1"]],
    [{ learningRate: NaN }, ["NaN"]],
    [{ learningRate: 1, weightDecay: -1 }, ["weightDecay", "-1"]],
    [{ learningRate: 1, beta1: 1 }, ["beta1", "below 1"]],
    [{ learningRate: 1, beta2: NaN }, ["beta2", "NaN"]],
    [{ learningRate: 1, epsilon: 0 }, ["epsilon", "0"]],
    [{ learningRate: 1, globalClipNorm: 0 }, ["globalClipNorm", "0"]],
  ] satisfies [Parameters<typeof adamW>[0], string[]][]
) {
  Deno.test(`adamW() rejects ${JSON.stringify(wrong)}`, async () => {
    await assertFails(() => adamW(wrong), RangeError, words);
  });
}

for (
  const [wrong, words] of [
    [{ numLayers: 0 }, ["numLayers", "0"]],
    [{ vocabularySize: 1.5 }, ["vocabularySize", "1.5"]],
    [{ numKeyValueHeads: 3 }, ["numKeyValueHeads (3)", "numQueryHeads (4)"]],
    [{ headDim: 13 }, ["headDim", "even", "13"]],
    [{ intermediateDim: 95 }, ["intermediateDim", "even", "95"]],
    [{ layerTypes: ["full_attention"] }, ["layerTypes", "1", "2"]],
    [{ dropout: 0.1 }, ["dropout", "0.1"]],
    [{ layerNormEpsilon: -1 }, ["layerNormEpsilon", "-1"]],
    [{ ropeMaxWavelength: 0 }, ["ropeMaxWavelength", "0"]],
    [{ attentionLogitSoftCap: 0 }, ["attentionLogitSoftCap", "0"]],
    [{ finalLogitSoftCap: NaN }, ["finalLogitSoftCap", "NaN"]],
  ] satisfies [Partial<GemmaConfig>, string[]][]
) {
  Deno.test(`a Gemma backbone rejects ${JSON.stringify(wrong)}`, async () => {
    await assertFails(() => new GemmaBackbone({ ...tinyConfig, ...wrong }), RangeError, words);
  });
}

withText("encodeExamples() rejects a data set of which nothing is left to learn", async (lm) => {
  const examples = [{ kind: "prompt", prompt: "a ".repeat(40), response: "b", at: "train.jsonl:1" }] as const;
  const options = { maxLength: 8, overflow: "truncate" } as const;
  await assertFails(() => encodeExamples(examples, lm.tokenizer, options), RangeError, ["none of 1", "train.jsonl:1"]);
});
