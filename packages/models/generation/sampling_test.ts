import assert from "node:assert/strict";
import { filterLogits, type Logits, penalizeRepetition } from "./logit_filters.ts";
import {
  type SamplerName,
  samplers,
  sampleToken,
  type Sampling,
  samplingOf,
  type SamplingOptions,
} from "./sampling.ts";

const logits = Float32Array.of(1, 3, -Infinity, 2, 0);
const probabilities = ((weights) => weights.map((weight) => weight / weights.reduce((sum, each) => sum + each, 0)))(
  [...logits].map(Math.exp),
);

/** How often each token is drawn in many steps. */
function shares(sampling: Sampling, count = 20_000, row: Logits = logits): number[] {
  const drawn = new Array<number>(row.length).fill(0);
  for (let step = 0; step < count; step++) drawn[sampleToken(row, sampling, 0, step)]!++;
  return drawn.map((times) => times / count);
}

function assertShares(found: readonly number[], expected: readonly number[]): void {
  found.forEach((share, token) =>
    assert(Math.abs(share - expected[token]!) < 0.015, `token ${token}: ${found}, ${expected}`)
  );
}

Deno.test("samplingOf() is greedy unless told otherwise", () => {
  const { temperature, topK, topP } = samplingOf({});
  assert.deepEqual({ temperature, topK, topP }, { temperature: 0, topK: null, topP: null });
});

Deno.test("sampleToken() draws by probability, and never what has none", () => {
  assertShares(shares(samplingOf({ temperature: 1 })), probabilities);
  assert.equal(shares(samplingOf({ temperature: 100 }))[2], 0);
});

Deno.test("sampleToken() follows the seed, the row and the step", () => {
  const draw = (seed: number, row: number) =>
    Array.from({ length: 64 }, (_, step) => sampleToken(logits, samplingOf({ temperature: 2, seed }), row, step)).join(
      "",
    );
  assert.equal(draw(1, 0), draw(1, 0));
  assert.equal(new Set([draw(1, 0), draw(2, 0), draw(1, 1), draw(2 ** 40, 0)]).size, 4);
});

Deno.test("a low temperature draws the likeliest, a high one evenly", () => {
  assert.equal(shares(samplingOf({ temperature: 0.01 }), 200)[1], 1);
  assertShares(shares(samplingOf({ temperature: 1000 })), [0.25, 0.25, 0, 0.25, 0.25]);
});

Deno.test("topK keeps the likeliest tokens, in the proportions that they have", () => {
  const sum = probabilities[1]! + probabilities[3]!;
  assertShares(shares(samplingOf({ temperature: 1, topK: 2 })), [
    0,
    probabilities[1]! / sum,
    0,
    probabilities[3]! / sum,
    0,
  ]);
  assertShares(shares(samplingOf({ temperature: 1, topK: 100 })), probabilities);
});

Deno.test("topP keeps as few tokens as reach the share, and the likeliest always", () => {
  const sum = probabilities[1]! + probabilities[3]!;
  const topTwo = [0, probabilities[1]! / sum, 0, probabilities[3]! / sum, 0];
  assertShares(shares(samplingOf({ temperature: 1, topP: probabilities[1]! + 0.01 })), topTwo);
  assert.equal(shares(samplingOf({ temperature: 1, topP: 1e-9 }), 200)[1], 1);
  assertShares(shares(samplingOf({ temperature: 1, topP: 1 })), probabilities);
});

Deno.test("topP counts among what topK left", () => {
  assert.equal(shares(samplingOf({ temperature: 1, topK: 2, topP: 0.6 }), 200)[1], 1);
});

Deno.test("minP keeps what is not far less likely than the likeliest", () => {
  const settings = samplingOf({ minP: 0.1 });
  assert.equal(settings.temperature, 1);
  // e⁻³ is below a tenth; e⁻² is above it.
  const sum = probabilities[0]! + probabilities[1]! + probabilities[3]!;
  assertShares(shares(settings), [probabilities[0]! / sum, probabilities[1]! / sum, 0, probabilities[3]! / sum, 0]);
});

Deno.test("topK keeps all tokens that are as likely as the last of them", () => {
  assertShares(shares(samplingOf({ temperature: 1, topK: 2 }), 20_000, Float32Array.of(1, 2, 2, 0, 2)), [
    0,
    1 / 3,
    1 / 3,
    0,
    1 / 3,
  ]);
});

Deno.test("filters find the likeliest tokens of a large vocabulary, however far apart their logits are", () => {
  for (const spread of [0.1, 3, 100]) {
    const logits = Float32Array.from({ length: 5000 }, (_, i) => spread * Math.sin(i * 12.9898) * Math.cos(i * 78.233));
    const sorted = logits.toSorted().reverse();
    const topK = filterLogits(logits, { temperature: 1, topK: 300, topP: null, minP: null });
    assert.deepEqual(topK.filter((logit) => logit > -Infinity).sort().reverse(), sorted.slice(0, 300));
    const total = logits.reduce((sum, logit) => sum + Math.exp(logit - sorted[0]!), 0);
    const topP = filterLogits(logits, { temperature: 1, topK: null, topP: 0.8, minP: null });
    const kept = topP.filter((logit) => logit > -Infinity).sort().reverse();
    const mass = (count: number) => sorted.slice(0, count).reduce((sum, x) => sum + Math.exp(x - sorted[0]!), 0);
    assert(mass(kept.length) >= 0.8 * total - 1e-6 && mass(kept.length - 1) < 0.8 * total);
    assert.deepEqual(kept, sorted.slice(0, kept.length));
  }
});

Deno.test("penalizeRepetition() makes tokens less likely, once each, and changes nothing else", () => {
  const row = Float32Array.of(2, -1, 3, 0);
  assert.deepEqual([...penalizeRepetition(row, 2, [0, 1, 0])], [1, -2, 3, 0]);
  assert.deepEqual([...row], [2, -1, 3, 0]);
});

Deno.test("a sampler by name stands for its settings, which options change, and not for the checkpoint's", () => {
  const checkpoint = { temperature: 0.6, topP: 0.9, repetitionPenalty: 1.1 };
  const found = (options: SamplingOptions) => {
    const { temperature, topK, topP, repetitionPenalty, search } = samplingOf(options, checkpoint);
    return { temperature, topK, topP, repetitionPenalty, search };
  };
  const plain = { topK: null, topP: null, repetitionPenalty: 1, search: "sample" };
  assert.deepEqual(found({}), { ...plain, ...checkpoint });
  assert.deepEqual(found({ temperature: 0 }), { ...plain, ...checkpoint, temperature: 0 });
  assert.deepEqual(found({ temperature: undefined } as unknown as SamplingOptions), { ...plain, ...checkpoint });
  assert.deepEqual(found({ sampler: "greedy" }), { ...plain, temperature: 0 });
  assert.deepEqual(found({ sampler: "top_k" }), { ...plain, temperature: 1, topK: 5 });
  assert.deepEqual(found({ sampler: "top_k", topK: 50, temperature: 2 }), { ...plain, temperature: 2, topK: 50 });
  assert.deepEqual(found({ sampler: "contrastive" }), { ...plain, temperature: 0, topK: 5, search: "contrastive" });
  assert.deepEqual(found({ numBeams: 3 }).search, "beam");
  assert.deepEqual(found({ numBeams: 1 }), { ...plain, ...checkpoint });
  for (const name of Object.keys(samplers)) samplingOf({ sampler: name as SamplerName });
});
