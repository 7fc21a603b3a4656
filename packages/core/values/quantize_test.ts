import assert from "node:assert/strict";
import fc from "fast-check";
import { dequantize, emptyRuns, evaluate, hostTensor, normal, quantizeRuns, randomKey, trace } from "../mod.ts";

/** What quantizing numbers and reading them back gives. */
function roundTrip(values: Float32Array<ArrayBuffer>, run: number, bits: 4 | 8): Float32Array {
  const runs = emptyRuns(values.length, run, bits);
  // In two steps, as a loader does it.
  const half = run * Math.floor(values.length / run / 2);
  quantizeRuns(values.subarray(0, half), run, bits, runs);
  quantizeRuns(values.subarray(half), run, bits, runs, half);
  const types = {
    codes: { shape: [values.length / run, run * bits / 8], dtype: "uint8" },
    scales: { shape: [values.length / run, 1], dtype: "float32" },
  } as const;
  const graph = trace("back", types, ({ codes, scales }) => ({ y: dequantize(codes, scales, { bits }) }));
  const operands = [
    hostTensor("uint8", types.codes.shape, runs.codes),
    hostTensor("float32", types.scales.shape, runs.scales),
  ];
  return evaluate(graph, operands)[0]!.data as Float32Array;
}

const runsOf = (run: number) =>
  fc.array(fc.float({ noNaN: true, min: -1000, max: 1000 }), { minLength: 3 * run, maxLength: 3 * run });

Deno.test("quantizeRuns() with 8 bits is off by half a 127th of a run's largest magnitude at most", () => {
  fc.assert(
    fc.property(runsOf(6), (list) => {
      const values = Float32Array.from(list);
      const back = roundTrip(values, 6, 8);
      for (let i = 0; i < values.length; i++) {
        const from = i - i % 6;
        const peak = Math.max(...values.subarray(from, from + 6).map(Math.abs));
        assert.ok(Math.abs(back[i]! - values[i]!) <= (0.5 + 1e-3) * peak / 127, `${values[i]} became ${back[i]}`);
      }
    }),
    { seed: 3, numRuns: 200 },
  );
});

/** The sum of the squares of differences. */
function squaredError(found: Float32Array, expected: Float32Array): number {
  return found.reduce((sum, value, i) => sum + (value - expected[i]!) ** 2, 0);
}

Deno.test("quantizeRuns() with 4 bits is never further off than by the scale that makes the largest magnitude -8", () => {
  fc.assert(
    fc.property(runsOf(4), (list) => {
      const values = Float32Array.from(list);
      const back = roundTrip(values, 4, 4);
      for (let from = 0; from < values.length; from += 4) {
        const own = values.subarray(from, from + 4);
        const peak = own.reduce((most, value) => Math.abs(value) > Math.abs(most) ? value : most, 0);
        const scale = peak / -8;
        const plain = own.map((value) => scale === 0 ? 0 : Math.min(7, Math.round(value / scale)) * scale);
        const [found, most] = [squaredError(back.subarray(from, from + 4), own), squaredError(plain, own)];
        assert.ok(found <= most + 1e-9 * peak ** 2, `${own} became ${back.subarray(from, from + 4)}`);
      }
    }),
    { seed: 4, numRuns: 300 },
  );
});

Deno.test("quantizeRuns() with 4 bits leaves 8.2 % of normal numbers in runs of 32", () => {
  const values = normal(randomKey(7), 1 << 16);
  const error = Math.sqrt(squaredError(roundTrip(values, 32, 4), values) / squaredError(values, values.map(() => 0)));
  assert.ok(error < 0.082, `${error}`);
});

Deno.test("quantizeRuns() keeps runs of zeros", () => {
  for (const bits of [4, 8] as const) assert.deepEqual([...roundTrip(new Float32Array(8), 4, bits)], Array(8).fill(0));
});
