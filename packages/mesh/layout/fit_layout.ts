/** Fitting a layout to a variable: every dimension must divide evenly over the mesh axes that it is sharded over. */
import { describeLength, isKeyValueHeads, type LayoutVariable } from "./axis_roles.ts";
import { TensorLayout } from "./tensor_layout.ts";

/** What happens to a dimension that its mesh axes do not divide: an error, or every device holds all of it. */
export type Indivisible = "error" | "replicate";

/** What happens to dimensions that do not divide. */
export interface IndivisibleOptions {
  /** For the key/value heads of attention, of which a model has few; as `indivisible` unless given. */
  readonly kvHeads?: Indivisible;
  /** For any dimension; an error unless given. */
  readonly indivisible?: Indivisible;
}

/**
 * The layout that fits a variable: the given one, with the dimensions that do not divide replicated where the options allow it.
 *
 * @throws {RangeError} when a dimension does not divide over its mesh axes, or the layout has too many entries.
 */
export function fitLayout<Axis extends string>(
  layout: TensorLayout<Axis>,
  variable: LayoutVariable,
  options: IndivisibleOptions = {},
): TensorLayout<Axis> {
  const { path, shape } = variable;
  const { indivisible = "error", kvHeads = indivisible } = options;
  if (layout.dims.length > shape.length) {
    throw new RangeError(
      `Cannot shard "${path}" [${shape.join(", ")}] as ${layout}: the layout has ${layout.dims.length} entries for ` +
        `${shape.length} ${shape.length === 1 ? "axis" : "axes"}`,
    );
  }
  const dims = layout.dims.map((axes, axis) => {
    const sizes = axes.map((name) => layout.mesh.sizeOf(name));
    const parts = sizes.reduce((product, size) => product * size, 1);
    if (shape[axis]! % parts === 0) return axes;
    if ((isKeyValueHeads(variable, axis) ? kvHeads : indivisible) === "replicate") return [];
    const over = axes.map((name, i) => `"${name}" (${sizes[i]})`).join(" and ");
    throw new RangeError(
      `Cannot shard "${path}" axis ${axis} (${describeLength(variable, axis)}) over mesh ` +
        `${axes.length === 1 ? "axis" : "axes"} ${over}: ${shape[axis]} is not divisible by ${parts}`,
    );
  });
  return dims.every((axes, axis) => axes === layout.dims[axis]) ? layout : new TensorLayout(dims, layout.mesh);
}
