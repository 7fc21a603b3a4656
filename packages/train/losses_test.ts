import assert from "node:assert/strict";
import { decompose, evaluate, hostTensor, normal, randomKey, toFloat32, trace } from "@tessera/core";
import fc from "fast-check";
import { correctPredictions, languageModelLoss, perToken } from "./losses.ts";

const vocabulary = 7;

interface Row {
  readonly tokens: readonly number[];
  readonly mask: readonly number[];
}

/** Logits of a place that follow from the tokens up to it alone, as a causal model's do. */
function logitsAt(tokens: readonly number[], place: number): number[] {
  const seed = tokens.slice(0, place + 1).reduce((hash, token) => (hash * 31 + token + 1) >>> 0, 7);
  return [...normal(randomKey(seed), vocabulary)];
}

/** The loss of rows padded to a length with a token, with logits at padding that would show if they counted. */
function lossOf(
  rows: readonly Row[],
  time: number,
  pad: number,
): { loss: number; tokens: number; correct: number; mean: number } {
  const padded = <T>(row: readonly T[], fill: T) => [...row, ...new Array<T>(time - row.length).fill(fill)];
  const shape = [rows.length, time];
  const graph = decompose(trace("loss", {
    logits: { shape: [...shape, vocabulary], dtype: "float32" },
    tokenIds: { shape, dtype: "int32" },
    lossMask: { shape, dtype: "float32" },
  }, (inputs) => {
    const { loss, tokens } = languageModelLoss(inputs);
    return { loss, tokens, correct: correctPredictions(inputs), mean: perToken(loss, tokens) };
  }));
  const logits: number[] = rows.flatMap(({ tokens }) =>
    Array.from(
      { length: time },
      (_, t) => t < tokens.length ? logitsAt(tokens, t) : new Array(vocabulary).fill(t * 100),
    ).flat()
  );
  const results = evaluate(graph, [
    hostTensor("float32", [...shape, vocabulary], Float32Array.from(logits)),
    hostTensor("int32", shape, Int32Array.from(rows.flatMap(({ tokens }) => padded(tokens, pad)))),
    hostTensor("float32", shape, Float32Array.from(rows.flatMap(({ mask }) => padded(mask, 0)))),
  ]);
  const [loss, tokens, correct, mean] = results.map((result) => toFloat32(result)[0]!) as [
    number,
    number,
    number,
    number,
  ];
  return { loss, tokens, correct, mean };
}

/** The same by hand: the negative log-probability of each token that counts, given the place before it. */
function expectedLoss(rows: readonly Row[]) {
  let [loss, tokens, correct] = [0, 0, 0];
  for (const { tokens: row, mask } of rows) {
    for (let t = 1; t < row.length; t++) {
      if (mask[t] === 0) continue;
      const logits = logitsAt(row, t - 1);
      loss += Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit), 0)) - logits[row[t]!]!;
      correct += logits.indexOf(Math.max(...logits)) === row[t] ? 1 : 0;
      tokens++;
    }
  }
  return { loss, tokens, correct };
}

const rows = fc.array(
  fc.array(fc.record({ token: fc.nat(vocabulary - 1), counts: fc.nat(1) }), { minLength: 1, maxLength: 6 })
    .map((places): Row => ({ tokens: places.map(({ token }) => token), mask: places.map(({ counts }) => counts) })),
  { minLength: 1, maxLength: 3 },
);

Deno.test("languageModelLoss() is what one works out by hand, whatever the padding", () => {
  fc.assert(
    fc.property(rows, fc.nat(4), fc.nat(vocabulary - 1), (rows, more, pad) => {
      const expected = expectedLoss(rows);
      const longest = Math.max(...rows.map(({ tokens }) => tokens.length));
      const found = lossOf(rows, longest + more, pad);
      assert(
        Math.abs(found.loss - expected.loss) <= 1e-4 * Math.max(1, expected.loss),
        `${found.loss}, ${expected.loss}`,
      );
      assert.equal(found.tokens, expected.tokens);
      assert.equal(found.correct, expected.correct);
      assert(Math.abs(found.mean - expected.loss / Math.max(1, expected.tokens)) <= 1e-4);
    }),
    { seed: 1, numRuns: 60 },
  );
});

Deno.test("languageModelLoss() of a batch in which nothing counts is zero", () => {
  const nothing = { tokens: [1, 2, 3], mask: [0, 0, 0] };
  assert.deepEqual(lossOf([nothing, nothing], 5, 0), { loss: 0, tokens: 0, correct: 0, mean: 0 });
  // The first token has nothing before it to predict it from.
  assert.deepEqual(lossOf([{ tokens: [1], mask: [1] }], 3, 0), { loss: 0, tokens: 0, correct: 0, mean: 0 });
});
