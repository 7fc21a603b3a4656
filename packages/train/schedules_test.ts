import assert from "node:assert/strict";
import fc from "fast-check";
import { checkSchedule, learningRateAt, type Schedule } from "./schedules.ts";

function assertRates(schedule: Schedule, expected: Record<number, number>) {
  for (const [step, rate] of Object.entries(expected)) {
    const found = learningRateAt(schedule, Number(step));
    assert.ok(Math.abs(found - rate) < 1e-12, `${schedule.type} at ${step}: ${found}, expected ${rate}`);
  }
}

Deno.test("learningRateAt() keeps a constant schedule at its peak", () => {
  assertRates({ type: "constant", peak: 0.5 }, { 0: 0.5, 1: 0.5, 1000: 0.5 });
});

Deno.test("learningRateAt() climbs in equal parts and never starts from 0", () => {
  assertRates({ type: "constant", peak: 1, warmupSteps: 4 }, { 0: 0.2, 1: 0.4, 2: 0.6, 3: 0.8, 4: 1, 5: 1 });
});

Deno.test("learningRateAt() falls on a line to the final fraction and stays there", () => {
  const schedule: Schedule = { type: "linear", peak: 2, warmupSteps: 1, totalSteps: 5, finalFraction: 0.5 };
  assertRates(schedule, { 0: 1, 1: 2, 2: 1.75, 3: 1.5, 4: 1.25, 5: 1, 6: 1, 100: 1 });
  assertRates({ type: "linear", peak: 1, totalSteps: 4 }, { 0: 1, 1: 0.75, 2: 0.5, 3: 0.25, 4: 0 });
});

Deno.test("learningRateAt() falls on half a cosine wave", () => {
  const schedule: Schedule = { type: "cosine", peak: 1, totalSteps: 6, finalFraction: 0.1 };
  // cos(60 deg) = 0.5, so a third of the way leaves three quarters of the range.
  assertRates(schedule, { 0: 1, 2: 0.1 + 0.9 * 0.75, 3: 0.55, 4: 0.1 + 0.9 * 0.25, 6: 0.1, 7: 0.1 });
});

Deno.test("learningRateAt() restarts the cosine wave", () => {
  const schedule: Schedule = { type: "cosineRestarts", peak: 1, warmupSteps: 2, totalSteps: 10, cycles: 2 };
  assertRates(schedule, { 0: 1 / 3, 1: 2 / 3, 2: 1, 4: 0.5, 6: 1, 8: 0.5, 10: 0, 11: 0 });
});

Deno.test("learningRateAt() falls with the root of the step", () => {
  assertRates({ type: "inverseSqrt", peak: 1, warmupSteps: 4, finalFraction: 0.25 }, {
    0: 0.2,
    4: 1,
    16: 0.5,
    64: 0.25,
    400: 0.25,
  });
  assertRates({ type: "inverseSqrt", peak: 1 }, { 0: 1, 1: 1, 4: 0.5 });
});

Deno.test("learningRateAt() stays between 0 and the peak, and the peak is reached", () => {
  const parts = fc.record({
    type: fc.constantFrom("constant", "linear", "cosine", "cosineRestarts", "inverseSqrt"),
    peak: fc.double({ min: 1e-6, max: 1, noNaN: true }),
    warmupSteps: fc.nat(20),
    totalSteps: fc.integer({ min: 21, max: 60 }),
    finalFraction: fc.double({ min: 0, max: 1, noNaN: true }),
    cycles: fc.integer({ min: 1, max: 4 }),
  });
  fc.assert(
    fc.property(parts, fc.nat(80), ({ type, peak, warmupSteps, totalSteps, finalFraction, cycles }, step) => {
      const decay = type === "constant"
        ? {}
        : type === "inverseSqrt"
        ? { finalFraction }
        : { totalSteps, finalFraction };
      const record = { type, peak, warmupSteps, ...decay, ...(type === "cosineRestarts" ? { cycles } : {}) };
      const schedule = JSON.parse(JSON.stringify(record)) as Schedule;
      const rate = learningRateAt(schedule, step);
      assert.ok(rate >= 0 && rate <= peak * (1 + 1e-12));
      assert.ok(Math.abs(learningRateAt(schedule, warmupSteps) - peak) <= peak * 1e-12);
    }),
    { seed: 1 },
  );
});

Deno.test("checkSchedule() says what is wrong and what would be right", () => {
  const cases: [unknown, string, string][] = [
    [
      "cosine",
      "TypeError",
      'Cannot use "cosine" as a learning-rate schedule: expected a record such as ' +
      '{ "type": "constant", "peak": 1e-4 }',
    ],
    [{ type: "cosin" }, "TypeError", 'Cannot use a learning-rate schedule of type "cosin": did you mean "cosine"?'],
    [
      { type: "step" },
      "TypeError",
      'Cannot use a learning-rate schedule of type "step": expected one of constant, ' +
      "linear, cosine, cosineRestarts, inverseSqrt",
    ],
    [
      { type: "linear", peak: 1, totalStep: 4 },
      "TypeError",
      'Cannot use the linear schedule: unknown field "totalStep"; did you mean "totalSteps"?',
    ],
    [
      { type: "linear", peak: 1 },
      "TypeError",
      'Cannot use the linear schedule: "totalSteps" is missing; expected a whole number of at least 1',
    ],
    [
      { type: "constant", peak: "1e-4" },
      "TypeError",
      'Cannot use the constant schedule: "peak" is "1e-4"; expected a number of at least 0',
    ],
    [
      { type: "constant", peak: NaN },
      "RangeError",
      'Cannot use the constant schedule: "peak" is NaN; expected a number of at least 0',
    ],
    [
      { type: "cosine", peak: 1, totalSteps: 10, finalFraction: 1.5 },
      "RangeError",
      'Cannot use the cosine schedule: "finalFraction" is 1.5; expected a number between 0 and 1',
    ],
    [
      { type: "cosine", peak: 1, totalSteps: 10, warmupSteps: 10 },
      "RangeError",
      'Cannot use the cosine schedule: "warmupSteps" (10) must be less than "totalSteps" (10)',
    ],
  ];
  for (const [value, name, message] of cases) assert.throws(() => checkSchedule(value), { name, message });
});

Deno.test("learningRateAt() rejects a step that is not a whole number", () => {
  assert.throws(() => learningRateAt({ type: "constant", peak: 1 }, 0.5), {
    name: "RangeError",
    message: "Cannot take a learning rate at step 0.5: expected a whole number of at least 0",
  });
});
