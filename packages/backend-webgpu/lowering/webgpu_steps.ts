/** A graph as the programs that a GPU runs. */

import { type Graph, type GraphNode, isFloat, type Lowering, type OpName, type Tensor } from "@tessera/core";
import { isPacked, type Value } from "../engine/engine.ts";
import { nodeStep, type Step } from "../executable.ts";
import { groupProgram } from "../wgsl/elementwise.ts";
import { fuseElementwise } from "../wgsl/fuse.ts";
import { runGroup } from "./webgpu.ts";
import type { Workspace } from "./workspace.ts";

/** Ops whose programs convert packed floats where they read them. */
const widening: ReadonlySet<OpName> = new Set([
  ...[
    "einsum",
    "quantizedEinsum",
    "sum",
    "max",
    "min",
    "softmax",
    "rmsNorm",
    "rmsNormGrad",
    "rotaryEmbedding",
  ] as const,
  ...["attention", "attentionGrad", "crossEntropy", "crossEntropyGrad"] as const,
]);

/** One step per group of elementwise nodes and per other node, by a table; those that nothing needs are dropped by the caller. */
export function webgpuSteps(graph: Graph, table: Lowering<Workspace, Value>, make = groupProgram): Step[] {
  const groups = fuseElementwise(graph);
  const producers = new Map(graph.nodes.flatMap((node) => node.results.map((result) => [result, node] as const)));
  return graph.nodes.map((node) => {
    const group = groups.get(node);
    if (group !== undefined) {
      const { inputs, output } = group;
      return {
        operands: inputs,
        results: [output],
        run: (workspace, values) => [runGroup(workspace, group, values, make)],
      };
    }
    const step = nodeStep(table, node);
    if (!widening.has(node.op)) return step;
    return { ...step, operands: step.operands.map((x) => packedSource(x, producers)) };
  });
}

/** A tensor of packed floats in place of the float32 one that it was converted to: these programs convert what they read themselves. */
function packedSource(x: Tensor, producers: ReadonlyMap<Tensor, GraphNode>): Tensor {
  const producer = producers.get(x);
  const source = producer?.op === "cast" ? producer.operands[0]! : x;
  return x.dtype === "float32" && isPacked(source.dtype) && isFloat(source.dtype) ? source : x;
}
