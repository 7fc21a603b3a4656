/** The two mesh axes that the published layout maps use. */
import type { DeviceMesh } from "@tessera/mesh";

/** What the axes of a mesh are called. */
export interface LayoutAxisOptions<Axis extends string> {
  /** The axis that splits heads, intermediate units and the vocabulary; `model` unless given. */
  readonly modelAxis?: Axis;
  /** The axis that splits batches and the hidden units of kernels; `batch` unless given. */
  readonly batchAxis?: Axis;
}

/**
 * The axes of a mesh that a model is laid out over.
 *
 * @throws {RangeError} when the mesh lacks one of them.
 */
export function layoutAxes<Axis extends string>(
  family: string,
  mesh: DeviceMesh<Axis>,
  options: LayoutAxisOptions<NoInfer<Axis>>,
): { readonly model: Axis; readonly batch: Axis } {
  const axisOf = (option: string, name: string): Axis => {
    if (mesh.hasAxis(name)) return name;
    throw new RangeError(
      `Cannot lay ${family} out: ${mesh} has no axis "${name}"; say with ${option} which of its axes to use`,
    );
  };
  return {
    model: axisOf("modelAxis", options.modelAxis ?? "model"),
    batch: axisOf("batchAxis", options.batchAxis ?? "batch"),
  };
}
