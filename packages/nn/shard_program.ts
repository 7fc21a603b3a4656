/** Shards a traced program over the devices of a mesh. */
import type { Tensor } from "@tessera/core";
import { type Distribution, type Partitioned, partsOf, shardGraph, type Sharding } from "@tessera/mesh";
import { storedSharding } from "./placement.ts";
import type { TracedProgram } from "./program.ts";

/**
 * The program that each device runs: batches are sharded over the batch axes where they divide, variables as they lie,
 * before and after the run, and activations as the layout map asks, along the axes that divide.
 *
 * @throws {TypeError} when several keys of the layout map match one path.
 * @throws {RangeError} when a variable cannot be sharded as its layout says, or an activation has fewer axes than its layout.
 */
export function shardProgram(traced: TracedProgram, distribution: Distribution): Partitioned {
  const { graph, batch, variables, outputs, updated, activations } = traced;
  const known = new Map<Tensor, Sharding>();
  batch.forEach((_, i) => known.set(graph.inputs[i]!, batchSharding(graph.inputs[i]!.shape, distribution)));
  variables.forEach((variable, i) =>
    known.set(graph.inputs[batch.length + i]!, storedSharding(variable, distribution))
  );
  for (const { path, tensor } of activations) {
    const layout = distribution.getTensorLayout(path);
    if (layout === undefined || graph.inputs.includes(tensor)) continue;
    const { dims } = layout.sharding(tensor.rank);
    const fits = (own: readonly string[], axis: number) => tensor.shape[axis]! % partsOf(distribution.mesh, own) === 0;
    known.set(tensor, { dims: dims.map((own, axis) => fits(own, axis) ? own : []), partial: [] });
  }
  const wanted = [...outputs.map(() => null), ...updated.map((variable) => storedSharding(variable, distribution))];
  return shardGraph(graph, distribution.mesh, known, wanted);
}

/** How an array of the batch is sharded: along its first axis, unless that does not divide. */
export function batchSharding(shape: readonly number[], distribution: Distribution): Sharding {
  const { batchAxes, numModelReplicas } = distribution;
  const divides = shape.length > 0 && shape[0]! % numModelReplicas === 0;
  return { dims: shape.map((_, axis) => axis === 0 && divides ? batchAxes : []), partial: [] };
}
