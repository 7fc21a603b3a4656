/**
 * When an output may overwrite a donated input.
 *
 * ONNX Runtime runs the nodes of a model one after the other, in some order that respects their dependencies, and that
 * is all that may be relied on. So an output may use an input's memory when every node that reads the input certainly
 * runs before the node that computes the output, or is that node and reads each element no later than it writes it. This
 * holds because models run as they are written: the sessions here do not let ONNX Runtime fuse nodes.
 */

import type { OnnxModel, OnnxNode, OnnxValue } from "./model/description.ts";

/** Operators whose result may be the memory of an operand, without a copy. */
const views: ReadonlySet<string> = new Set(["Reshape", "Identity"]);

/** Operators that compute each element from the elements at the same position. */
const elementwise: ReadonlySet<string> = new Set([
  ...["Add", "Sub", "Mul", "Div", "Pow", "Max", "Min", "Neg", "Abs", "Sign", "Floor", "Exp", "Log", "Sqrt"],
  ...["Reciprocal", "Sin", "Cos", "Tanh", "Sigmoid", "Where", "And", "Or", "Not"],
]);

/** Operators that write some elements of their first operand and keep the others. */
const updates: ReadonlySet<string> = new Set(["ScatterElements", "ScatterND", "TensorScatter"]);

/** Tells whether an output of a model, by its position, may be written into the memory of an input. */
export type SharesMemory = (input: number, output: number) => boolean;

/** The test for one model, which looks at the model's nodes once. */
export function memorySharing(model: OnnxModel): SharesMemory {
  const positions = new Map(model.nodes.map((node, position) => [node, position]));
  const producers = new Map(model.nodes.flatMap((node) => node.outputs.map((value) => [value.name, node] as const)));
  const readers = new Map<string, OnnxNode[]>();
  for (const node of model.nodes) {
    for (const name of new Set(node.inputs)) {
      const list = readers.get(name) ?? [];
      list.push(node);
      readers.set(name, list);
    }
  }

  /** The names under which an input's memory may be read, with the shape that it has there. */
  function aliasesOf(source: OnnxValue): Map<string, readonly number[]> {
    const aliases = new Map([[source.name, source.shape]]);
    // Entries that are added while a map is walked are walked too.
    for (const name of aliases.keys()) {
      for (const node of readers.get(name) ?? []) {
        if (views.has(node.op) && node.inputs[0] === name) aliases.set(node.outputs[0]!.name, node.outputs[0]!.shape);
      }
    }
    return aliases;
  }

  /** The nodes from some position on that a node depends on. Nodes come after those that they depend on. */
  function ancestors(node: OnnxNode, from: number): Set<OnnxNode> {
    const found = new Set<OnnxNode>();
    const open = [node];
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      for (const name of next.inputs) {
        const producer = producers.get(name);
        if (producer === undefined || found.has(producer) || positions.get(producer)! < from) continue;
        found.add(producer);
        open.push(producer);
      }
    }
    return found;
  }

  return (input, output) => {
    const target = model.outputs[output]!;
    const writer = producers.get(target.name);
    if (writer === undefined) return false;
    const aliases = aliasesOf(model.inputs[input]!);
    const users = new Set([...aliases.keys()].flatMap((name) => readers.get(name) ?? []));
    if (users.delete(writer) && !overwritesSafely(writer, aliases, target.shape)) return false;
    const before = ancestors(writer, Math.min(...[...users].map((node) => positions.get(node)!)));
    return [...users].every((node) => before.has(node));
  };
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
