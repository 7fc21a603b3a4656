/** Slices of row-major arrays as runs of contiguous elements, for copying. */

/** The runs that make up a slice of an array. */
export interface Runs {
  /** Where each run starts in the whole array, in elements, in order. */
  readonly starts: readonly number[];
  /** How many elements each run has. */
  readonly length: number;
}

/** The runs of the slice of a row-major array that a span `[begin, end)` along each axis gives. */
export function contiguousRuns(
  shape: readonly number[],
  spans: readonly (readonly [begin: number, end: number])[],
): Runs {
  // From the last axis inward, a run continues through whole axes and ends with the first partial one.
  let axis = shape.length - 1;
  let stride = 1; // elements per step along `axis`
  while (axis >= 0 && spans[axis]![0] === 0 && spans[axis]![1] === shape[axis]) stride *= shape[axis--]!;
  if (axis < 0) return { starts: [0], length: stride };
  const [begin, end] = spans[axis]!;
  let starts = [begin * stride];
  const length = (end - begin) * stride;
  stride *= shape[axis]!;
  while (--axis >= 0) {
    const [from, to] = spans[axis]!;
    const inner = starts;
    const step = stride;
    starts = Array.from({ length: to - from }, (_, i) => inner.map((start) => (from + i) * step + start)).flat();
    stride *= shape[axis]!;
  }
  return { starts, length };
}
