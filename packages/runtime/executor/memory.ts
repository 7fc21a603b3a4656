/** How much memory a device needs for the values that a run makes, step by step. */
import { bytesOf, type Graph, type Tensor } from "@tessera/core";
import { lastUses, type Steps } from "./steps.ts";

/**
 * The most bytes that a run of a graph allocates at a time: values in between and outputs, without the inputs. An output that
 * overwrites a donated input, by the numbers of both, takes nothing.
 */
export type MemoryOfRun = (graph: Graph, donate: ReadonlyMap<number, number>) => number;

/**
 * The most bytes that a device holds at a time of what is made in a run of a partitioned program: what earlier steps keep for
 * later ones, and what the current step allocates.
 */
export function memoryOfSteps(plan: Steps, memoryOf: MemoryOfRun): number {
  const freed = lastUses(plan);
  const known = new Map<string, number>();
  const made = new Set<Tensor>();
  const sum = (values: readonly Tensor[]) => values.reduce((bytes, { type }) => bytes + bytesOf(type), 0);
  let [held, peak] = [0, 0];
  plan.steps.forEach((step, i) => {
    let own = sum(step.outputs);
    let fresh: readonly Tensor[] = step.outputs;
    if (step.kind === "segment") {
      own = known.get(step.key) ?? memoryOf(step.graph, step.donate);
      known.set(step.key, own);
      const given = new Set(step.donate.values());
      fresh = step.outputs.filter((_, output) => !given.has(output));
    }
    peak = Math.max(peak, held + own);
    fresh.forEach((value) => made.add(value));
    held += sum(fresh) - sum(freed[i]!.filter((value) => made.has(value)));
  });
  return peak;
}
