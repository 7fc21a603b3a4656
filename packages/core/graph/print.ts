/** Graphs as text, for debugging and for snapshot tests. */
import { formatAttr } from "./attrs.ts";
import { formatType } from "../values/dtype.ts";
import type { Attrs, Graph, Tensor } from "./tensor.ts";

/** Long lists of numbers are cut after this many. */
const shownValues = 8;

function formatAttrs(attrs: Attrs): string {
  const shown = Object.entries(attrs).filter(([key]) => key !== "shape" && key !== "dtype");
  if (shown.length === 0) return "";
  return ` {${shown.map(([key, value]) => `${key}: ${formatAttr(value, shownValues)}`).join(", ")}}`;
}

/** A graph as text, one line per node; inputs by name, other values numbered in order. */
export function printGraph(graph: Graph): string {
  const names = new Map<Tensor, string>();
  graph.inputs.forEach((input, i) => names.set(input, `%${graph.inputNames[i]!}`));
  let next = 0;
  const nameOf = (tensor: Tensor) => names.get(tensor) ?? "%?";
  const lines = graph.nodes.map((node) => {
    const results = node.results.map((result) => {
      names.set(result, `%${next++}`);
      return `${nameOf(result)}: ${formatType(result.type)}`;
    });
    return `  ${results.join(", ")} = ${node.op}(${node.operands.map(nameOf).join(", ")})${formatAttrs(node.attrs)}`;
  });
  const inputs = graph.inputs.map((input, i) => `  %${graph.inputNames[i]}: ${formatType(input.type)}`);
  const outputs = graph.outputs.map((output, i) => `${graph.outputNames[i]}: ${nameOf(output)}`);
  const open = inputs.length === 0 ? `${graph.name}() {` : `${graph.name}(\n${inputs.join(",\n")}\n) {`;
  return [open, ...lines, `  return ${outputs.join(", ")}`, "}"].join("\n");
}
