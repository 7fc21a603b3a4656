import assert from "node:assert/strict";
import fc from "fast-check";
import { dequantize, emptyRuns, evaluate, hostTensor, quantizeRuns, trace } from "./mod.ts";

/** What quantising numbers and reading them back gives. */
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

Deno.test("quantizeRuns() with 4 bits keeps a run's largest magnitude and is off by an 8th of it at most", () => {
  fc.assert(
    fc.property(runsOf(4), (list) => {
      const values = Float32Array.from(list);
      const back = roundTrip(values, 4, 4);
      for (let i = 0; i < values.length; i++) {
        const from = i - i % 4;
        const own = [...values.subarray(from, from + 4)];
        const peak = Math.max(...own.map(Math.abs));
        assert.ok(Math.abs(back[i]! - values[i]!) <= (1 + 1e-3) * peak / 8, `${values[i]} became ${back[i]}`);
        // Of two with the largest magnitude, the first one's side has one code more.
        const isPeak = own.findIndex((value) => Math.abs(value) === peak) === i % 4;
        if (isPeak) assert.ok(Math.abs(back[i]! - values[i]!) <= 1e-6 * peak, `${values[i]} became ${back[i]}`);
      }
    }),
    { seed: 4, numRuns: 200 },
  );
});

Deno.test("quantizeRuns() keeps runs of zeros", () => {
  for (const bits of [4, 8] as const) assert.deepEqual([...roundTrip(new Float32Array(8), 4, bits)], Array(8).fill(0));
});
