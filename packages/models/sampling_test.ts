import assert from "node:assert/strict";
import { sampleToken, type Sampling, samplingOf } from "./sampling.ts";

const logits = Float32Array.of(1, 3, -Infinity, 2, 0);
const probabilities = ((weights) => weights.map((weight) => weight / weights.reduce((sum, each) => sum + each, 0)))(
  [...logits].map(Math.exp),
);

/** How often each token is drawn in many steps. */
function shares(sampling: Sampling, count = 20_000): number[] {
  const drawn = new Array<number>(logits.length).fill(0);
  for (let step = 0; step < count; step++) drawn[sampleToken(logits, sampling, 0, step)]!++;
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
