/**
 * When an output may be written over a donated input.
 *
 * ONNX Runtime runs the nodes of a model one after the other, in some order that respects what depends on what, and that
 * is all that may be relied on. So an output may use an input's memory when every node that reads the input certainly
 * runs before the node that computes the output, or is that node and reads each element no later than it writes it. This
 * holds because models run as they are written: the sessions here do not let ONNX Runtime fuse nodes.
 */

import type { OnnxModel, OnnxNode } from "./model/description.ts";

/** Operators whose result may be the memory of an operand, without a copy. */
const views: ReadonlySet<string> = new Set(["Reshape", "Identity"]);

/** Operators that compute each element from the elements at the same place. */
const elementwise: ReadonlySet<string> = new Set([
  ...["Add", "Sub", "Mul", "Div", "Pow", "Max", "Min", "Neg", "Abs", "Sign", "Floor", "Exp", "Log", "Sqrt"],
  ...["Reciprocal", "Sin", "Cos", "Tanh", "Sigmoid", "Where", "And", "Or", "Not"],
]);

/** Operators that write some elements of their first operand and keep the others. */
const updates: ReadonlySet<string> = new Set(["ScatterElements", "ScatterND", "TensorScatter"]);

/** Tells whether output number `output` of a model may be written into the memory of input number `input`. */
export function canShareMemory(model: OnnxModel, input: number, output: number): boolean {
  const source = model.inputs[input]!;
  const target = model.outputs[output]!;
  const writer = model.nodes.find((node) => node.outputs.some((value) => value.name === target.name));
  if (writer === undefined) return false;
  const aliases = aliasesOf(model, source.name);
  const before = ancestors(model, writer);
  return model.nodes.every((node) => {
    if (!node.inputs.some((name) => aliases.has(name))) return true;
    return node === writer ? overwritesSafely(node, aliases, target.shape) : before.has(node);
  });
}

/** The names under which an input's memory may be read. */
function aliasesOf(model: OnnxModel, name: string): Map<string, readonly number[]> {
  const aliases = new Map([[name, model.inputs.find((value) => value.name === name)!.shape]]);
  for (const node of model.nodes) {
    if (views.has(node.op) && aliases.has(node.inputs[0]!)) aliases.set(node.outputs[0]!.name, node.outputs[0]!.shape);
  }
  return aliases;
}

/** The nodes whose results a node depends on. */
function ancestors(model: OnnxModel, node: OnnxNode): Set<OnnxNode> {
  const found = new Set<OnnxNode>();
  const needed = new Set(node.inputs);
  for (const other of model.nodes.toReversed()) {
    if (other === node || !other.outputs.some((value) => needed.has(value.name))) continue;
    found.add(other);
    other.inputs.forEach((name) => needed.add(name));
  }
  return found;
}

/** Tells whether a node that reads an alias may write its result, of a given shape, over it. */
function overwritesSafely(
  node: OnnxNode,
  aliases: ReadonlyMap<string, readonly number[]>,
  shape: readonly number[],
): boolean {
  if (views.has(node.op)) return true;
  if (updates.has(node.op)) return node.inputs.slice(1).every((name) => !aliases.has(name));
  if (!elementwise.has(node.op)) return false;
  return node.inputs.every((name) => {
    const own = aliases.get(name);
    return own === undefined || (own.length === shape.length && own.every((length, axis) => length === shape[axis]));
  });
}
