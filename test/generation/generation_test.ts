/** Generation: a cache changes nothing, neighbors in a batch change nothing, and it ends where it is told to. */
import assert from "node:assert/strict";
import { hostTensor, iota, toFloat32 } from "@tessera/core";
import { allocateCache, disposeCache, shownPositions } from "@tessera/models";
import { compileProgram, traceProgram } from "@tessera/nn";
import { CausalLM, openBackend } from "tessera";
import { watchBuffers } from "../support/live_buffers.ts";
import { countingRows, tinyLlama, tinyModel, withCheckpoint } from "../support/models.ts";

const backend = await openBackend("cpu");

const text = { contextLength: 96, eosTokenIds: [] };
const families = {
  Gemma: () => tinyModel(backend, {}, { text }),
  Llama: () => tinyLlama(backend, {}, { text }),
} as const;

function withModel(
  name: string,
  run: (lm: CausalLM) => Promise<void>,
  tried: readonly (keyof typeof families)[] = ["Gemma"],
): void {
  for (const family of tried) {
    Deno.test(tried.length === 1 ? name : `${name}, ${family}`, async () => {
      const lm = families[family]();
      try {
        await run(lm);
      } finally {
        lm.dispose();
      }
    });
  }
}

/** The likeliest next token after some tokens, without a cache. */
async function likeliest(lm: CausalLM, tokens: readonly number[]): Promise<number> {
  const { data, shape } = await lm.score({ tokenIds: [tokens] });
  const last = data.subarray(data.length - shape[2]!);
  return last.indexOf(Math.max(...last));
}

withModel("the cache gives the logits that whole texts give, at every position", async (lm) => {
  const [first, second] = countingRows([40, 40]) as [number[], number[]];
  const { data: expected, shape } = await lm.score({ tokenIds: [first, second] });
  const vocabulary = shape[2]!;
  const cache = allocateCache(lm.backbone, 2, 48, backend);
  const types = { tokenIds: { shape: [2, 1], dtype: "int32" }, starts: { shape: [2], dtype: "int32" } } as const;
  const program = await compileProgram(
    traceProgram("step", types, ({ tokenIds, starts }) => {
      const positions = starts.reshape([2, 1]);
      const keyPositions = shownPositions(iota([2, 48], 1).lessEqual(positions));
      const hidden = lm.backbone.hidden({ tokenIds, positions, keyPositions, cache: { layers: cache, starts } });
      return { logits: lm.backbone.logits(hidden) };
    }),
    backend,
  );
  // The rows are two positions apart, at different places of their windows.
  for (let step = 0; step < 38; step++) {
    const at = [step, Math.max(step - 2, 0)] as const;
    const { logits } = await program.run({
      tokenIds: hostTensor("int32", [2, 1], Int32Array.of(first[at[0]]!, second[at[1]]!)),
      starts: hostTensor("int32", [2], Int32Array.from(at)),
    }) as { logits: ReturnType<typeof backend.upload> };
    const found = toFloat32(await logits.read());
    logits.dispose();
    at.forEach((position, row) => {
      for (let i = 0; i < vocabulary; i++) {
        const want = expected[(row * 40 + position) * vocabulary + i]!;
        const off = Math.abs(found[row * vocabulary + i]! - want);
        assert(off <= 1e-4, `row ${row}, position ${position}: logit ${i} is off by ${off}`);
      }
    });
  }
  program.dispose();
  disposeCache(cache);
}, ["Gemma", "Llama"]);

withModel(
  "generateTokens() takes the likeliest token each time, across lengths of the cache and the window",
  async (lm) => {
    const prompt = countingRows([27])[0]!;
    const [answer] = await lm.generateTokens([prompt], { maxNewTokens: 20 });
    assert.equal(answer!.length, 20);
    for (let step = 0; step < answer!.length; step++) {
      assert.equal(answer![step], await likeliest(lm, [...prompt, ...answer!.slice(0, step)]), `token ${step}`);
    }
  },
  ["Gemma", "Llama"],
);

withModel("each prompt of a batch gets the tokens that it gets alone", async (lm) => {
  const prompts = countingRows([3, 40, 1, 17, 33]);
  const together = await lm.generateTokens(prompts, { maxNewTokens: 12 });
  for (const [row, prompt] of prompts.entries()) {
    const [alone] = await lm.generateTokens([prompt], { maxNewTokens: 12 });
    assert.deepEqual(together[row], alone, `prompt ${row}`);
  }
  assert(new Set(together.map(String)).size > 1);
}, ["Gemma", "Llama"]);

