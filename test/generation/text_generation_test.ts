/** Text generation as people use it: streams, stop strings, chats, the checkpoint's defaults, cancelling. */
import assert from "node:assert/strict";
import { type Backend, CausalLM, type GenerateOptions, openBackend } from "tessera";
import { assertFails } from "../support/failures.ts";
import { countingRows, golden, tinyModel, withCheckpoint, withFolder } from "../support/models.ts";

const backend = await openBackend("cpu");
const tokenizerFolder = new URL("../../packages/tokenizer/testdata/gemma/", import.meta.url);

interface Text {
  readonly prompt: string;
  readonly stops: string[];
  readonly tokens: number[];
  readonly answer: string;
}

/** A test with the checkpoint whose texts the golden has; files that are given are added to its folder. */
function withTexts(name: string, run: (lm: CausalLM) => Promise<void>, files: Record<string, unknown> = {}): void {
  Deno.test(name, async () => {
    await withFolder(async (folder) => {
      for (const file of ["config.json", "model.safetensors"]) {
        await Deno.copyFile(golden(`generation/text/${file}`), `${folder}/${file}`);
      }
      for (const file of ["tokenizer.json", "tokenizer_config.json"]) {
        await Deno.copyFile(new URL(file, tokenizerFolder), `${folder}/${file}`);
      }
      for (const [file, content] of Object.entries(files)) {
        const text = typeof content === "string" ? content : JSON.stringify(content);
        await Deno.writeTextFile(`${folder}/${file}`, text);
      }
      const lm = await CausalLM.fromPreset(folder, { backend });
      try {
        await run(lm);
      } finally {
        lm.dispose();
      }
    });
  });
}

async function collect(pieces: AsyncIterable<string>): Promise<string[]> {
  const all: string[] = [];
  for await (const piece of pieces) all.push(piece);
  return all;
}

const free = { stopTokenIds: [1], repetitionPenalty: 1.5, maxNewTokens: 40 } satisfies GenerateOptions;

withTexts("a stop string ends a text where it ends in Transformers, and is cut off or kept", async (lm) => {
  const { texts } = JSON.parse(await Deno.readTextFile(golden("generation/golden.json"))) as { texts: Text[] };
  for (const { prompt, stops, tokens, answer } of texts) {
    const options = { ...free, stopStrings: stops };
    const [found] = await lm.generateTokens([[lm.tokenizer.bosId!, ...lm.tokenizer.encode(prompt)]], options);
    assert.deepEqual(found, tokens, prompt);
    assert.equal(await lm.generate(prompt, options), answer);
    assert.equal(await lm.generate(prompt, { ...options, keepStopString: true }), answer + stops[0]);
    assert.equal(await lm.generate(prompt, { ...options, keepPrompt: true }), prompt + answer);
    assert.equal((await collect(lm.stream(prompt, options))).join(""), answer);
    const beams = await lm.generate(prompt, { ...options, repetitionPenalty: 1.5, numBeams: 2 });
    assert(!beams.includes(stops[0]!), beams);
  }
});

withTexts("a stop string ends its row only", async (lm) => {
  const { texts } = JSON.parse(await Deno.readTextFile(golden("generation/golden.json"))) as { texts: Text[] };
  const options = { ...free, stopStrings: [texts[0]!.stops[0]!] };
  const prompts = [texts[0]!.prompt, "In 2024"];
  const together = await lm.generate(prompts, options);
  assert.equal(together[0], texts[0]!.answer);
  assert.equal(together[1], await lm.generate(prompts[1]!, options));
  assert(together[1]!.length > 60);
});

withTexts("a special token as a stop string is a stop token", async (lm) => {
  const options = { maxNewTokens: 200, stopTokenIds: [], temperature: 50, seed: 2 };
  const [tokens] = await lm.generateTokens([[2, 300]], options);
  const at = tokens!.findIndex((token, i) => token <= 5 && i > 2);
  const stop = lm.tokenizer.idToToken(tokens![at]!)!;
  assert(at > 0 && !tokens!.slice(0, at).includes(tokens![at]!), `${tokens}`);
  assert.deepEqual(await lm.generateTokens([[2, 300]], { ...options, stopStrings: [stop] }), [tokens!.slice(0, at)]);
  await assertFails(() => lm.generate("a", { stopStrings: [""] }), RangeError, ["stop string is empty"]);
});

