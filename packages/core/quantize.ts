/** Rounding numbers to integer codes, on the host: where the operands of `dequantize` come from. */
import type { QuantizationBits } from "./composites/quantization.ts";

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
 * Rounds numbers to codes of `(code - 2^(bits - 1)) · scale`, each run of `run` neighbours with the scale that uses all codes: its
 * number of the largest magnitude becomes ±127 with 8 bits and -8 with 4, whose scale may be negative. Writes into `into` from the
 * element `start` on, which begins a run.
 */
export function quantizeRuns(
  values: Float32Array<ArrayBufferLike>,
  run: number,
  bits: QuantizationBits,
  into: QuantizedRuns,
  start = 0,
): void {
  const { codes, scales } = into;
  for (let from = 0; from < values.length; from += run) {
    let peak = 0;
    for (let i = from; i < from + run; i++) {
      if (Math.abs(values[i]!) > Math.abs(peak)) peak = values[i]!;
    }
    // Codes are made from the scale as it is stored.
    const scale = peak === 0 ? 0 : Math.fround(bits === 8 ? Math.abs(peak) / 127 : peak / -8);
    scales[(start + from) / run] = scale;
    const perUnit = scale === 0 ? 0 : 1 / scale;
    if (bits === 8) {
      for (let i = from; i < from + run; i++) codes[start + i] = Math.floor(values[i]! * perUnit + 128.5);
    } else {
      for (let i = from; i < from + run; i += 2) {
        const low = Math.min(15, Math.floor(values[i]! * perUnit + 8.5));
        const high = Math.min(15, Math.floor(values[i + 1]! * perUnit + 8.5));
        codes[(start + i) / 2] = low | high << 4;
      }
    }
  }
}