withModel("each prompt of a batch fills the context, as it does alone", async (lm) => {
  const prompts = countingRows([90, 60, 95]);
  const together = await lm.generateTokens(prompts, { maxNewTokens: 1000 });
  assert.deepEqual(together.map((tokens) => tokens.length), [6, 36, 1]);
  for (const [row, prompt] of prompts.entries()) {
    assert.deepEqual(together[row], (await lm.generateTokens([prompt], { maxNewTokens: 1000 }))[0], `prompt ${row}`);
  }
});

withModel("maxLength counts prompt and answer together", async (lm) => {
  const answers = await lm.generateTokens(countingRows([5, 3]), { maxLength: 9 });
  assert.deepEqual(answers.map((tokens) => tokens.length), [4, 6]);
});

withModel("a stop token ends its row only, and is left out", async (lm) => {
  const prompts = countingRows([5, 12]);
  const free = await lm.generateTokens(prompts, { maxNewTokens: 10 });
  const stop = free[0]![4]!;
  const expected = free.map((tokens) => tokens.includes(stop) ? tokens.slice(0, tokens.indexOf(stop)) : tokens);
  assert(expected[0]!.length <= 4);
  assert.deepEqual(await lm.generateTokens(prompts, { maxNewTokens: 10, stopTokenIds: [stop] }), expected);
});

withModel("generation ends when all rows have stopped", async (lm) => {
  const [free] = await lm.generateTokens([[5, 6, 7]], { maxNewTokens: 10 });
  let steps = 0;
  const onProgress = () => void steps++;
  await lm.generateTokens([[5, 6, 7]], { maxNewTokens: 10, stopTokenIds: [free![2]!], onProgress });
  assert.equal(steps, free!.indexOf(free![2]!) + 1);
});

withModel("a signal ends generation after the token under way", async (lm) => {
  const controller = new AbortController();
  const seen: number[][] = [];
  const onProgress = ({ done, total }: { readonly done: number; readonly total: number }) => {
    seen.push([done, total]);
    if (done === 3) controller.abort();
  };
  const [tokens] = await lm.generateTokens([[5, 6, 7]], { maxNewTokens: 10, signal: controller.signal, onProgress });
  assert.equal(tokens!.length, 3);
  assert.deepEqual(seen, [[1, 10], [2, 10], [3, 10]]);
  assert.equal((await lm.generateTokens([[5, 6, 7]], { maxNewTokens: 10 }))[0]!.length, 10);
});

withModel("a cache that was used before leaves no trace", async (lm) => {
  const [first, second] = countingRows([30, 2]) as [number[], number[]];
  const before = await lm.generateTokens([second], { maxNewTokens: 8, maxLength: 96 });
  await lm.generateTokens([first], { maxNewTokens: 2 });
  assert.deepEqual(await lm.generateTokens([second], { maxNewTokens: 8 }), before);
});

withModel("calls at the same time give what they give one after the other", async (lm) => {
  const prompts = countingRows([4, 9, 13, 6]);
  const expected = [];
  for (const prompt of prompts) expected.push(await lm.generateTokens([prompt], { maxNewTokens: 9 }));
  const found = await Promise.all(prompts.map((prompt) => lm.generateTokens([prompt], { maxNewTokens: 9 })));
  assert.deepEqual(found, expected);
});

Deno.test("a cache lives as long as its call, however many programs are kept", async () => {
  // Only caches have four axes.
  const { backend: counting, live } = watchBuffers(backend, ({ shape }) => shape.length === 4);
  const lm = tinyModel(counting, {}, { text: { eosTokenIds: [] } });
  const counts: number[] = [];
  let expected: number[] | undefined;
  for (const rows of [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 1]) {
    const onProgress = () => void counts.push(live.size);
    const answers = await lm.generateTokens(new Array(rows).fill([5, 6, 7]), { maxNewTokens: 3, onProgress });
    expected ??= answers[0];
    assert.deepEqual(answers, new Array(rows).fill(expected));
    assert.equal(live.size, 0);
  }
  // Keys and values of two layers.
  assert.deepEqual(new Set(counts), new Set([4]));
  lm.dispose();
});

