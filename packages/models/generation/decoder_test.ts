import assert from "node:assert/strict";
import { onnxBackend } from "@tessera/backend-onnx";
import { hostTensor, iota, toFloat32 } from "@tessera/core";
import { compileProgram, disposeValues, initialize, traceProgram } from "@tessera/nn";
import type { DeviceBuffer } from "@tessera/runtime";
import { Decoder } from "./decoder.ts";
import { disposePrediction, type Prediction } from "./decoder_programs.ts";
import { GemmaBackbone } from "../gemma/gemma.ts";

const backend = onnxBackend({ threads: 2 });
const vocabulary = 90;

/** Two layers, one with a window that ends within what the tests read. */
function tinyBackbone(): GemmaBackbone {
  const backbone = new GemmaBackbone({
    vocabularySize: vocabulary,
    numLayers: 2,
    numQueryHeads: 4,
    numKeyValueHeads: 2,
    hiddenDim: 24,
    intermediateDim: 64,
    headDim: 8,
    usePostFfwNorm: true,
    usePostAttentionNorm: true,
    attentionLogitSoftCap: 20,
    useSlidingWindowAttention: true,
    slidingWindowSize: 32,
  });
  initialize(backbone.variables, backend, { seed: 4 });
  return backbone;
}

function textOf(length: number, seed: number): number[] {
  return Array.from({ length }, (_, t) => 3 + (seed * 31 + t * 17 + t * t * 5) % (vocabulary - 3));
}

async function read(buffer: DeviceBuffer): Promise<Float32Array> {
  return toFloat32(await buffer.read());
}

/** The logits and the hidden states of whole texts, without a cache: a row of each per position. */
async function uncached(backbone: GemmaBackbone, text: readonly number[]) {
  const program = await compileProgram(
    traceProgram("whole", { tokenIds: { shape: [1, text.length], dtype: "int32" } }, ({ tokenIds }) => {
      const positions = iota([1, text.length], 1);
      const hidden = backbone.hidden({ tokenIds, positions, keyPositions: positions, cache: null });
      return { logits: backbone.logits(hidden), hidden };
    }),
    backend,
  );
  const outputs = await program.run({ tokenIds: hostTensor("int32", [1, text.length], Int32Array.from(text)) });
  const rows = async (buffer: DeviceBuffer) => {
    const values = await read(buffer);
    const width = values.length / text.length;
    return text.map((_, t) => values.subarray(t * width, (t + 1) * width));
  };
  const result = { logits: await rows(outputs.logits!), hidden: await rows(outputs.hidden!) };
  Object.values(outputs).forEach((buffer) => buffer.dispose());
  program.dispose();
  return result;
}

function assertNear(found: ArrayLike<number>, expected: ArrayLike<number>, what: string): void {
  assert.equal(found.length, expected.length, what);
  for (let i = 0; i < expected.length; i++) {
    assert(Math.abs(found[i]! - expected[i]!) <= 1e-4, `${what}, element ${i}: ${found[i]}, ${expected[i]}`);
  }
}

async function assertPredicts(prediction: Prediction, expected: readonly Float32Array[], what: string): Promise<void> {
  const logits = await read(prediction.logits);
  const tokens = (await prediction.token.read()).data;
  expected.forEach((row, i) => {
    const own = logits.subarray(i * vocabulary, (i + 1) * vocabulary);
    assertNear(own, row, `${what}, row ${i}`);
    assert.equal(tokens[i], own.indexOf(Math.max(...own)));
  });
  disposePrediction(prediction);
}

Deno.test("rows predict after every token what whole texts do, whatever their lengths and however their cache grows", async () => {
  const backbone = tinyBackbone();
  const decoder = new Decoder(backbone, backend);
  const texts = [textOf(530, 1), textOf(290, 2)];
  const wholes = [];
  for (const text of texts) wholes.push((await uncached(backbone, text)).logits);
  const starts = [250, 10];
  const rows = decoder.open({ batch: 2, mostTokens: 600 });
  const prompts = texts.map((text, row) => text.slice(0, starts[row]));
  await assertPredicts(await rows.prefill(prompts), wholes.map((whole, row) => whole[starts[row]! - 1]!), "prefill");
  const lengths = new Set([rows.length]);
  for (let step = 0; step < 280; step++) {
    const positions = Int32Array.from(starts, (start) => start + step);
    const tokens = Int32Array.from(texts, (text, row) => text[positions[row]!]!);
    const expected = wholes.map((whole, row) => whole[positions[row]!]!);
    await assertPredicts(await rows.decode(tokens, positions), expected, `step ${step}`);
    lengths.add(rows.length);
  }
  assert.deepEqual([...lengths], [256, 512, 1024]);
  rows.dispose();
  decoder.dispose();
  disposeValues(backbone.variables);
});

Deno.test("select() continues from other rows, more or fewer of them", async () => {
  const backbone = tinyBackbone();
  const decoder = new Decoder(backbone, backend);
  const texts = [textOf(12, 1), textOf(12, 2)];
  const rows = decoder.open({ batch: 2, mostTokens: 40 });
  disposePrediction(await rows.prefill(texts.map((text) => text.slice(0, 9))));
  // Text and token of each row, step by step; rows that end the same way go different ways afterwards.
  let now = texts.map((text) => text.slice(0, 9));
  for (const [sources, tokens] of [[[1, 0, 0], [5, 6, 7]], [[2, 2, 0], [8, 9, 10]], [[1], [11]]] as const) {
    await rows.select(sources);
    assert.equal(rows.batch, sources.length);
    now = sources.map((source, i) => [...now[source]!, tokens[i]!]);
    const expected = [];
    for (const text of now) expected.push((await uncached(backbone, text)).logits.at(-1)!);
    const positions = Int32Array.from(now, (text) => text.length - 1);
    await assertPredicts(await rows.decode(Int32Array.from(tokens), positions), expected, `rows ${sources}`);
  }
  rows.dispose();
  decoder.dispose();
  disposeValues(backbone.variables);
});

Deno.test("decode() says how alike a token's hidden state is to those before it", async () => {
  const backbone = tinyBackbone();
  const decoder = new Decoder(backbone, backend);
  const texts = [textOf(20, 1), textOf(15, 2)];
  const starts = [12, 7];
  const hidden = [];
  for (const text of texts) hidden.push((await uncached(backbone, text)).hidden);
  const rows = decoder.open({ batch: 2, mostTokens: 40, comparesHidden: true });
  disposePrediction(await rows.prefill(texts.map((text, row) => text.slice(0, starts[row]))));
  for (let step = 0; step < 8; step++) {
    const positions = Int32Array.from(starts, (start) => start + step);
    const prediction = await rows.decode(
      Int32Array.from(texts, (text, row) => text[positions[row]!]!),
      positions,
    );
    const expected = hidden.map((states, row) => {
      const own = states[positions[row]!]!;
      return Math.max(...states.slice(0, positions[row]).map((other) => cosine(own, other)));
    });
    assertNear(await read(prediction.similarity!), expected, `step ${step}`);
    disposePrediction(prediction);
  }
  rows.dispose();
  decoder.dispose();
  disposeValues(backbone.variables);
});

function cosine(a: Float32Array, b: Float32Array): number {
  const dot = (x: Float32Array, y: Float32Array) => x.reduce((sum, value, i) => sum + value * y[i]!, 0);
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
}
