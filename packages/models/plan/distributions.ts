/** Distributions as people name them: a mesh by its axes, and a layout by a word or by its expressions. */
import { DataParallel, DeviceMesh, type Distribution, LayoutMap, type LayoutSpec, ModelParallel } from "@tessera/mesh";
import { layoutOf } from "@tessera/nn";
import type { Backbone } from "../architecture/backbone.ts";

/** The size of each axis of a mesh by its name, such as `{ batch: 2, model: 8 }`. */
export type MeshAxes = Readonly<Record<string, number>>;

/**
 * How a model is laid out: `"auto"` by the published map of its architecture, `"data-parallel"` replicated on every device, or
 * the layouts of variables by regular expressions.
 */
export type LayoutChoice = "auto" | "data-parallel" | Readonly<Record<string, LayoutSpec<string>>>;

/**
 * The distribution of a model over a mesh. The published map needs the axes `batch` and `model`; one that is left out has one
 * device. Key/value heads that are too few for their axis are replicated.
 *
 * @throws {TypeError} when an axis or a device is named twice.
 * @throws {RangeError} when an axis is not known, a size is not a positive integer, or there are more or fewer devices than the mesh takes.
 */
export function distributionFor(
  backbone: Pick<Backbone, "getLayoutMap" | "variables">,
  axes: MeshAxes,
  layout: LayoutChoice,
  devices: readonly string[],
): Distribution {
  const isPublished = layout === "auto";
  const own = Object.entries(axes);
  const added = isPublished ? ["batch", "model"].filter((name) => axes[name] === undefined) : [];
  const all = [...own, ...added.map((name) => [name, 1] as const)];
  const mesh = new DeviceMesh<string>(all.map(([, size]) => size), all.map(([name]) => name), devices);
  if (layout === "data-parallel") return new DataParallel({ mesh });
  const batchDimName = mesh.hasAxis("batch") ? "batch" : mesh.axisNames[0]!;
  const layoutMap = isPublished ? backbone.getLayoutMap(mesh) : new LayoutMap(mesh);
  if (!isPublished) { for (const [key, spec] of Object.entries(layout)) layoutMap.set(key, spec); }
  const distribution = new ModelParallel({ layoutMap, batchDimName, kvHeads: "replicate" });
  distribution.check(backbone.variables);
  for (const variable of backbone.variables) layoutOf(variable, distribution);
  return distribution;
}

/** The number of devices of a mesh. */
export function devicesOf(axes: MeshAxes): number {
  return Object.values(axes).reduce((product, size) => product * size, 1);
}

/**
 * Reads a mesh such as `batch=2,model=8`.
 *
 * @throws {TypeError} when it is not written so, or an axis is named twice.
 */
export function parseMeshAxes(text: string): MeshAxes {
  const axes = new Map<string, number>();
  for (const part of text.split(",")) {
    const [, name, size] = /^\s*([A-Za-z_]\w*)\s*=\s*([1-9]\d*)\s*$/.exec(part) ?? [];
    if (name === undefined || size === undefined) {
      throw new TypeError(`Cannot read the mesh "${text}": "${part}" is no axis; expected one such as batch=2,model=8`);
    }
    if (axes.has(name)) throw new TypeError(`Cannot read the mesh "${text}": axis "${name}" is named twice`);
    axes.set(name, Number(size));
  }
  return Object.fromEntries(axes);
}