Deno.test("a cache that grows changes nothing", async () => {
  const lm = tinyModel(backend, {}, { text: { contextLength: 800, eosTokenIds: [] } });
  const prompts = countingRows([3, 240]);
  const answers = await lm.generateTokens(prompts, { maxNewTokens: 530 });
  for (const [row, prompt] of prompts.entries()) {
    const text = [...prompt, ...answers[row]!];
    const { data, shape } = await lm.score({ tokenIds: [text] });
    for (let at = prompt.length; at < text.length; at++) {
      const logits = data.subarray((at - 1) * shape[2]!, at * shape[2]!);
      // Two tokens may be as likely as each other but for rounding.
      assert(Math.max(...logits) - logits[text[at]!]! < 1e-4, `row ${row}, position ${at}`);
    }
  }
  lm.dispose();
});

withModel("sampling follows the seed, and differs between rows", async (lm) => {
  const prompts = new Array<number[]>(4).fill([5, 6, 7]);
  const sample = (seed: number) => lm.generateTokens(prompts, { maxNewTokens: 8, temperature: 1, seed });
  const once = await sample(1);
  assert.deepEqual(await sample(1), once);
  assert.notDeepEqual(await sample(2), once);
  assert.equal(new Set(once.map(String)).size, 4);
  // With one token to choose from, sampling is greedy.
  const greedy = await lm.generateTokens(prompts, { maxNewTokens: 8 });
  assert.deepEqual(await lm.generateTokens(prompts, { maxNewTokens: 8, temperature: 5, topK: 1 }), greedy);
  assert.deepEqual(await lm.generateTokens(prompts, { maxNewTokens: 8, temperature: 1, topP: 1e-6 }), greedy);
});

Deno.test("generate() answers in text: one for one prompt, a list for a list, with or without the prompt", async () => {
  await withCheckpoint(backend, async (folder) => {
    const lm = await CausalLM.fromPreset(folder, { backend });
    const options = { maxNewTokens: 6, stopTokenIds: [] };
    const [tokens] = await lm.generateTokens([[lm.tokenizer.bosId!, ...lm.tokenizer.encode("hello")]], options);
    const answer = lm.tokenizer.decode(tokens!, { skipSpecialTokens: true });
    assert.equal(await lm.generate("hello", options), answer);
    const whole = await lm.generate("hello", { ...options, keepPrompt: true });
    assert(whole.startsWith("hello") && whole.endsWith(answer), whole);
    assert.deepEqual(await lm.generate(["hello", "hello"], options), [answer, answer]);
    assert.deepEqual(await lm.generate([], options), []);
    lm.dispose();
  });
});

Deno.test("generate() stops at the end token of the checkpoint unless told otherwise", async () => {
  await withCheckpoint(backend, async (folder) => {
    const plain = await CausalLM.fromPreset(folder, { backend });
    const [free] = await plain.generateTokens([[5, 6]], { maxNewTokens: 6, stopTokenIds: [] });
    plain.dispose();
    await Deno.writeTextFile(`${folder}/generation_config.json`, JSON.stringify({ eos_token_id: [479, free![3]!] }));
    const lm = await CausalLM.fromPreset(folder, { backend });
    const end = free!.indexOf(free![3]!);
    assert.deepEqual(await lm.generateTokens([[5, 6]], { maxNewTokens: 6 }), [free!.slice(0, end)]);
    assert.deepEqual(await lm.generateTokens([[5, 6]], { maxNewTokens: 6, stopTokenIds: [] }), [free]);
    lm.dispose();
  });
});

Deno.test("generation in bfloat16 works, and keeps a bfloat16 cache", async () => {
  const lm = tinyModel(backend, {}, { dtype: "bfloat16", text: { eosTokenIds: [] } });
  const [cache] = allocateCache(lm.backbone, 1, 8, backend);
  assert.equal(cache!.key.dtype, "bfloat16");
  const [tokens] = await lm.generateTokens([[5, 6, 7]], { maxNewTokens: 40 });
  assert.equal(tokens!.length, 40);
  assert.equal(tokens![0], await likeliest(lm, [5, 6, 7]));
  disposeCache([cache!]);
  lm.dispose();
});
