/**
 * The time that a step takes at best. Each matrix product takes as long as its arithmetic or as its operands and result do to
 * pass through memory, whichever is longer; the optimizer's variables are read and written once; elementwise work is taken to
 * be done on the way. What is sent adds to that, as nothing is computed meanwhile.
 */
import {
  bytesOf,
  countOperations,
  decompose,
  type FloatDType,
  type Graph,
  type GraphNode,
  optimize,
} from "@tessera/core";
import type { Traffic } from "@tessera/mesh";
import type { Hardware } from "./hardware.ts";

/** What can take the most of a step. */
export type Limit = "arithmetic" | "memory bandwidth" | "links";

/** What a step takes at best, in seconds. */
export interface StepTime {
  /** Products that arithmetic bounds. */
  readonly arithmetic: number;
  /** Products that memory bounds, and the update. */
  readonly memory: number;
  /** Collectives. */
  readonly links: number;
  /** All of it. */
  readonly step: number;
  /** What takes the most. */
  readonly limit: Limit;
  /** The number of floating-point operations. */
  readonly operations: number;
}

/** A program that a step runs some number of times. */
export interface Part {
  /** What it computes. */
  readonly graph: Graph;
  /** How often it runs in a step. */
  readonly count: number;
}

/** Estimates a step from its parts, the bytes of the variables that it updates, and what it sends. */
export function stepTime(
  parts: readonly Part[],
  updated: number,
  traffic: readonly Traffic[],
  compute: FloatDType,
  hardware: Hardware,
): StepTime {
  const rate = compute === "float32" ? hardware.peak.float32 : hardware.peak.half;
  let [arithmetic, memory, operations] = [0, 0, 0];
  for (const { graph, count } of parts) {
    for (const node of optimize(decompose(graph)).nodes) {
      if (node.op !== "einsum") continue;
      const own = countOperations({ ...graph, nodes: [node] });
      const moved = bytesThrough(node) / hardware.bandwidth;
      operations += count * own;
      if (own / rate >= moved) arithmetic += count * own / rate;
      else memory += count * moved;
    }
  }
  // Each is read and written once.
  memory += 2 * updated / hardware.bandwidth;
  const links = traffic.reduce(
    (sum, { sent, count }) => sum + sent / hardware.linkBandwidth + count * hardware.latency,
    0,
  );
  const shares: readonly (readonly [Limit, number])[] = [
    ["arithmetic", arithmetic],
    ["memory bandwidth", memory],
    ["links", links],
  ];
  const [limit] = shares.reduce((most, share) => share[1] > most[1] ? share : most);
  return { arithmetic, memory, links, step: arithmetic + memory + links, limit, operations };
}

function bytesThrough({ operands, results }: GraphNode): number {
  return [...operands, ...results].reduce((sum, { type }) => sum + bytesOf(type), 0);
}
