/** From the position of an element in a result to the position of the element of an operand that it comes from. */

/** An axis of a result: its length, and how far apart its elements stand in the operand. */
interface Axis {
  readonly length: number;
  readonly stride: number;
}

/** Row-major strides of a shape. */
export function stridesOf(shape: readonly number[]): number[] {
  const strides = new Array<number>(shape.length).fill(1);
  for (let axis = shape.length - 2; axis >= 0; axis--) strides[axis] = strides[axis + 1]! * shape[axis + 1]!;
  return strides;
}

/** Neighboring axes that can be walked as one, joined; axes of length one left out. */
function joined(axes: readonly Axis[]): Axis[] {
  const out: Axis[] = [];
  for (const axis of axes) {
    const before = out.at(-1);
    if (axis.length === 1) continue;
    if (before !== undefined && before.stride === axis.stride * axis.length) {
      out[out.length - 1] = { length: before.length * axis.length, stride: axis.stride };
    } else out.push(axis);
  }
  return out;
}

/**
 * WGSL for the position in an operand whose axes have these strides, where `index` is the position in a result of this
 * shape. A stride of 0 repeats.
 */
export function stridedIndex(index: string, shape: readonly number[], strides: readonly number[], offset = 0): string {
  const axes = joined(shape.map((length, axis) => ({ length, stride: strides[axis]! })));
  const terms: string[] = [];
  let inner = 1;
  for (let i = axes.length - 1; i >= 0; i--) {
    const { length, stride } = axes[i]!;
    if (stride !== 0) {
      const divided = inner === 1 ? index : `${index} / ${inner}`;
      const position = i === 0 ? divided : `(${divided}) % ${length}`;
      terms.push(stride === 1 ? `(${position})` : `(${position}) * ${stride}`);
    }
    inner *= length;
  }
  if (offset !== 0 || terms.length === 0) terms.push(`${offset}`);
  return terms.length === 1 && terms[0] === `(${index})` ? index : terms.join(" + ");
}

/** The strides of an operand that is broadcast to a result of this shape. */
function broadcastStrides(from: readonly number[], to: readonly number[]): number[] {
  const own = stridesOf(from);
  const skip = to.length - from.length;
  return to.map((length, axis) => axis < skip || (from[axis - skip] === 1 && length !== 1) ? 0 : own[axis - skip]!);
}

/** WGSL for the position in an operand that is broadcast to a result of this shape. */
export function broadcastIndex(index: string, from: readonly number[], to: readonly number[]): string {
  return stridedIndex(index, to, broadcastStrides(from, to));
}

/**
 * The same, for four neighbors of the result at once, of which `index` counts: whether they are four neighbors in the operand,
 * too, and WGSL for which these are; or the one element that all four repeat. `null` where they are neither.
 */
export function broadcastVector(
  index: string,
  from: readonly number[],
  to: readonly number[],
): { readonly four: boolean; readonly index: string } | null {
  const strides = broadcastStrides(from, to);
  const axes = joined(to.map((length, axis) => ({ length, stride: strides[axis]! })));
  const last = axes.at(-1);
  if (last === undefined || last.length % 4 !== 0 || last.stride > 1) return null;
  const shape = axes.map(({ length }) => length).with(-1, last.length / 4);
  if (last.stride === 0) return { four: false, index: stridedIndex(index, shape, axes.map(({ stride }) => stride)) };
  const others = axes.slice(0, -1).map(({ stride }) => stride);
  if (others.some((stride) => stride % 4 !== 0)) return null;
  return { four: true, index: stridedIndex(index, shape, [...others.map((stride) => stride / 4), 1]) };
}
