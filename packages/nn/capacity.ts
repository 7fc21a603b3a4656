/** Finds what is too large for the devices that will run a program, before anything is on them. */
import type { Distribution } from "@tessera/mesh";
import { type Backend, cutSteps, type Excess } from "@tessera/runtime";
import { shardProgram } from "./shard_program.ts";
import type { TracedProgram } from "./program.ts";

/**
 * The first tensor of a traced program that a device of a backend cannot take; `null` where all fit, and where a backend has no
 * limit. The program is that of one device, or that of each device of a mesh.
 *
 * @throws {RangeError} when something cannot be sharded as its layout says.
 */
export async function excessOf(
  traced: TracedProgram,
  backend: Backend,
  distribution: Distribution | null,
): Promise<Excess | null> {
  if (backend.excess === undefined) return null;
  if (distribution === null) return await backend.excess(traced.graph);
  const { steps } = cutSteps(shardProgram(traced, distribution).graph);
  const distinct = new Map(steps.flatMap((step) => step.kind === "segment" ? [[step.key, step.graph]] : []));
  for (const graph of distinct.values()) {
    const excess = await backend.excess(graph);
    if (excess !== null) return excess;
  }
  return null;
}
