/** Quantization on the host: rounds numbers to the integer codes that `dequantize` takes. */
import type { QuantizationBits } from "../composites/quantization.ts";

/** Where codes and scales are written. */
export interface QuantizedRuns {
  /** The codes: one byte per element with 8 bits, one per two elements with 4. */
  readonly codes: Uint8Array<ArrayBufferLike>;
  /** One scale per run. */
  readonly scales: Float32Array<ArrayBufferLike>;
}

/** Space for the codes and scales of `size` elements. */
export function emptyRuns(size: number, run: number, bits: QuantizationBits): QuantizedRuns {
  return { codes: new Uint8Array(size * bits / 8), scales: new Float32Array(size / run) };
}

/**
 * The magnitudes on the scale of 4-bit codes that are tried for a block's largest number. Above 8 that number is clipped to -8 and
 * the others get finer steps. For normally distributed numbers in blocks of 32 the best of these leaves an error of 8.15 %, 8 alone
 * 8.59 %, and a search over fifteen magnitudes 8.09 %.
 */
const placesOfPeak = [8, 7.25, 8.5];

/**
 * Rounds numbers to codes of `(code - 2^(bits - 1)) · scale`, each run of `run` neighbors with a scale of its own. With 8 bits the
 * number of the largest magnitude becomes ±127; with 4 bits it tries a few scales, which may be negative, and takes the one with the least
 * squared error. Writes into `into` from the element `start` on, which begins a run.
 */
export function quantizeRuns(
  values: Float32Array<ArrayBufferLike>,
  run: number,
  bits: QuantizationBits,
  into: QuantizedRuns,
  start = 0,
): void {
  const { codes, scales } = into;
  const own = bits === 8 ? codes.subarray(start) : codes.subarray(start / 2);
  const quantizeRun = bits === 8 ? toBytes : toHalfBytes;
  for (let from = 0; from < values.length; from += run) {
    scales[(start + from) / run] = quantizeRun(values, from, from + run, own);
  }
}

/** The number of the largest magnitude, with its sign. */
function peakOf(values: Float32Array<ArrayBufferLike>, from: number, to: number): number {
  let peak = 0;
  for (let i = from; i < to; i++) {
    if (Math.abs(values[i]!) > Math.abs(peak)) peak = values[i]!;
  }
  return peak;
}

type Codes = QuantizedRuns["codes"];

/** Writes the 8-bit codes of one run and returns their scale. */
function toBytes(values: Float32Array<ArrayBufferLike>, from: number, to: number, codes: Codes): number {
  // Codes are computed from the scale as it is stored, after rounding.
  const scale = Math.fround(Math.abs(peakOf(values, from, to)) / 127);
  const perUnit = scale === 0 ? 0 : 1 / scale;
  for (let i = from; i < to; i++) codes[i] = Math.floor(values[i]! * perUnit + 128.5);
  return scale;
}

/** Writes the 4-bit codes of one run and returns their scale. */
function toHalfBytes(values: Float32Array<ArrayBufferLike>, from: number, to: number, codes: Codes): number {
  const peak = peakOf(values, from, to);
  let [best, scale, perUnit] = [-1, 0, 0];
  for (const place of placesOfPeak) {
    const factor = peak === 0 ? 0 : -place / peak;
    let [dot, squares] = [0, 0];
    for (let i = from; i < to; i++) {
      const code = halfByte(values[i]! * factor) - 8;
      dot += values[i]! * code;
      squares += code * code;
    }
    // The best scale for codes c of numbers x is x·c / c·c, and lowers the squared error from x·x by (x·c)² / c·c.
    const gain = squares === 0 ? 0 : dot * dot / squares;
    if (gain > best) [best, scale, perUnit] = [gain, squares === 0 ? 0 : dot / squares, factor];
  }
  for (let i = from; i < to; i += 2) {
    codes[i / 2] = halfByte(values[i]! * perUnit) | halfByte(values[i + 1]! * perUnit) << 4;
  }
  return Math.fround(scale);
}

/** The 4-bit code nearest to a number from -8.5 to 8.5. */
function halfByte(value: number): number {
  return Math.min(15, value + 8.5 | 0);
}
