/** Axes: where values stand and which of them are labeled. */

/** An axis from values to places between 0 and 1. */
export interface Scale {
  /** Where a value stands: 0 at the low end, 1 at the high end. */
  at(value: number): number;
  /** The values that are labeled, ascending. */
  readonly ticks: readonly number[];
  /** Whether equal distances are equal ratios. */
  readonly isLogarithmic: boolean;
}

/** The round step, 1, 2 or 5 times a power of ten, that divides a range into at most `most` intervals. */
function roundStep(range: number, most: number): number {
  const power = 10 ** Math.floor(Math.log10(range / most));
  return power * [1, 2, 5, 10].find((factor) => factor * power * most >= range * (1 - 1e-9))!;
}

/** Makes an axis in equal steps; its ends are ticks unless `fit` is given, which ends it at the data. */
export function linearScale(
  low: number,
  high: number,
  options: { readonly ticks?: number; readonly fit?: boolean } = {},
): Scale {
  const { ticks: most = 5, fit = false } = options;
  const range = high > low ? high - low : Math.abs(high) || 1;
  const step = roundStep(range, most);
  const first = fit ? Math.ceil(low / step) : Math.floor(low / step + 1e-9);
  const last = fit ? Math.floor((low + range) / step + 1e-9) : Math.ceil((low + range) / step - 1e-9);
  // Whole multiples divided by a whole number, else 3 × 0.1 prints as 0.30000000000000004.
  const ticks = Array.from(
    { length: Math.max(1, last - first + 1) },
    (_, i) => Number(((first + i) * step).toPrecision(12)),
  );
  const [from, to] = fit ? [low, low + range] : [ticks[0]!, ticks.at(-1)!];
  return { at: (value) => (value - from) / (to - from || 1), ticks, isLogarithmic: false };
}

/** Makes an axis in equal ratios over positive values, labeled at 1, 2 and 5 times powers of ten. */
export function logScale(low: number, high: number): Scale {
  const [from, to] = [Math.log10(low), Math.log10(high > low ? high : low * 10)];
  // The more decades, the fewer labels in each.
  const factors = to - from > 3 ? [1] : to - from > 1.5 ? [1, 3] : [1, 2, 5];
  const ticks: number[] = [];
  for (let power = Math.floor(from); power <= Math.ceil(to); power++) {
    for (const factor of factors) {
      const tick = Number((factor * 10 ** power).toPrecision(12));
      if (Math.log10(tick) >= from - 1e-9 && Math.log10(tick) <= to + 1e-9) ticks.push(tick);
    }
  }
  return { at: (value) => (Math.log10(Math.max(value, low)) - from) / (to - from), ticks, isLogarithmic: true };
}

/** An axis for losses: in equal ratios where they span more than a factor of twenty, so that the end can be read too. */
export function lossScale(values: readonly number[]): Scale {
  const positive = values.filter((value) => value > 0);
  const low = positive.reduce((least, value) => Math.min(least, value), Infinity);
  const high = positive.reduce((most, value) => Math.max(most, value), 0);
  return positive.length > 0 && high / low > 20 ? logScale(low * 0.9, high * 1.1) : linearScale(0, high || 1);
}

/** A tick's label, as short as it can be: `0.05`, `2`, `1e-4`. */
export function tickLabel(value: number): string {
  if (value === 0) return "0";
  return Math.abs(value) < 0.001 || Math.abs(value) >= 1e6 ? value.toExponential().replace("e+", "e") : String(value);
}
