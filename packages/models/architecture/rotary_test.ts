import assert from "node:assert/strict";
import { type Llama3Rope, type RopeScaling, stretchedContext, type YarnRope } from "./rope_scaling.ts";
import { rotaryFrequencies } from "./rotary.ts";

/** The frequencies of Llama 3 8B, stretched in some way. */
function frequencies(scaling: RopeScaling | null = null): number[] {
  return rotaryFrequencies({ base: 500_000, headDim: 128, scaling });
}

const stretched: Llama3Rope = {
  type: "llama3",
  factor: 8,
  lowFreqFactor: 1,
  highFreqFactor: 4,
  pretrainingSequenceLength: 8192,
};

const yarn: YarnRope = {
  type: "yarn",
  factor: 16,
  betaFast: 32,
  betaSlow: 1,
  attentionFactor: 1.277,
  truncate: true,
  pretrainingSequenceLength: 8192,
};

Deno.test("rotaryFrequencies() are the powers of the base where nothing is stretched", () => {
  const found = frequencies();
  assert.equal(found.length, 64);
  found.forEach((frequency, i) => assert(Math.abs(frequency / 500_000 ** (-2 * i / 128) - 1) < 1e-12));
});

Deno.test("rotaryFrequencies() keep short wavelengths, divide long ones and blend those between", () => {
  const [plain, found] = [frequencies(), frequencies(stretched)];
  const kinds = plain.map((frequency, i) => {
    const wavelength = 2 * Math.PI / frequency;
    const ratio = found[i]! / frequency;
    if (wavelength < 8192 / 4) return ratio === 1 ? "kept" : "wrong";
    if (wavelength > 8192) return Math.abs(ratio - 1 / 8) < 1e-15 ? "divided" : "wrong";
    const smooth = (8192 / wavelength - 1) / 3;
    return Math.abs(ratio - ((1 - smooth) / 8 + smooth)) < 1e-12 ? "blended" : "wrong";
  });
  const counts = Object.fromEntries(
    ["kept", "blended", "divided"].map((kind) => [kind, kinds.filter((found) => found === kind).length]),
  );
  assert.deepEqual(counts, { kept: 29, blended: 6, divided: 29 });
});

Deno.test("rotaryFrequencies() are all divided alike where positions are interpolated", () => {
  const found = frequencies({ type: "linear", factor: 4 });
  assert.deepEqual(found, frequencies().map((frequency) => frequency / 4));
});

Deno.test("rotaryFrequencies() of YaRN keep pairs that turn often and divide those that hardly turn", () => {
  const plain = frequencies();
  const ratios = frequencies(yarn).map((frequency, i) => frequency / plain[i]!);
  // Pair 18 is the last to turn 32 times within 8192 tokens, pair 34 the last to turn once.
  const turns = plain.map((frequency) => frequency * 8192 / (2 * Math.PI));
  assert.equal(turns.findLastIndex((times) => times >= 32), 18);
  assert.equal(turns.findLastIndex((times) => times >= 1), 34);
  ratios.forEach((ratio, i) => {
    const divided = Math.min(1, Math.max(0, (i - 18) / (35 - 18)));
    assert(Math.abs(ratio - (1 - divided + divided / 16)) < 1e-12, `pair ${i}: ${ratio}`);
  });
});

Deno.test("stretchedContext() is what a stretched model can read, in tokens", () => {
  const scalings: readonly (RopeScaling | null)[] = [
    null,
    stretched,
    { type: "linear", factor: 4 },
    { type: "dynamic", factor: 2.5, pretrainingSequenceLength: 8192 },
    yarn,
    { ...yarn, pretrainingSequenceLength: 256 },
  ];
  assert.deepEqual(
    scalings.map((scaling) => stretchedContext(scaling, 8192)),
    [8192, 8192, 32_768, 20_480, 131_072, 8192],
  );
});
