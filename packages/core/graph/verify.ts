/** The invariants of a graph, checked after every pass in tests. */
import { formatType, sameType } from "../values/dtype.ts";
import { isOpName, opOf } from "../ops/table.ts";
import type { Graph, Tensor } from "./tensor.ts";

/**
 * Checks that a graph is well formed and gives it back: every value is defined once and before it is read, every result
 * has the type that its op infers, and names are unique.
 *
 * @throws {Error} that names the pass after which the check ran, the node and what is wrong with it.
 */
export function verify(graph: Graph, pass = "tracing"): Graph {
  const fail = (what: string, cause?: Error): never => {
    throw new Error(`Graph "${graph.name}" is not well formed after ${pass}: ${what}`, cause && { cause });
  };
  for (
    const [kind, names, values] of [
      ["input", graph.inputNames, graph.inputs],
      ["output", graph.outputNames, graph.outputs],
    ] as const
  ) {
    if (names.length !== values.length) fail(`${values.length} ${kind}s have ${names.length} names`);
    const twice = names.length === new Set(names).size ? undefined : names.find((name, i) => names.indexOf(name) !== i);
    if (twice !== undefined) fail(`two ${kind}s are named "${twice}"`);
  }
  const defined = new Set<Tensor>(graph.inputs);
  graph.nodes.forEach((node, at) => {
    const where = `node ${at} (${node.op})`;
    if (!isOpName(node.op)) fail(`${where}: there is no such op`, node.origin);
    node.operands.forEach((operand, i) => {
      if (!defined.has(operand)) fail(`${where}: operand ${i}, ${operand}, is read before it is defined`, node.origin);
    });
    const types = opOf(node.op).infer(node.operands.map((operand) => operand.type), node.attrs);
    if (types.length !== node.results.length) {
      fail(`${where}: it has ${node.results.length} results, not ${types.length}`, node.origin);
    }
    node.results.forEach((result, i) => {
      if (!sameType(result.type, types[i]!)) {
        fail(`${where}: result ${i} is ${result}, the op infers ${formatType(types[i]!)}`, node.origin);
      }
      if (result.producer !== node || result.index !== i) {
        fail(`${where}: result ${i} does not point back at its node`, node.origin);
      }
      if (defined.has(result)) fail(`${where}: result ${i} is defined twice`, node.origin);
      defined.add(result);
    });
  });
  graph.outputs.forEach((output, i) => {
    if (!defined.has(output)) fail(`output "${graph.outputNames[i]}" is never defined`);
  });
  return graph;
}
