import assert from "node:assert/strict";
import {
  decompose,
  einsum,
  evaluate,
  gradients,
  hostTensor,
  normal,
  randomKey,
  sizeOf,
  type Tensor,
  toFloat32,
  trace,
} from "@tessera/core";
import { assertAllClose } from "@tessera/core/testing";
import fc from "fast-check";
import { evaluationSums, languageModelLoss, perToken } from "./losses.ts";

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
    hidden: { shape: [...shape, vocabulary], dtype: "float32" },
    tokenIds: { shape, dtype: "int32" },
    lossMask: { shape, dtype: "float32" },
  }, (batch) => {
    const inputs = { ...batch, logits: (hidden: Tensor) => hidden, vocabularySize: vocabulary, replicas: 1 };
    const { loss, tokens } = languageModelLoss(inputs);
    const evaluated = evaluationSums(inputs);
    return { loss, tokens, mean: perToken(loss, tokens), correct: evaluated.correct, again: evaluated.loss };
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
  const [loss, tokens, mean, correct, again] = results.map((result) => toFloat32(result)[0]!);
  assert.equal(again, loss);
  return { loss: loss!, tokens: tokens!, correct: correct!, mean: mean! };
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

/** The sums and gradients of a batch of 140 rows with a linear head, whose logits are capped. */
function sumsOfHead(vocabularySize: number, replicas = 1) {
  const [batch, time, width] = [140, 5, 3];
  const float = (...shape: number[]) => ({ shape, dtype: "float32" }) as const;
  const types = { hidden: float(batch, time, width), table: float(vocabulary, width), lossMask: float(batch, time) };
  const graph = trace("head", { ...types, tokenIds: { shape: [batch, time], dtype: "int32" } }, (inputs) => {
    const logits = (hidden: Tensor) => einsum("btd,vd->btv", hidden, inputs.table).mul(0.5).tanh().mul(2);
    const { loss, tokens } = languageModelLoss({ ...inputs, logits, vocabularySize, replicas });
    const [dhidden, dtable] = gradients(perToken(loss, tokens), [inputs.hidden, inputs.table]);
    const { correct, loss: again } = evaluationSums({ ...inputs, logits, vocabularySize, replicas });
    return { loss, tokens, correct, again, dhidden: dhidden!, dtable: dtable! };
  });
  const random = (seed: number, ...shape: number[]) =>
    hostTensor("float32", shape, normal(randomKey(seed), sizeOf(shape)));
  const tokenIds = Int32Array.from({ length: batch * time }, (_, i) => (i * 5 + 3) % vocabulary);
  const mask = Float32Array.from(tokenIds, (_, i) => i % 3 === 0 ? 0 : 1);
  const found = evaluate(decompose(graph), [
    random(1, batch, time, width),
    random(2, vocabulary, width),
    hostTensor("float32", [batch, time], mask),
    hostTensor("int32", [batch, time], tokenIds),
  ]);
  const logits = graph.nodes.filter(({ op }) => op === "crossEntropy").map(({ operands }) => operands[0]!.shape);
  return { logits, found };
}

Deno.test("languageModelLoss() of a large vocabulary is the same, with the logits of a few positions at a time", () => {
  const [small, large] = [sumsOfHead(vocabulary), sumsOfHead(256000)];
  // Once in training and once in evaluation.
  assert.deepEqual(small.logits, [[140, 5, vocabulary], [140, 5, vocabulary]]);
  assert.deepEqual(large.logits, new Array(10).fill([140, 1, vocabulary]));
  // Where devices share the rows, each has the logits of its own.
  assert.deepEqual(sumsOfHead(256000, 5).logits, small.logits);
  small.found.forEach((expected, i) => assertAllClose(large.found[i]!, expected, { absolute: 1e-6, relative: 1e-5 }));
});
