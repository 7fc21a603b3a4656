/** Layouts that follow from a variable's: those of its optimizer slots and of its low-rank factors. */
import { parseEinsum } from "@tessera/core";
import { TensorLayout } from "./tensor_layout.ts";

/**
 * The layout of an optimizer slot, such as a momentum: that of its variable.
 *
 * A slot with fewer axes, such as a row's mean square, names the axes of the variable that it keeps; none for a scalar.
 *
 * @throws {RangeError} when an axis is negative or not an integer.
 */
export function layoutOfSlot<Axis extends string>(
  variableLayout: TensorLayout<Axis>,
  axes?: readonly number[],
): TensorLayout<Axis> {
  if (axes === undefined) return variableLayout;
  for (const axis of axes) {
    if (!Number.isInteger(axis) || axis < 0) {
      throw new RangeError(`Cannot lay out a slot by axis ${axis} of its variable: axes count from 0`);
    }
  }
  return new TensorLayout(axes.map((axis) => variableLayout.dims[axis] ?? null), variableLayout.mesh);
}

/** What low-rank factors are not split over. */
export interface FactorOptions<Axis extends string> {
  /**
   * Mesh axes over which the factors are copied although the kernel is split, none unless given. With the axes of the
   * batch here, a kernel that is also split over those gets factors that no device needs to gather first.
   */
  readonly copyOver?: readonly Axis[];
}

/**
 * The layouts of the factors A and B of a low-rank update of a kernel, each axis laid out as the kernel's axis of the same
 * einsum letter; the rank is whole.
 *
 * Of a kernel that is split by outputs ("column-parallel") A is copied and B split; of one that is split by inputs
 * ("row-parallel") A is split and B copied. Either way x · A · B is split, or a partial sum, exactly as x · kernel is, so
 * that the two add up without a collective of their own.
 *
 * @throws {TypeError} when the layout has more entries than the kernel has letters.
 */
export function factorLayouts<Axis extends string>(
  equation: string,
  kernelLayout: TensorLayout<Axis>,
  aLetters: string,
  bLetters: string,
  options: FactorOptions<NoInfer<Axis>> = {},
): { readonly a: TensorLayout<Axis>; readonly b: TensorLayout<Axis> } {
  const { copyOver = [] } = options;
  const kernel = parseEinsum(equation).b;
  const { dims, mesh } = kernelLayout;
  if (dims.length > kernel.length) {
    throw new TypeError(
      `Cannot lay out the factors of a kernel in "${equation}": the kernel has ${kernel.length} axes, its layout ` +
        `${kernelLayout} has ${dims.length} entries`,
    );
  }
  function layoutOf(letters: string): TensorLayout<Axis> {
    return new TensorLayout(
      [...letters].map((letter) => (dims[kernel.indexOf(letter)] ?? []).filter((axis) => !copyOver.includes(axis))),
      mesh,
    );
  }
  return { a: layoutOf(aLetters), b: layoutOf(bLetters) };
}
