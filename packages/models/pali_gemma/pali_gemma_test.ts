import assert from "node:assert/strict";
import { hostTensor, toFloat32 } from "@tessera/core";
import { onnxBackend } from "@tessera/backend-onnx";
import { initialize } from "@tessera/nn";
import { Decoder } from "../generation/decoder.ts";
import { disposePrediction } from "../generation/decoder_programs.ts";
import { hiddenStates } from "../task/forward.ts";
import { PaliGemmaBackbone, type PaliGemmaConfig } from "./pali_gemma.ts";
import { Scorer } from "../task/scoring.ts";

const config: PaliGemmaConfig = {
  text: {
    vocabularySize: 90,
    numLayers: 3,
    numQueryHeads: 4,
    numKeyValueHeads: 2,
    hiddenDim: 24,
    intermediateDim: 64,
    headDim: 12,
    usePostFfwNorm: true,
    usePostAttentionNorm: true,
    attentionLogitSoftCap: 20,
    useSlidingWindowAttention: true,
    slidingWindowSize: 7,
  },
  vision: { imageSize: 12, patchSize: 4, numLayers: 2, numHeads: 2, hiddenDim: 16, intermediateDim: 20 },
  imageTokenId: 90,
};

Deno.test("cached and uncached logits agree at every position, behind a prefix that is longer than the window", async () => {
  const backend = await onnxBackend();
  const backbone = new PaliGemmaBackbone(config);
  initialize(backbone.variables, backend, { seed: 8 });
  const row = [...new Array<number>(9).fill(90), 5, 17, 33, 60, ...Array.from({ length: 12 }, (_, i) => (i * 13) % 90)];
  const promptLength = 13;
  const pixels = Float32Array.from({ length: 12 * 12 * 3 }, (_, i) => Math.sin(i * 0.7));
  const images = hostTensor("float32", [1, 12, 12, 3], pixels);
  const scorer = new Scorer({
    hidden: (inputs) => hiddenStates(backbone, inputs),
    logits: (hidden) => backbone.logits(hidden),
  }, backend);
  const tokenIds = hostTensor("int32", [1, row.length], Int32Array.from(row));
  const uncached = (await scorer.score({ tokenIds, images, promptLengths: [promptLength] }, "logits")).data;

  const decoder = new Decoder(backbone, backend);
  const rows = decoder.open({ batch: 1, mostTokens: row.length });
  let prediction = await rows.prefill([row.slice(0, promptLength)], images);
  for (let position = promptLength - 1;; position++) {
    const cached = toFloat32(await prediction.logits.read());
    disposePrediction(prediction);
    const expected = uncached.subarray(position * 90, (position + 1) * 90);
    const largest = cached.reduce((most, value, i) => Math.max(most, Math.abs(value - expected[i]!)), 0);
    assert(largest <= 1e-4, `logits at ${position} differ by ${largest}`);
    if (position + 1 === row.length) break;
    prediction = await rows.decode(Int32Array.of(row[position + 1]!), Int32Array.of(position + 1));
  }
  rows.dispose();
  decoder.dispose();
  scorer.dispose();
});

Deno.test("PaliGemmaBackbone rejects what cannot be", () => {
  const wrong: readonly (readonly [Partial<PaliGemmaConfig["vision"]>, RegExp])[] = [
    [{ patchSize: 0 }, /patchSize must be a positive integer, found 0/],
    [{ patchSize: 13 }, /Cannot make a SigLIP tower: patchSize \(13\) is larger than imageSize \(12\)/],
    [{ numHeads: 3 }, /hiddenDim \(16\) is not divisible by numHeads \(3\)/],
    [{ layerNormEpsilon: -1 }, /layerNormEpsilon must be a positive number/],
  ];
  for (const [changes, message] of wrong) {
    assert.throws(() => new PaliGemmaBackbone({ ...config, vision: { ...config.vision, ...changes } }), message);
  }
});
