/** A graph as the programs that a GPU runs. */

import type { Graph, Node, Tensor } from "@tessera/core";
import { isPacked } from "../engine.ts";
import { nodeStep, type Step } from "../executable.ts";
import { fuseElementwise } from "../wgsl/fuse.ts";
import { runGroup, webgpuLowering } from "./webgpu.ts";

/** One step per group of elementwise nodes and per other node; those that nothing needs are dropped by the caller. */
export function webgpuSteps(graph: Graph): Step[] {
  const groups = fuseElementwise(graph);
  const producers = new Map(graph.nodes.flatMap((node) => node.results.map((result) => [result, node] as const)));
  return graph.nodes.map((node) => {
    const group = groups.get(node);
    if (group !== undefined) {
      const { inputs, output } = group;
      return { operands: inputs, results: [output], run: (workspace, values) => [runGroup(workspace, group, values)] };
    }
    const step = nodeStep(webgpuLowering, node);
    return node.op === "einsum" ? { ...step, operands: step.operands.map((x) => packedSource(x, producers)) } : step;
  });
}

/** A packed tensor in place of the float32 one that it was widened to: products widen what they read by themselves. */
function packedSource(x: Tensor, producers: ReadonlyMap<Tensor, Node>): Tensor {
  const producer = producers.get(x);
  const source = producer?.op === "cast" ? producer.operands[0]! : x;
  return x.dtype === "float32" && isPacked(source.dtype) ? source : x;
}
