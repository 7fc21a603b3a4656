/** The lowering of the reduction family. */

import type { Reduction, Rule } from "@tessera/core";
import type { Value } from "../engine/engine.ts";
import type { FamilyLowering } from "./family.ts";
import type { Workspace } from "./workspace.ts";

function reduction(kernel: string, axesName: "axis" | "reductionIndices"): Rule<"sum", Workspace, Value> {
  return (workspace, [x], { axes, keepDims }) => {
    // tfjs reads an empty list of axes as all of them.
    if (axes.length === 0) return [x];
    return [workspace.kernel(kernel, { x }, { [axesName]: [...axes], keepDims })];
  };
}

/** The reduction family. */
export const reductions: FamilyLowering<keyof Reduction> = {
  sum: reduction("Sum", "axis"),
  max: reduction("Max", "reductionIndices"),
  min: reduction("Min", "axis"),
  argMax: (workspace, [x], { axis }) => [workspace.kernel("ArgMax", { x }, { axis })],
  cumSum: (workspace, [x], { axis }) => [
    workspace.kernel("Cumsum", { x }, { axis, exclusive: false, reverse: false }),
  ],
  topK: (workspace, [x], { k }) => {
    const [values, indices] = workspace.kernels("TopK", { x }, { k, sorted: true });
    return [values!, indices!];
  },
};
