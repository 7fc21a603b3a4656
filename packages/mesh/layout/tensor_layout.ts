/** Tensor layouts: the mesh axes that each dimension of a tensor is sharded over. */
import { type DeviceMesh, noAxis } from "./device_mesh.ts";
import type { Sharding } from "../sharding/sharding.ts";

/** What a dimension is sharded over: nothing (`null`), one mesh axis, or several, the outermost first. */
export type DimLayout<Axis extends string> = null | Axis | readonly Axis[];

/** One entry per dimension; the dimensions after the last entry are whole. */
export type LayoutSpec<Axis extends string> = readonly DimLayout<Axis>[];

/** How a tensor lies on a mesh. A mesh axis that no dimension names holds replicas. */
export class TensorLayout<Axis extends string = string> {
  /** The mesh axes that each dimension is sharded over, the outermost first; none for a dimension that is whole. */
  readonly dims: readonly (readonly Axis[])[];
  /** The mesh that the tensor lies on. */
  readonly mesh: DeviceMesh<Axis>;

  /**
   * Lays a tensor out on a mesh, such as `new TensorLayout(["model", null], mesh)`.
   *
   * @throws {RangeError} when the mesh lacks an axis.
   * @throws {TypeError} when an axis is named twice.
   */
  constructor(axes: LayoutSpec<NoInfer<Axis>>, mesh: DeviceMesh<Axis>) {
    this.dims = axes.map((entry) => entry === null ? [] : typeof entry === "string" ? [entry] : [...entry]);
    this.mesh = mesh;
    const seen = new Set<string>();
    for (const name of this.dims.flat()) {
      const attempt = `Cannot lay a tensor out as ${formatSpec({ dims: this.dims, partial: [] })}`;
      if (!mesh.hasAxis(name)) throw new RangeError(`${attempt}: ${noAxis(mesh, name)}`);
      if (seen.has(name)) throw new TypeError(`${attempt}: mesh axis "${name}" can split only one dimension, once`);
      seen.add(name);
    }
  }

  /** Whether every device holds the whole tensor. */
  get isReplicated(): boolean {
    return this.dims.every((axes) => axes.every((axis) => this.mesh.sizeOf(axis) === 1));
  }

  /**
   * The layout of a tensor of a given rank, as the compiler sees it.
   *
   * @throws {RangeError} when the layout has more entries than the tensor has dimensions.
   */
  sharding(rank: number): Sharding {
    if (this.dims.length > rank) {
      throw new RangeError(
        `Cannot lay a tensor of rank ${rank} out as ${this}: the layout has ${this.dims.length} entries`,
      );
    }
    return { dims: Array.from({ length: rank }, (_, axis) => this.dims[axis] ?? []), partial: [] };
  }

  /** The entries of the layout, such as `PartitionSpec('model', None)`. */
  toString(): string {
    return formatSpec({ dims: this.dims, partial: [] });
  }
}

/** A sharding as JAX prints it, such as `PartitionSpec('model', None, None)`; partial sums follow as `unreduced={…}`. */
export function formatSpec({ dims, partial }: Sharding): string {
  const entries = dims.map((axes) => {
    const names = axes.map((axis) => `'${axis}'`);
    return names.length === 0 ? "None" : names.length === 1 ? names[0]! : `(${names.join(", ")})`;
  });
  if (partial.length > 0) entries.push(`unreduced={${partial.map((axis) => `'${axis}'`).join(", ")}}`);
  // One entry prints as a Python tuple does, with a comma behind it.
  return `PartitionSpec(${entries.join(", ")}${dims.length === 1 && partial.length === 0 ? "," : ""})`;
}