withTexts("stream() gives what generate() gives, in whole characters", async (lm) => {
  const prompts = ["the bridge", "naïve café 日本語", "🚀 👩‍👩‍👧", " two  spaces\n\n", "<turn>user hello"];
  const settings: GenerateOptions[] = [
    free,
    free,
    { ...free, stopStrings: ["o", "th"] },
    { ...free, temperature: 1.5, seed: 3 },
    // Bytes and special tokens come up as often as others.
    { maxNewTokens: 60, stopTokenIds: [], temperature: 50, seed: 5 },
    { maxNewTokens: 12, numBeams: 2 },
  ];
  for (const prompt of prompts) {
    for (const options of settings) {
      const pieces = await collect(lm.stream(prompt, options));
      assert.equal(pieces.join(""), await lm.generate(prompt, options), `${prompt} ${JSON.stringify(options)}`);
      assert(pieces.every((piece) => piece !== "" && piece.isWellFormed()));
    }
  }
  const pieces = await collect(lm.stream("the bridge", free));
  assert(pieces.length > 20, `${pieces.length} pieces`);
});

withTexts("stream() can be left, and others can generate meanwhile", async (lm) => {
  const whole = await lm.generate("the bridge", free);
  const beside = await lm.generate("In 2024", free);
  let text = "";
  for await (const piece of lm.stream("the bridge", free)) {
    text += piece;
    if (text.length < 15) continue;
    assert.equal(await lm.generate("In 2024", free), beside);
    for await (const inner of lm.stream("In 2024", free)) {
      assert(beside.startsWith(inner));
      break;
    }
    if (text.length > 40) break;
  }
  assert(whole.startsWith(text) && text.length > 40);
  const both = await Promise.all([collect(lm.stream("the bridge", free)), collect(lm.stream("In 2024", free))]);
  assert.deepEqual(both.map((pieces) => pieces.join("")), [whole, beside]);
});

withTexts("a signal cancels before there is work, and otherwise after the token under way", async (lm) => {
  const reason = new Error("enough");
  const aborted = AbortSignal.abort(reason);
  await assert.rejects(lm.generate("the bridge", { ...free, signal: aborted }), reason);
  await assert.rejects(collect(lm.stream("the bridge", { ...free, signal: aborted })), reason);
  await assert.rejects(lm.chat("the bridge", { signal: aborted }), reason);

  const whole = await lm.generateTokens([[2, 300]], free);
  const controller = new AbortController();
  const onToken = (done: number) => done === 3 && controller.abort();
  const [some] = await lm.generateTokens([[2, 300]], {
    ...free,
    signal: controller.signal,
    onProgress: ({ done }) => void onToken(done),
  });
  assert.deepEqual(some, whole[0]!.slice(0, 3));

  const streaming = new AbortController();
  let text = "";
  for await (const piece of lm.stream("the bridge", { ...free, signal: streaming.signal })) {
    text += piece;
    if (text.length > 20) streaming.abort();
  }
  assert((await lm.generate("the bridge", free)).startsWith(text) && text.length < 40, text);
});

Deno.test("a signal that comes while the prompt is read ends generation after the first token", async () => {
  let onPrefill = () => {};
  const compile: Backend["compile"] = async (graph, options) => {
    const program = await backend.compile(graph, options);
    const run: typeof program.run = (inputs) => {
      if (graph.name === "prefill") onPrefill();
      return program.run(inputs);
    };
    return { ...program, run };
  };
  const lm = tinyModel({ ...backend, compile }, {}, { text: { eosTokenIds: [] } });
  for (const options of [{}, { numBeams: 3 }, { penaltyAlpha: 0.5, topK: 3 }]) {
    const controller = new AbortController();
    onPrefill = () => controller.abort();
    const [tokens] = await lm.generateTokens([[5, 6]], { ...options, maxNewTokens: 9, signal: controller.signal });
    assert.equal(tokens!.length, 1, JSON.stringify(options));
  }
  lm.dispose();
});

