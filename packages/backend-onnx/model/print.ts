/** ONNX models as text: for people, and for snapshot tests. */

import type { Attribute, Initializer, OnnxModel, OnnxNode, OnnxValue } from "./description.ts";
import { initializerValues } from "./initializer.ts";

/** Long lists of numbers are cut after this many. */
const shownValues = 8;

/** A model as text, one line per value. */
export function printModel(model: OnnxModel): string {
  const used = new Set(model.nodes.flatMap((node) => node.inputs).concat(model.outputs.map((value) => value.name)));
  const lines = [
    ...model.inputs.map((value) => `  input ${typed(value)}`),
    ...(model.residents ?? []).map((value) =>
      `  ${typed(value)} = ${value.input === null ? "ones" : `elements of ${value.input}`}`
    ),
    ...model.initializers.filter((value) => used.has(value.name)).map(initializerLine),
    ...model.nodes.map(nodeLine),
    ...model.outputs.map((value) => `  output ${typed(value)}`),
  ];
  return [`${model.name} {`, ...lines, "}"].join("\n");
}

function typed(value: OnnxValue): string {
  return `${value.name}: ${value.dtype}[${value.shape.join(",")}]`;
}

function initializerLine(tensor: Initializer): string {
  const values = initializerValues(tensor);
  const shown = values.slice(0, shownValues).join(",");
  const text = tensor.shape.length === 0
    ? shown
    : `[${shown}${values.length > shownValues ? `,… ${values.length} in all` : ""}]`;
  return `  ${typed(tensor)} = ${text}`;
}

function nodeLine(node: OnnxNode): string {
  const attributes = Object.entries(node.attributes).map(([name, value]) => `${name}: ${attributeText(value)}`);
  const suffix = attributes.length === 0 ? "" : ` {${attributes.join(", ")}}`;
  return `  ${node.outputs.map(typed).join(", ")} = ${node.op}(${
    node.inputs.map((name) => name || "_").join(", ")
  })${suffix}`;
}

function attributeText(value: Attribute): string {
  if (typeof value === "object" && "float" in value) return `${value.float}f`;
  return typeof value === "object" ? `[${value.join(",")}]` : String(value);
}
