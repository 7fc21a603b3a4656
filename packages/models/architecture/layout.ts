/** The published layout map of an architecture, from where its variables were declared to lie. */
import { type DeviceMesh, LayoutMap } from "@tessera/mesh";
import { checkOptions, type OptionNames } from "@tessera/text";
import type { AxisRole, LayoutRule } from "./model_scope.ts";

/** What the axes of a mesh are called. */
export interface LayoutAxisOptions<Axis extends string> {
  /** The axis that splits heads, intermediate units and the vocabulary; `model` unless given. */
  readonly modelAxis?: Axis;
  /** The axis that splits batches and the hidden units of kernels; `batch` unless given. */
  readonly batchAxis?: Axis;
}

const optionNames: OptionNames<LayoutAxisOptions<string>> = { modelAxis: true, batchAxis: true };

/** Rules by regular expressions for paths, and whether every model has what a rule is for. */
export type LayoutRules = ReadonlyMap<string, LayoutRule>;

/**
 * The layouts of variables on a mesh; what has no rule, such as the scales of norms, is replicated.
 *
 * @throws {TypeError} when an option has an unknown name.
 * @throws {RangeError} when the mesh lacks one of the two axes.
 */
export function layoutMapOf<Axis extends string>(
  title: string,
  rules: LayoutRules,
  mesh: DeviceMesh<Axis>,
  options: LayoutAxisOptions<NoInfer<Axis>> = {},
): LayoutMap<Axis> {
  checkOptions(`lay ${title} out`, options, optionNames);
  const { modelAxis = "model", batchAxis = "batch" } = options;
  const axisOf = (option: string, name: string): Axis => {
    if (mesh.hasAxis(name)) return name;
    throw new RangeError(
      `Cannot lay ${title} out: ${mesh} has no axis "${name}"; say with ${option} which of its axes to use`,
    );
  };
  const axes = { model: axisOf("modelAxis", modelAxis), batch: axisOf("batchAxis", batchAxis) };
  const layoutMap = new LayoutMap(mesh);
  for (const [pattern, { roles, isUsed }] of rules) {
    const axesOf = (role: AxisRole) => role === null ? null : axes[role];
    layoutMap.set(pattern, roles.map(axesOf), { optional: !isUsed });
  }
  return layoutMap;
}

/** The rules of several models of an architecture as one: what not all of them have may match nothing. */
export function jointRules(models: readonly LayoutRules[]): LayoutRules {
  const patterns = new Set(models.flatMap((rules) => [...rules.keys()]));
  return new Map([...patterns].map((pattern) => {
    const found = models.map((rules) => rules.get(pattern));
    const { roles } = found.find((rule) => rule !== undefined)!;
    return [pattern, { roles, isUsed: found.every((rule) => rule?.isUsed ?? false) }];
  }));
}