withTexts("chat() uses the checkpoint's own template, and streams", async (lm) => {
  const prompt = "<bos><turn>user\nHi<end><turn>model\n";
  const [answer] = await lm.generateTokens([lm.tokenizer.encode(prompt)], free);
  const expected = lm.tokenizer.decode(answer!, { skipSpecialTokens: true });
  assert.equal(await lm.chat("Hi", free), expected);
  assert.equal(await lm.chat([{ role: "user", content: "Hi" }], free), expected);
  assert.equal((await collect(lm.streamChat("Hi", free))).join(""), expected);
  const turns = [
    { role: "user", content: "Hi" },
    { role: "assistant", content: "Yes?" },
    { role: "user", content: "Go" },
  ];
  assert.notEqual(await lm.chat(turns, free), expected);
  await assertFails(() => lm.chat([], free), RangeError, ["no messages"]);
  await assertFails(() => lm.chat([{ role: "system", content: "Be brief" }], free), Error, [
    "tokenizer_config.json",
    "[system]",
    "There is no system role",
  ]);
});

const template = "{{ bos_token }}{% if messages[0].role != 'system' %}<turn>system\nBe kind, today is " +
  "{{ date_string or 'unknown' }}<end>{% endif %}{% for tool in tools or [] %}{{ tool | tojson }}{% endfor %}" +
  "{% for message in messages %}<turn>{{ message.role }}\n{{ message.content }}" +
  "{% for call in message.tool_calls or [] %}{{ call.function.name }}{% endfor %}<end>{% endfor %}" +
  "{% if add_generation_prompt %}<turn>model\n{% endif %}";

withTexts("chat() passes on tools and the template's own variables", async (lm) => {
  const tools = [{ type: "function", function: { name: "weather", parameters: {} } }];
  const messages = [
    { role: "user", content: "Oslo?" },
    { role: "assistant", content: "", tool_calls: [{ function: { name: "weather", arguments: { city: "Oslo" } } }] },
    { role: "tool", content: "4 °C", name: "weather" },
  ];
  const rendered = lm.tokenizer.applyChatTemplate(messages, {
    addGenerationPrompt: true,
    tools,
    variables: { date_string: "1 May" },
  });
  for (const part of ["Be kind, today is 1 May", '"name": "weather"', "<turn>assistant\nweather<end>", "tool\n4 °C"]) {
    assert(rendered.includes(part), rendered);
  }
  const [expected] = await lm.generateTokens([lm.tokenizer.encode(rendered)], free);
  assert.equal(
    await lm.chat(messages, { ...free, tools, templateVariables: { date_string: "1 May" } }),
    lm.tokenizer.decode(expected!, { skipSpecialTokens: true }),
  );
  assert.notEqual(await lm.chat(messages, free), await lm.chat(messages, { ...free, tools }));
}, { "chat_template.jinja": template });

withTexts("chat() without a template says what to do", async (lm) => {
  await assertFails(() => lm.chat("Hi"), Error, ["chat template", "instruction-tuned", "chat_template.jinja"]);
  await assert.rejects(collect(lm.streamChat("Hi")), /chat_template.jinja/);
}, { "tokenizer_config.json": { bos_token: "<bos>", eos_token: "<eos>" } });

withTexts("a template that fails is named with its reason", async (lm) => {
  await assertFails(() => lm.chat("Hi"), Error, ["chat_template.jinja", "[user]"]);
}, { "chat_template.jinja": "{{ messages[3].content.strip() }}" });

withTexts("the checkpoint's sampling applies, and options change it", async (lm) => {
  const prompts = [[2, 300], [2, 301]];
  const tokens = (options: GenerateOptions) => lm.generateTokens(prompts, { ...options, maxNewTokens: 12 });
  const own = await tokens({});
  assert.deepEqual(await tokens({ temperature: 2, topK: 20, topP: 0.9, repetitionPenalty: 1.1 }), own);
  const greedy = await tokens({ sampler: "greedy" });
  assert.notDeepEqual(own, greedy);
  assert.deepEqual(await tokens({ temperature: 0, repetitionPenalty: 1 }), greedy);
  assert.deepEqual(await tokens({ topK: 1, repetitionPenalty: 1 }), greedy);
  assert.notDeepEqual(await tokens({ topK: null, topP: null }), own);
  assert.notDeepEqual(await tokens({ seed: 1 }), own);
  // A search that draws nothing takes no temperature from the file.
  assert.equal((await tokens({ numBeams: 2 })).length, 2);
}, {
  "generation_config.json": {
    do_sample: true,
    temperature: 2,
    top_k: 20,
    top_p: 0.9,
    repetition_penalty: 1.1,
    eos_token_id: [1, 5],
  },
});

