import assert from "node:assert/strict";
import { advanceBeams, type Beams, type BeamSettings, bestAnswer, startBeams } from "./beams.ts";

const settings: BeamSettings = {
  numBeams: 2,
  lengthPenalty: 1,
  earlyStopping: false,
  stopTokenIds: new Set([0]),
  room: 9,
  endsWith: () => false,
};

/** Log-probabilities of four tokens. */
function row(...probabilities: [number, number, number, number]): Float32Array {
  return Float32Array.from(probabilities, Math.log);
}

function run(steps: readonly (readonly Float32Array[])[], given: Partial<BeamSettings> = {}): Beams {
  return steps.reduce(
    (beams, rows) => advanceBeams(beams, rows, { ...settings, ...given }).beams,
    startBeams(given.numBeams ?? settings.numBeams),
  );
}

const first = row(0.1, 0.5, 0.3, 0.1);

Deno.test("advanceBeams() begins from one text, and follows the best of all continuations", () => {
  const start = advanceBeams(startBeams(2), [first, first], settings);
  assert.deepEqual(start.beams.running.map(({ tokens }) => tokens), [[1], [2]]);
  assert.deepEqual(start.parents, [0, 0]);
  // 0.5 · 0.4, 0.5 · 0.3 and 0.3 · 0.9: the second text has the best continuation.
  const second = advanceBeams(start.beams, [row(0.2, 0.4, 0.3, 0.1), row(0.02, 0.9, 0.04, 0.04)], settings);
  assert.deepEqual(second.beams.running.map(({ tokens }) => tokens), [[2, 1], [1, 1]]);
  assert.deepEqual(second.parents, [1, 0]);
  assert(Math.abs(second.beams.running[0]!.score - Math.log(0.27)) < 1e-6);
});

Deno.test("an answer is found where a stop token is among the best, and is given without it", () => {
  const beams = run([[first, first], [row(0.7, 0.1, 0.1, 0.1), row(0.1, 0.7, 0.1, 0.1)]]);
  assert.deepEqual(beams.answers.map(({ found }) => found), [true, false]);
  assert.deepEqual(bestAnswer(beams, settings), [1]);
  // (log 0.5 + log 0.7) / 2 tokens.
  assert(Math.abs(beams.answers[0]!.score - Math.log(0.35) / 2) < 1e-6);
});

Deno.test("a stop token below the best ones is no answer", () => {
  const beams = run([[row(0.1, 0.5, 0.3, 0.1), first]]);
  assert(beams.answers.every(({ found }) => !found));
  assert.deepEqual(bestAnswer(beams, settings), [1]);
});

Deno.test("the length penalty decides between a short answer and a long one", () => {
  // "1, stop" has 0.5 · 0.5; "1, 3, stop" has 0.5 · 0.4 · 0.9.
  const steps = [
    [first, first],
    [row(0.5, 0.05, 0.05, 0.4), row(0.25, 0.25, 0.25, 0.25)],
    [row(0.9, 0.05, 0.03, 0.02), row(0.25, 0.25, 0.25, 0.25)],
  ];
  assert.deepEqual(bestAnswer(run(steps, { lengthPenalty: 0 }), settings), [1]);
  assert.deepEqual(bestAnswer(run(steps, { lengthPenalty: 2 }), settings), [1, 3]);
});

Deno.test("a search ends when no better answer is hoped for, when it has enough, or when there is no room", () => {
  const sure = row(0.97, 0.01, 0.01, 0.01);
  const begun = [[first, first], [sure, sure]];
  assert(!run([[first, first]]).ended);
  assert(run(begun).ended);
  // By the length of 9 tokens that an answer may still have, hope remains.
  assert(!run(begun, { earlyStopping: "never" }).ended);
  assert(run(begun, { earlyStopping: true }).ended);
  const open = run([[first, first]], { room: 1 });
  assert(open.ended);
  assert.deepEqual(bestAnswer(open, settings), [1]);
});

Deno.test("endsWith() ends a text like a stop token, but stays part of it", () => {
  const beams = run([[first, first]], { endsWith: (tokens) => tokens.at(-1) === 1 });
  assert.deepEqual(bestAnswer(beams, settings), [1]);
  assert.deepEqual(beams.answers.map(({ found }) => found), [true, false]);
  assert.equal(beams.running[0]!.tokens[0], 2);
});