withTexts("a checkpoint that does not sample leaves its temperature unused until asked", async (lm) => {
  const tokens = (options: GenerateOptions) => lm.generateTokens([[2, 300]], { ...options, maxNewTokens: 12 });
  assert.deepEqual(await tokens({}), await tokens({ sampler: "greedy" }));
  assert.deepEqual(await tokens({ temperature: 3 }), await tokens({ temperature: 3, topK: 4 }));
  assert.notDeepEqual(await tokens({ temperature: 3 }), await tokens({ temperature: 3, topK: null }));
}, { "generation_config.json": { do_sample: false, temperature: 2, top_k: 4 } });

Deno.test("a token that ends a turn ends an answer by default", async () => {
  await withCheckpoint(backend, async (folder) => {
    const lm = await CausalLM.fromPreset(folder, { backend });
    const [tokens] = await lm.generateTokens([[5, 6]], { maxNewTokens: 8, stopTokenIds: [] });
    lm.dispose();
    const at = tokens!.findIndex((token, i) => i > 0 && token > 261 && tokens!.indexOf(token) === i);
    const end = tokens![at]!;
    // The token takes the name that an instruction-tuned checkpoint gives it.
    const json = JSON.parse(await Deno.readTextFile(`${folder}/tokenizer.json`));
    const name = Object.keys(json.model.vocab).find((token) => json.model.vocab[token] === end)!;
    delete json.model.vocab[name];
    json.model.vocab["<end_of_turn>"] = end;
    json.model.merges = [];
    await Deno.writeTextFile(`${folder}/tokenizer.json`, JSON.stringify(json));
    const chatty = await CausalLM.fromPreset(folder, { backend });
    assert.deepEqual(await chatty.generateTokens([[5, 6]], { maxNewTokens: 8 }), [tokens!.slice(0, at)]);
    chatty.dispose();
  });
});

Deno.test("what a row draws does not depend on what else is in the batch", async () => {
  const lm = tinyModel(backend, {}, { text: { eosTokenIds: [] } });
  const [a, b, c, d] = countingRows([5, 9, 3, 14]) as [number[], number[], number[], number[]];
  const options = { maxNewTokens: 10, temperature: 1.5, topP: 0.95, seed: 11 };
  const all = await lm.generateTokens([a, b, c, d], options);
  assert.deepEqual(await lm.generateTokens([a], options), [all[0]]);
  assert.deepEqual((await lm.generateTokens([d, b], options))[1], all[1]);
  assert.deepEqual((await lm.generateTokens([b, b, c, a, a], options))[2], all[2]);
  lm.dispose();
});

Deno.test("score() gives the loss of each token without its logits", async () => {
  const lm = tinyModel(backend, {}, { text: { contextLength: 300 } });
  const rows = countingRows([280, 280]);
  const { data: logits, shape } = await lm.score({ tokenIds: rows });
  const losses = await lm.score({ tokenIds: rows, mode: "loss" });
  assert.deepEqual(losses.shape, [2, 280]);
  const width = shape[2]!;
  rows.forEach((row, r) => {
    assert.equal(losses.data[r * 280], 0);
    for (let t = 1; t < row.length; t++) {
      const own = logits.subarray((r * 280 + t - 1) * width, (r * 280 + t) * width);
      const sum = own.reduce((total, logit) => total + Math.exp(logit), 0);
      const expected = Math.log(sum) - own[row[t]!]!;
      assert(Math.abs(losses.data[r * 280 + t]! - expected) < 1e-4, `row ${r}, token ${t}`);
    }
  });
  const one = await lm.score({ tokenIds: [[5]], mode: "loss" });
  assert.deepEqual([...one.data], [0]);
  lm.dispose();
});
